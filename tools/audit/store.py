"""Results of an audit that is under way, each in a file of its own, so that it can be stopped and resumed."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

from audit.appearance import Appearance
from audit.attack import DoesNotApplyError
from audit.finding import Finding, Stand
from audit.report import NotRun
from json_files import misfit
from keyvault.errors import InputError, OutputError
from keyvault.files import make_folder, write_whole

OPTIONS = "options.json"
_Result = TypeVar("_Result")


@dataclass(frozen=True, slots=True)
class Store:
    """A folder of one policy's results, all made with the same options.

    Attributes:
        folder: where they are.
        policy: its name.
    """

    folder: Path
    policy: str

    @classmethod
    def open(cls, work: Path, policy: str, options: dict[str, Any]) -> Store:
        """The results for a policy in the folder ``work``, or none yet.

        Raises:
            OutputError: they were made with other options, or cannot be kept there.
            InputError: the folder's options cannot be read.
        """
        folder = work / "".join(letter if letter.isalnum() or letter in "-_" else "_" for letter in policy)
        path = folder / OPTIONS
        if path.exists():
            _check_same(folder, _read(path, _options), options)
        else:
            make_folder(folder)
            write_whole(path, _json(options))
        return cls(folder, policy)

    def kept(self, attack: str, stand: Stand, make: Callable[[], Finding]) -> Finding | NotRun:
        """A result of an earlier run, or else what ``make`` returns, which is then kept.

        An attack that does not apply is kept as not run, with its reason; whatever else ``make`` raises is raised, and
        nothing is kept.  InputError if a result cannot be read.
        """
        path = self.folder / f"{attack}-{stand}.json"
        if path.exists():
            return _read(path, lambda found: self._result(attack, stand, found))
        result: Finding | NotRun
        try:
            result = make()
        except DoesNotApplyError as error:
            result = NotRun(attack, stand, self.policy, f"{error}; {error.hint}" if error.hint else str(error))
        write_whole(path, _json(result.to_json()))
        return result

    def kept_appearance(self, make: Callable[[], Appearance]) -> Appearance:
        """The same for what proves nothing."""
        path = self.folder / "appearance.json"
        if path.exists():
            return _read(path, Appearance.from_json)
        found = make()
        write_whole(path, _json(found.to_json()))
        return found

    def _result(self, attack: str, stand: Stand, found: Any) -> Finding | NotRun:
        """A kept result from JSON values; InputError if it is none, or not of this attack on this policy."""
        form = {"attack": attack, "stand": str(stand), "policy": self.policy}
        not_run = isinstance(found, dict) and "reason" in found
        place = misfit(found, form | {"reason": str} if not_run else form)
        if place is not None:
            raise InputError(f"see {place}" if place else "no result of the audit")
        return NotRun(attack, stand, self.policy, found["reason"]) if not_run else Finding.from_json(found)


def _options(found: Any) -> dict[str, Any]:
    if not isinstance(found, dict):
        raise InputError("no options")
    return found


def _check_same(folder: Path, before: dict[str, Any], options: dict[str, Any]) -> None:
    changed = [name for name in options if before.get(name) != options[name]]
    if changed:
        said = ", ".join(f"{name} {before.get(name)!s:.60}, not {options[name]!s:.60}" for name in changed)
        raise OutputError(f"{folder} was made with {said}", hint="give the same options, or another folder")


def _read(path: Path, understood: Callable[[Any], _Result]) -> _Result:
    """A file's JSON values, understood; InputError, which names the file to delete, if that fails."""
    try:
        return understood(json.loads(path.read_text()))
    except (OSError, ValueError, OverflowError, InputError) as error:
        raise InputError(f"{path} is damaged: {error!s:.100}", hint=f"delete {path} and audit again") from error


def _json(value: Any) -> bytes:
    return (json.dumps(value, indent=1) + "\n").encode("ascii")
