"""A network that computes on shuffled inputs."""

from __future__ import annotations

import copy
import os
import threading
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, NoReturn, SupportsIndex

import torch
from torch import Tensor, fx, nn
from torch.utils import _pytree as pytree

from inference.edges import Group
from inference.errors import InputMismatchError, ModelError
from inference.graphs import module_path, place, read_constant
from inference.layout import KeyedTensor
from inference.plan import Kitchen, LayoutGroup, Plan, keyed_value
from keyvault.expansion import uniform_table

Draw = Callable[[int], Tensor]
#: Attributes of a KeyedModule that copies of it do not get.
_OF_THIS_OBJECT = frozenset({"_keys", "_lock", "_stamps", "_weights"})


def draw_uniform(positions: int) -> Tensor:
    """int32 (positions,): a uniform permutation from this machine's randomness."""
    return torch.from_numpy(uniform_table(os.urandom(32), positions))


@dataclass(frozen=True, slots=True)
class Intermediate:
    """One value inside a keyed network.

    Attributes:
        name: the operator that made it.
        module: dotted path of the module it belongs to; empty for the network itself.
        value: a KeyedTensor where it is shuffled.
    """

    name: str
    module: str
    value: Tensor | KeyedTensor


@dataclass(frozen=True, slots=True)
class _Keys:
    """Tables of the inner groups, and the inputs of the graph that follow from them; others are None."""

    tables: Mapping[Group, Tensor] = field(repr=False)
    inputs: tuple[Any, ...] = field(repr=False)


@dataclass(frozen=True, slots=True)
class _Stamp:
    """Where a weight lies, and how often it was written to, if that is counted.

    It keeps the memory, so that nothing else gets the address.
    """

    address: int
    writes: int | None
    weight: Tensor = field(compare=False, repr=False)

    @classmethod
    def of(cls, weight: Tensor) -> _Stamp:
        """As it is now."""
        return cls(weight.data_ptr(), None if weight.is_inference() else weight._version, weight)  # noqa: SLF001


