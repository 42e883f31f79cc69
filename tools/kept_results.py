"""Results of a tool as a JSON file, and what a run that was interrupted leaves for the next one."""

from __future__ import annotations

import json
import os
import shlex
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import click

from keyvault.errors import InputError, OutputError
from keyvault.files import check_outputs, write_whole
from measure import environment

PARTIAL = ".partial"


def command_line(context: click.Context) -> str:
    """What was asked for, without defaults and without folders of this machine."""
    words = ["python", f"tools/{context.command.name}.py"]
    for parameter in context.command.params:
        value = context.params[parameter.name or ""]
        if value is None or value is False or value == () or value == parameter.get_default(context):
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
    """Keeps what a run has found in OUTPUT.partial until its result is written to OUTPUT.

    The file has one JSON object a line: {"run": {"options", "environment"}} where a run starts or is taken up,
    {"kept": record} for each record.  Records are appended, so keeping one more costs the same however many
    there are; a last line that an interruption has cut short does not count.

    Attributes:
        output: the result's file, or None to keep nothing.
        options: everything that the records depend on, as JSON values.
        earlier: environments of interrupted runs that the records are of too.
    """

    output: Path | None
    options: Mapping[str, Any]
    earlier: list[dict[str, Any]] = field(default_factory=list)
    _end: int = field(default=0, init=False)
    _started: bool = field(default=False, init=False)

    def __post_init__(self) -> None:
        """OutputError unless both files can be written."""
        if self.output:
            check_outputs([self.output, self.partial], [])
        self.options = json.loads(json.dumps(self.options))  # as they come back from a file

    @property
    def partial(self) -> Path:
        """Where records are kept."""
        path = self.output or Path()
        return path.with_name(path.name + PARTIAL)

    def load(self) -> list[Any]:
        """The records of an interrupted run, oldest first.

        Raises:
            InputError: the file is damaged, or is of a run with other options.
        """
        if self.output is None or not self.partial.exists():
            return []
        records, self.earlier, self._end = [], [], 0
        try:
            with self.partial.open("rb") as file:
                for line in file:
                    if not line.endswith(b"\n"):
                        break
                    found = json.loads(line)
                    if "run" in found:
                        self._check(dict(found["run"]["options"]))
                        self.earlier.append(dict(found["run"]["environment"]))
                    else:
                        records.append(found["kept"])
                    self._end += len(line)
            if not self.earlier:
                raise ValueError("it does not say of which run it is")
        except (OSError, ValueError, KeyError, TypeError, RecursionError) as error:
            raise InputError(f"{self.partial} does not hold an interrupted run", hint="remove it") from error
        return records

    def _check(self, options: Mapping[str, Any]) -> None:
        if options != self.options:
            names = sorted(name for name in {*options, *self.options} if options.get(name) != self.options.get(name))
            raise InputError(
                f"{self.partial} is of a run with other options: {', '.join(names)}",
                hint="give the same ones, remove it, or name another output",
            )

    def append(self, record: Any) -> None:
        """Keep one more record, a JSON value; OutputError if it cannot be written."""
        if self.output is None:
            return
        start = [] if self._started else [{"run": {"options": self.options, "environment": environment()}}]
        data = b"".join(json.dumps(line).encode("ascii") + b"\n" for line in (*start, {"kept": record}))
        if self._end:
            self._extend(data)
        else:
            write_whole(self.partial, data)
        self._started, self._end = True, self._end + len(data)

    def _extend(self, data: bytes) -> None:
        try:
            with self.partial.open("ab") as file:
                file.truncate(self._end)  # of what an interruption has cut short
                file.write(data)
                file.flush()
                os.fsync(file.fileno())
        except OSError as error:
            raise OutputError(f"cannot write {self.partial}: {error.strerror}", hint="check free space") from error

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
