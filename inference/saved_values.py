"""What a saved network is described by, as JSON: numbers and text as they are, all else as tagged objects.

Nothing is looked up by a name outside of the tables in this file, and nothing is unpickled.
"""

from __future__ import annotations

import hashlib
import inspect
import math
from collections import OrderedDict
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import fields, is_dataclass
from types import ModuleType
from typing import Any

import torch
from torch import Tensor, fx

from inference import edges, operations, plan, taps
from inference.edges import Group, Order
from inference.errors import ModelError
from inference.saved_checks import check_parts, check_record

SETTINGS = {
    str(value): value
    for value in vars(torch).values()
    if isinstance(value, torch.dtype | torch.memory_format | torch.layout)
}


def _records(modules: Iterable[ModuleType]) -> dict[str, Any]:
    return {
        name: kind
        for module in modules
        for name, kind in inspect.getmembers(module, is_dataclass)
        if kind.__module__ == module.__name__ and kind not in _NO_RECORDS
    }


#: What has another form in the files, or none.
_NO_RECORDS = (Group, plan.Kitchen, plan.LayoutGroup, plan.Plan)
RECORDS = _records((edges, operations, plan, taps))


class Writer:
    """Encodes values; tensors and groups are put aside and referred to.

    Attributes:
        tensors: each once, by the name that it is referred to by.
        groups: each once; its index is how it is referred to.
    """

    def __init__(self) -> None:
        self.tensors: dict[str, Tensor] = {}
        self.groups: list[Group] = []
        self._known: dict[tuple[Any, ...], str] = {}

    def encode(self, value: Any) -> Any:
        """A JSON value.  Raises ModelError for what has no form."""
        if value is None or isinstance(value, bool | str | int) or (isinstance(value, float) and math.isfinite(value)):
            return value
        if isinstance(value, list):
            return self._all(value)
        if isinstance(value, Order):
            value = value.resolve()
        if type(value) in RECORDS.values():
            parts = {part.name: self.encode(getattr(value, part.name)) for part in fields(value)}
            return {"record": type(value).__name__, "parts": parts}
        for kind, name, describe in self._forms:
            if isinstance(value, kind):
                return {name: describe(value)}
        raise ModelError(
            f"a network that holds a {type(value).__name__} cannot be saved", hint="save what secure() returned"
        )

    @property
    def _forms(self) -> tuple[tuple[Any, str, Callable[[Any], Any]], ...]:
        """What is written as an object of one member: the kind, the member's name, and its value."""
        return (
            (float, "float", str),
            (fx.Node, "node", lambda node: node.name),
            (Tensor, "tensor", self._tensor),
            (Group, "group", self._group),
            (torch.device, "device", str),
            (torch.dtype | torch.memory_format | torch.layout, "setting", str),
            (slice, "slice", lambda part: self._all((part.start, part.stop, part.step))),
            (tuple, "tuple", self._all),
            (OrderedDict, "ordered", lambda mapping: self._all(map(list, mapping.items()))),
            (dict, "dict", lambda mapping: self._all(map(list, mapping.items()))),
        )

    def _all(self, values: Iterable[Any]) -> list[Any]:
        return [self.encode(value) for value in values]

    def _tensor(self, value: Tensor) -> str:
        kept = value.detach().cpu().contiguous()
        digest = hashlib.sha256(kept.reshape(-1).view(torch.uint8).numpy().tobytes()).digest()
        key = (kept.dtype, tuple(kept.shape), digest)
        if key not in self._known:
            self._known[key] = f"plan.{len(self._known)}"
            self.tensors[self._known[key]] = kept
        return self._known[key]

    def _group(self, group: Group) -> int:
        if group not in self.groups:
            self.groups.append(group)
        return self.groups.index(group)


class Reader:
    """Decodes what :class:`Writer` encoded.

    Raises KeyError, TypeError or ValueError for anything else; :mod:`inference.storage` names the file.
    """

    def __init__(self, tensors: Mapping[str, Tensor], groups: Sequence[Group]) -> None:
        #: Nodes of the graph that is being read, by name.
        self.nodes: dict[str, fx.Node] = {}
        self._forms: dict[str, Callable[[Any], Any]] = {
            "float": float,
            "node": self.nodes.__getitem__,
            "tensor": tensors.__getitem__,
            "group": groups.__getitem__,
            "device": torch.device,
            "setting": SETTINGS.__getitem__,
            "slice": lambda parts: slice(*self.decode(parts)),
            "tuple": lambda items: tuple(self.decode(items)),
            "ordered": lambda items: OrderedDict(self.decode(items)),
            "dict": lambda items: dict(self.decode(items)),
        }

    def decode(self, value: Any) -> Any:
        """The value that a JSON value stands for."""
        if isinstance(value, list):
            return [self.decode(item) for item in value]
        if not isinstance(value, dict):
            return value
        if "record" in value:
            return self._record(value["record"], value["parts"])
        [(kind, content)] = value.items()
        return self._forms[kind](content)

    def _record(self, name: str, parts: Mapping[str, Any]) -> Any:
        kind, decoded = RECORDS[name], {part: self.decode(content) for part, content in parts.items()}
        check_parts(kind, decoded)
        record = kind(**decoded)
        check_record(record)
        return record
