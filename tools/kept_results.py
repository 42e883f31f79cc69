"""Results of a tool as a JSON file, and what a run that was interrupted leaves for the next one."""

from __future__ import annotations

import hashlib
import json
import math
import shlex
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import click

from keyvault.errors import InputError
from keyvault.files import check_outputs, write_whole
from measure import environment

PARTIAL = ".partial"
_BLOCK = 1 << 20


def digest(path: Path) -> str:
    """SHA-256 of a file, in hexadecimal; InputError if it cannot be read."""
    found = hashlib.sha256()
    try:
        with path.open("rb") as file:
            while block := file.read(_BLOCK):
                found.update(block)
    except OSError as error:
        raise InputError(f"cannot read {path}: {error.strerror or error}", hint="check the path") from error
    return found.hexdigest()


def command_line(context: click.Context) -> str:
    """What was asked for, without defaults and without folders of this machine."""
    words = ["python", f"tools/{context.command.name}.py"]
    for parameter in context.command.params:
        value = context.params[parameter.name or ""]
        if value in (None, (), False) or value == parameter.get_default(context):
            continue
        if isinstance(parameter, click.Argument):
            words.append((parameter.name or "").upper())
            continue
        option = max(parameter.opts, key=len)
        several = value if isinstance(value, tuple) and parameter.multiple else (value,)
        for one in several:
            given = one if isinstance(one, tuple) else () if one is True else (one,)
            words += [option, *(word.name if isinstance(word, Path) else str(word) for word in given)]
    return shlex.join(words)


@dataclass
class Keeper:
    """Keeps a run's counts in OUTPUT.partial until its result is written to OUTPUT.

    Attributes:
        output: the result's file, or None to keep nothing.
        options: everything that the counts depend on, as JSON values.
        earlier: environments of interrupted runs that the counts are of too.
    """

    output: Path | None
    options: Mapping[str, Any]
    earlier: list[dict[str, Any]] = field(default_factory=list)
    _kept_at: float = field(default=-math.inf, init=False)

    def __post_init__(self) -> None:
        """OutputError unless both files can be written."""
        if self.output:
            check_outputs([self.output, self.partial], [])
        self.options = json.loads(json.dumps(self.options))  # as they come back from a file

    @property
    def partial(self) -> Path:
        """Where counts are kept."""
        path = self.output or Path()
        return path.with_name(path.name + PARTIAL)

    def load(self) -> dict[str, Any] | None:
        """The counts of an interrupted run, or None.

        Raises:
            InputError: the file is damaged, or is of a run with other options.
        """
        if self.output is None or not self.partial.exists():
            return None
        try:
            found = json.loads(self.partial.read_bytes())
            options, counts, self.earlier = found["options"], dict(found["counts"]), list(found["environments"])
        except (OSError, ValueError, KeyError, TypeError) as error:
            raise InputError(f"{self.partial} does not hold an interrupted run", hint="remove it") from error
        if options != self.options:
            names = sorted(name for name in {*options, *self.options} if options.get(name) != self.options.get(name))
            raise InputError(
                f"{self.partial} is of a run with other options: {', '.join(names)}",
                hint="give the same ones, remove it, or name another output",
            )
        return counts

    def store(self, counts: Mapping[str, Any], *, every: float = 0.0) -> None:
        """Keep counts, unless the last ones were kept less than ``every`` seconds ago."""
        if self.output is not None and time.monotonic() - self._kept_at >= every:
            self._kept_at = time.monotonic()
            content = {
                "options": self.options,
                "environments": [*self.earlier, environment()],
                "counts": counts,
            }
            write_whole(self.partial, json.dumps(content).encode("ascii"))

    def finish(self, command: str, figures: Mapping[str, Any]) -> None:
        """Write the result, and remove what was kept."""
        if self.output is None:
            return
        result = {
            "command": command,
            "environment": environment(),
            "resumed_from": self.earlier,
            "options": self.options,
            **figures,
        }
        write_whole(self.output, (json.dumps(result, indent=1) + "\n").encode("ascii"))
        self.partial.unlink(missing_ok=True)
