"""The file of options of a tool of one's own."""

from __future__ import annotations

from typing import Any

from config_file.foreign import Content, Form, section
from search.foreign import FOREIGN


def options(content: Content) -> dict[str, Any]:
    tuner = section(content, "tuner", ("trials", "space"))
    return {"search_space": tuner.get("space"), "random_iteration": tuner.get("trials"), "search_strategy": "random"}


FOREIGN["tuner"] = Form("Tuner", lambda content: "tuner" in content, options)
