"""Every shipped preset is read by its stage, and says how to run it."""

from __future__ import annotations

from pathlib import Path

import pytest

from config_file.loader import parse
from config_file.stages import STAGES, options_of_stage

ROOT = Path(__file__).resolve().parents[2]
FOLDERS = {"train": "supernet", "search": "search", "retrain": "retrain", "export": "export"}
PRESETS = sorted(path for folder in FOLDERS for path in (ROOT / "config_file" / folder).glob("*.y*ml"))


def test_there_are_presets_for_every_stage() -> None:
    assert {path.parent.name for path in PRESETS if path.name == "quickstart.yml"} == set(FOLDERS)


@pytest.mark.parametrize("path", PRESETS, ids=lambda path: f"{path.parent.name}/{path.name}")
def test_preset(path: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    stage = FOLDERS[path.parent.name]
    title = [] if path.name == "quickstart.yml" else ["--title", "a"]
    options = parse(options_of_stage(stage), [*title, "--config", str(path)], STAGES[stage].script, "")
    assert options != options_of_stage(stage)(title="a"), "a preset sets something"
    if path.name == "quickstart.yml":
        assert options.title == "quickstart"
    lines = path.read_text(encoding="utf-8").splitlines()
    head = " ".join(line.lstrip("# ") for line in lines if line.startswith("#"))
    assert "Time: " in head
    assert "Result: " in head
    first = lines[0]
    assert first.startswith(f"# python {STAGES[stage].script} --config {path.relative_to(ROOT)}")