class KeyedModule(nn.Module):
    """A network converted by :func:`inference.convert.secure`.

    Calling it with a :class:`~inference.layout.KeyedTensor` of shape (N, C, H, W) returns what the
    plain network returns for the plain tensor: plain where the result has no shuffled positions,
    such as class scores, and a KeyedTensor where it has.

    Inner layouts are drawn from this machine's randomness, one for each layout group; all samples
    of one call share them.  They are renewed before a call that would bring the frames seen under
    them above ``rekey_every``, and they are in no state_dict.

    Its weights may be changed: what was made of them is made anew at the next call.  A write into
    ``weight.data`` is the exception, since torch does not count it; write into ``weight.detach()``.

    It is for inference: no gradient flows.  Several threads may call it.
    """

    _like: Tensor
    _keys: _Keys | None
    _weights: tuple[Any, ...] | None
    _stamps: tuple[_Stamp, ...]

    def __init__(self, network: fx.GraphModule, plan: Plan, sample: Tensor, rekey_every: int) -> None:
        super().__init__()
        self.network, self.plan, self.rekey_every = network, plan, rekey_every
        #: Where inner layouts come from; measurements may put something repeatable here.
        self.draw: Draw = draw_uniform
        self.register_buffer("_like", sample.new_empty(0), persistent=False)
        self._lock = threading.Lock()
        self._forget()
        self.eval()

    @property
    def groups(self) -> tuple[LayoutGroup, ...]:
        """Which edges share an order."""
        return self.plan.groups

    @property
    def dtype(self) -> torch.dtype:
        """Of its inputs."""
        return self._like.dtype

    @property
    def device(self) -> torch.device:
        """Where it runs."""
        return self._like.device

    def forward(self, x: KeyedTensor) -> Any:
        """Run the network.

        Raises InputMismatchError, before anything is computed, if ``x`` is not a KeyedTensor of the
        network's input shape, dtype and device, shuffled along its positions.
        """
        with torch.no_grad():
            keys, inputs = self.prepare(x)
            results = self.network(x.values, *inputs)
            wrapped = [keyed_value(result, law, keys) for result, law in zip(results, self.plan.results, strict=True)]
        return pytree.tree_unflatten(wrapped, self.plan.tree)

    def intermediates(self, x: KeyedTensor) -> Iterator[Intermediate]:
        """Run the network and look at every tensor inside, from the input on."""
        with torch.no_grad():
            keys, inputs = self.prepare(x)
            seen: list[Intermediate] = []
            _Observer(self.network, self.plan, keys, seen).run(x.values, *inputs)
        yield from seen

    def rekey(self) -> None:
        """Draw new inner layouts now."""
        with self._lock:
            self._renew()

    def extra_repr(self) -> str:
        """What a print shows."""
        return f"backend={self.plan.backend.name}, groups={len(self.plan.drawn)}, rekey_every={self.rekey_every}"

    def _check(self, x: KeyedTensor) -> None:
        if not isinstance(x, KeyedTensor):
            raise InputMismatchError(
                f"a keyed network takes a KeyedTensor, not a {type(x).__name__}",
                hint="open frames with inference.isp(), or call the plain network",
            )
        if not x.shape[0]:
            raise InputMismatchError("the input has no samples", hint="leave out calls without frames")
        like, shape = self._like, tuple(x.shape)
        expected = "x".join("N" if size is None else str(size) for size in self.plan.shape)
        if len(shape) != len(self.plan.shape) or any(
            size not in (None, found) for size, found in zip(self.plan.shape, shape, strict=True)
        ):
            raise InputMismatchError(
                f"the network takes {expected}, the input is {'x'.join(map(str, shape))}",
                hint="give isp() the network's size, or convert the network for this one",
            )
        if x.layout.axes != self.plan.entry.axes:
            raise InputMismatchError(
                f"the network takes axes {self.plan.entry.axes} shuffled, not {x.layout.axes}",
                hint="convert the network with an example input of this kind",
            )
        if x.values.dtype != like.dtype:
            raise InputMismatchError(
                f"the network computes in {like.dtype}, the input is {x.values.dtype}",
                hint="convert one of them with .to()",
            )
        if x.values.device != like.device or x.layout.table.device != like.device:
            raise InputMismatchError(
                f"the network is on {like.device}, the input's values on {x.values.device} and its layout on "
                f"{x.layout.table.device}",
                hint="move both with .to()",
            )

    def prepare(self, x: KeyedTensor) -> tuple[Mapping[Group, Tensor], list[Any]]:
        """Tables of all groups, and the lowered graph's inputs after ``x.values``, for one call.

        For those that run the graph themselves; it counts as a call.  Raises InputMismatchError.
        """
        self._check(x)
        with self._lock:
            frames, weights = x.values.shape[0], self.arranged()
            stale = self._seen and self._seen + frames > self.rekey_every
            keys = self._renew() if self._keys is None or stale else self._keys
            self._seen += frames
        kitchen = self._kitchen({**keys.tables, self.plan.frame_group: x.layout.table})
        inputs = []
        for ingredient, of_weights, of_keys in zip(self.plan.ingredients, weights, keys.inputs, strict=True):
            ready = of_weights if of_keys is None else of_keys
            inputs.append(ingredient.make(kitchen) if ready is None else ready)
        return kitchen.keys, inputs

    def _renew(self) -> _Keys:
        device = self._like.device
        tables = {group: self.draw(group.size)[None].to(device) for group in self.plan.drawn}
        self._keys = _Keys(tables, self._make("keys", tables))
        self._seen = 0
        return self._keys

    def arranged(self) -> tuple[Any, ...]:
        """The lowered graph's inputs that follow from weights alone; others are None.

        They are made once, and anew, as those that follow from keys, if the weights have changed since.
        """
        stamps = tuple(_Stamp.of(read_constant(self.network, path)) for path in self.plan.weights)
        if self._weights is None or stamps != self._stamps:
            self._keys, self._weights, self._stamps = None, self._make("weights", {}), stamps
        return self._weights

    def _make(self, kind: str, tables: Mapping[Group, Tensor]) -> tuple[Any, ...]:
        kitchen, plan = self._kitchen(tables), self.plan
        return tuple(i.make(kitchen) if plan.kind(i) == kind else None for i in plan.ingredients)

    def _kitchen(self, tables: Mapping[Group, Tensor]) -> Kitchen:
        return Kitchen(tables, self.network, self.plan.backend, self._like.dtype, self._like.device)

    def _forget(self) -> None:
        """Drop everything that follows from keys or weights; the next call makes it anew."""
        with self._lock:
            self._keys = self._weights = None
            self._stamps = ()
            self._seen = 0

    def _apply(self, fn: Callable[[Tensor], Tensor], recurse: bool = True) -> KeyedModule:
        super()._apply(fn, recurse)  # type: ignore[no-untyped-call]
        place(self.network, self.device)
        self._forget()
        return self

    def __getstate__(self) -> dict[str, Any]:
        return {name: value for name, value in self.__dict__.items() if name not in _OF_THIS_OBJECT}

    def __setstate__(self, state: dict[str, Any]) -> None:
        super().__setstate__(state)  # type: ignore[no-untyped-call]
        self._lock = threading.Lock()
        self._forget()

    def __deepcopy__(self, memo: dict[int, Any]) -> KeyedModule:
        twin = type(self).__new__(type(self))
        memo[id(self)] = twin
        twin.__setstate__(copy.deepcopy(self.__getstate__(), memo))
        return twin

    def __reduce_ex__(self, protocol: SupportsIndex) -> NoReturn:
        raise ModelError(
            "a keyed network has no pickle",
            hint="write it to files with inference.save(), copy it with copy.deepcopy()",
        )


def single(net: object) -> KeyedModule:
    """``net``, if it is a keyed network.  Raises ModelError."""
    if isinstance(net, KeyedModule):
        return net
    raise ModelError(
        f"a {type(net).__name__} is not a single keyed network",
        hint="give what inference.secure() returned, or one of a detector's parts",
    )


class _Observer(fx.Interpreter):
    """Runs a lowered graph and keeps every tensor that flows in it."""

    def __init__(
        self, network: fx.GraphModule, plan: Plan, keys: Mapping[Group, Tensor], seen: list[Intermediate]
    ) -> None:
        super().__init__(network)
        self.plan, self.keys, self.seen = plan, keys, seen

    def run_node(self, n: fx.Node) -> Any:
        """Compute a node and note its value."""
        result = super().run_node(n)
        law = self.plan.laws.get(n.name)
        if law is not None and n.op != "get_attr" and isinstance(result, Tensor):
            value = result.clone()  # the next operator may write over it
            self.seen.append(Intermediate(n.name, module_path(n), keyed_value(value, law, self.keys)))
        return result
