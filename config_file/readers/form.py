"""The form that the content of a file must have, checked at its door so that nothing below trips over it."""

import json
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from config_file.errors import UserError

Form = Any
"""A type (``float`` takes integers too; ``None`` is null), ``[form]`` a list of such, ``{"name": form}`` an object with
that field (``"name?"``: it may be missing; other fields are not looked at), ``{...: form}`` one whose fields are all of
a form, ``(form, form)`` any of them."""

_WORDS = {str: "text", int: "an integer", float: "a number", bool: "true or false", None: "null"}


def check_form(content: Any, form: Form, where: str | Path, at: str = "") -> None:
    """See that content has a form; the message names the file and the field, as ``search.measures``.

    Raises:
        UserError: it has another.
    """
    forms = form if isinstance(form, tuple) else (form,)
    fitting = [one for one in forms if _is(content, one)]
    if not fitting:
        shown = json.dumps(content, default=str)
        expected = " or ".join(map(_word, forms))
        raise UserError(
            f"{where}: {at or 'its content'} must be {expected}, not {shown[:40]}{'...' * (len(shown) > 40)}"
        )
    if _is_alike(content, fitting[0]):
        return
    for key, inner, optional in _fields(content, fitting[0]):
        path = f"{at}[{key}]" if isinstance(key, int) else f"{at}.{key}".lstrip(".")
        if isinstance(content, list) or key in content:
            check_form(content[key], inner, where, path)
        elif not optional:
            raise UserError(f"{where}: it lacks {path!r}")


def _is_alike(content: Any, form: Form) -> bool:
    """True where a list or object of plain values fits, told from their types at once: archives have many."""
    inner = None
    if isinstance(form, list | dict) and len(form) == 1:
        inner = form[0] if isinstance(form, list) else form.get(...)
    forms = inner if isinstance(inner, tuple) else (inner,)
    if not all(isinstance(one, type) or (one is None and len(forms) > 1) for one in forms):
        return False
    allowed = {kind for one in forms for kind in ((int, float) if one is float else (one or type(None),))}
    return {type(value) for value in (content if isinstance(content, list) else content.values())} <= allowed


def _fields(content: Any, form: Form) -> Iterator[tuple[Any, Form, bool]]:
    """(index or key, form, may it be missing) of everything inside that is looked at."""
    if isinstance(form, list):
        yield from ((number, inner, False) for number in range(len(content)) for inner in form)
    elif isinstance(form, Mapping):
        for name, inner in form.items():
            if name is ...:
                yield from ((key, inner, False) for key in content)
            else:
                yield name.removesuffix("?"), inner, name.endswith("?")


def _is(content: Any, form: Form) -> bool:
    if form is float or form is int:
        return isinstance(content, (int, float) if form is float else int) and not isinstance(content, bool)
    if form is None:
        return content is None
    return isinstance(content, form if isinstance(form, type) else type(form))


def _word(form: Form) -> str:
    if isinstance(form, list) or form is list:
        return "a list"
    return "an object" if isinstance(form, Mapping) or form is dict else _WORDS[form]
