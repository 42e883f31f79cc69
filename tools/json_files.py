"""JSON files that tools keep for later runs: read, and held against the form that they must have."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

from keyvault.errors import InputError

#: The form of a value: a type (float takes whole numbers too), a tuple of forms of which one must fit, a list of the
#: one form of every item, a dict with the form of each member that must be there (``str`` as a name stands for every
#: member), or a value to be equal to.
Form = Any


def read_json(path: Path) -> Any:
    """Content of a JSON file; InputError if it is none or cannot be read."""
    try:
        return json.loads(path.read_text())
    except OSError as error:
        raise InputError(f"cannot read {path}: {error.strerror or error}", hint="check the path") from error
    except (ValueError, RecursionError) as error:
        raise InputError(f"{path} is not a JSON file", hint="remove it, or give another one") from error


def read_kept(
    path: Path, form: dict[Any, Form], what: str, sound: Callable[[Any], bool] | None = None, hint: str = ""
) -> Any:
    """Content of a JSON file that a tool has kept.

    Args:
        path: the file.
        form: of its content.
        what: it should be, for the refusal.
        sound: whether a content of that form makes sense.
        hint: what to do if it does not fit, where that is not to remove it.

    Raises InputError, which names the file and the member that does not fit.
    """
    found = read_json(path)
    place = misfit(found, form)
    if place is not None or (sound and not sound(found)):
        raise InputError(f"{path} is not {what}{f': see {place}' if place else ''}", hint=hint or f"remove {path}")
    return found


def misfit(found: Any, form: Form, place: str = "") -> str | None:
    """Where a value does not have a form, as ``member.member``, or None if it has."""
    if isinstance(form, tuple):
        return None if any(misfit(found, one) is None for one in form) else place
    if isinstance(form, list):
        return _first(found, dict.fromkeys(range(len(found)), form[0]), place) if isinstance(found, list) else place
    if isinstance(form, dict):
        if not isinstance(found, dict):
            return place
        return _first(found, {name: form[str] for name in found if str in form} | _named(form), place)
    if isinstance(form, type):
        fits = isinstance(found, (int, float) if form is float else form)
        return None if fits and (form is bool or not isinstance(found, bool)) else place
    return None if found == form else place


def finite(number: float) -> bool:
    """Whether a number from a JSON file is one that a float can be: not nan, not infinite, no longer integer."""
    return abs(number) <= sys.float_info.max


def _named(form: dict[Any, Form]) -> dict[str, Form]:
    return {name: one for name, one in form.items() if name is not str}


def _first(found: Any, forms: dict[Any, Form], place: str) -> str | None:
    """Where the first item or member is that is missing or does not fit."""
    for name, form in forms.items():
        inner = f"{place}.{name}".lstrip(".")
        missing = isinstance(found, dict) and name not in found
        wrong = inner if missing else misfit(found[name], form, inner)
        if wrong is not None:
            return wrong
    return None
