"""Results of an audit that is under way, each in a file of its own, so that it can be stopped and resumed."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeVar

from audit.appearance import Appearance
from audit.attack import DoesNotApplyError
from audit.finding import Finding, Stand
from audit.report import NotRun
from json_files import misfit, read_json
from keyvault.errors import InputError, OutputError
from keyvault.files import make_folder, write_whole
from measure import environment

OPTIONS = "options.json"
CODE = "code"  # of the options: a digest of the program
_ENVIRONMENT = {"date": str, "processor": str, "processors_usable": int, "python": str, "versions": {str: str}}
_Result = TypeVar("_Result")


@dataclass(frozen=True, slots=True)
class Store:
    """A folder of one policy's results, all made with the same options.

    Attributes:
        folder: where they are.
        policy: its name.
        made_on: where and when the results were made that it has given, of ``measure.environment``.
    """

    folder: Path
    policy: str
    made_on: list[dict[str, Any]] = field(default_factory=list)

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
            return _read(path, lambda found: self._result(attack, stand, self._made(found)))
        result: Finding | NotRun
        try:
            result = make()
        except DoesNotApplyError as error:
            result = NotRun(attack, stand, self.policy, f"{error}; {error.hint}" if error.hint else str(error))
        self._write(path, result.to_json())
        return result

    def kept_appearance(self, make: Callable[[], Appearance]) -> Appearance:
        """The same for what proves nothing."""
        path = self.folder / "appearance.json"
        if path.exists():
            return _read(path, lambda found: Appearance.from_json(self._made(found)))
        found = make()
        self._write(path, found.to_json())
        return found

    def _write(self, path: Path, result: dict[str, Any]) -> None:
        self.made_on.append(environment())
        write_whole(path, _json({"environment": self.made_on[-1], "result": result}))

    def _made(self, found: Any) -> dict[str, Any]:
        """The result in a kept file, whose environment is noted; InputError if it has none."""
        place = misfit(found, {"environment": _ENVIRONMENT, "result": dict})
        if place is not None:
            raise InputError(f"see {place}" if place else "no result of the audit")
        self.made_on.append(found["environment"])
        return dict(found["result"])

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
    if changed == [CODE]:
        raise OutputError(f"{folder} was made by another state of this program", hint="name another folder")
    if changed:
        said = ", ".join(f"{name} {before.get(name)!s:.60}, not {options[name]!s:.60}" for name in changed)
        raise OutputError(f"{folder} was made with {said}", hint="give the same options, or another folder")


def _read(path: Path, understood: Callable[[Any], _Result]) -> _Result:
    """A file's JSON values, understood; InputError, which names the file to delete, if that fails."""
    try:
        return understood(read_json(path))
    except InputError as error:
        raise InputError(f"{path} is damaged: {error!s:.100}", hint=f"delete {path} and audit again") from error


def _json(value: Any) -> bytes:
    return (json.dumps(value, indent=1) + "\n").encode("ascii")
