"""Layouts, and the laws that edges of a graph obey."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from keyed_helpers import random_tensor, shuffle, tables
from torch import nn

from inference.convert import secure
from inference.edges import Group, Order, unify
from inference.errors import InputMismatchError
from inference.layout import KeyedTensor, Layout


@pytest.mark.parametrize("axes", [(2, 3), (1,), (3,), (1, 2, 3)])
@pytest.mark.parametrize("orders", [1, 2])
def test_from_plain_and_reveal_are_inverse(axes: tuple[int, ...], orders: int) -> None:
    x = random_tensor(2, 3, 4, 5)
    extents = tuple(x.shape[axis] for axis in axes)
    layout = Layout(tables(orders, int(torch.tensor(extents).prod())), axes, extents)
    keyed = KeyedTensor.from_plain(x, layout)
    assert not torch.equal(keyed.values, x)
    assert torch.equal(keyed.reveal(), x)


def test_the_table_says_where_each_position_is_stored() -> None:
    x = random_tensor(2, 3, 4, 5)
    keyed = shuffle(x)
    for sample in range(2):
        for position, place in enumerate(keyed.layout.table[sample].tolist()):
            assert torch.equal(keyed.values[sample].flatten(1)[:, place], x[sample].flatten(1)[:, position])


MAP = tables(1, 12)
NO_LAYOUTS: dict[str, tuple[Any, Any, Any]] = {
    "int64": (torch.arange(12)[None], (2, 3), (3, 4)),
    "one axis": (MAP[0], (2, 3), (3, 4)),
    "no order": (MAP[:0], (2, 3), (3, 4)),
    "no tensor": (MAP.tolist(), (2, 3), (3, 4)),
    "another size": (MAP, (2, 3), (3, 5)),
    "axes from the end": (MAP, (-2, -1), (3, 4)),
    "axes apart": (MAP, (1, 3), (3, 4)),
    "descending axes": (MAP, (3, 2), (3, 4)),
    "the batch axis": (MAP, (0, 1), (3, 4)),
    "no axes": (tables(1, 1), (), ()),
    "axes in a list": (MAP, [2, 3], (3, 4)),
    "too few extents": (MAP, (2, 3), (12,)),
    "names": (MAP, ("h", "w"), (3, 4)),
    "twice the same": (torch.tensor([[0, 1, 1]], dtype=torch.int32), (1,), (3,)),
    "below zero": (torch.tensor([[0, 1, 2], [0, -1, 2]], dtype=torch.int32), (1,), (3,)),
    "beyond the end": (torch.tensor([[0, 1, 99]], dtype=torch.int32), (1,), (3,)),
}


@pytest.mark.parametrize("name", NO_LAYOUTS)
def test_what_is_no_layout_is_refused(name: str) -> None:
    with pytest.raises(InputMismatchError) as refusal:
        Layout(*NO_LAYOUTS[name])
    assert refusal.value.hint


def test_values_that_do_not_fit_a_layout_are_refused() -> None:
    layout = Layout(tables(3, 12), (2, 3), (3, 4))
    for shape in ((2, 1, 3, 4), (3, 1, 4, 3), (3, 3, 4), (3,)):
        for make in (KeyedTensor, KeyedTensor.from_plain):
            with pytest.raises(InputMismatchError, match="do not fit"):
                make(torch.zeros(shape), layout)
    with pytest.raises(InputMismatchError):
        KeyedTensor([1.0], layout)
    with pytest.raises(InputMismatchError):
        KeyedTensor(torch.zeros(3, 1, 3, 4), layout.table)


def test_a_table_is_looked_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    x = random_tensor(2, 3, 4, 5)
    network = secure(nn.Conv2d(3, 2, 3, padding=1).double().eval(), x)
    keyed, looked = shuffle(x), []
    monkeypatch.setattr("inference.layout._is_permutation", lambda table: looked.append(table) or True)
    network(keyed).reveal()
    list(network.intermediates(keyed.to("cpu").to(torch.float64)))
    assert not looked


def test_a_dtype_is_that_of_the_values() -> None:
    x = random_tensor(2, 3, 4, 5)
    found = shuffle(x).to(torch.float32)
    assert found.layout.table.dtype == torch.int32
    assert torch.equal(found.reveal(), x.float())
    assert torch.equal(found.to("cpu").reveal(), x.float())


def test_nothing_secret_is_printed() -> None:
    shown = repr(shuffle(random_tensor(2, 3, 4, 5)))
    assert "tensor" not in shown
    assert "(2, 3, 4, 5)" in shown


def order(size: int, name: str = "group", *, given: bool = False) -> Order:
    return Order.of(Group(size, name, given))


def test_a_reindexed_order_follows_its_elements() -> None:
    base = order(6)
    keys = {base.group: tables(2, 6)}
    index = torch.tensor([4, 0, 5])
    assert torch.equal(base.reindex(index).table(keys), keys[base.group][:, index])


def test_a_lifted_order_permutes_one_part_of_the_joint_index() -> None:
    base = order(4)
    keys = {base.group: tables(1, 4)}
    values = random_tensor(3, 4, 2)
    stored = torch.empty_like(values)
    stored[:, keys[base.group][0].long()] = values
    lifted = base.lift(3, 2).table(keys)[0].long()
    assert torch.equal(stored.flatten()[lifted], values.flatten())


def test_derivations_compose() -> None:
    base = order(4)
    keys = {base.group: tables(1, 4)}
    index, again = torch.randperm(8, generator=torch.Generator().manual_seed(0)), torch.tensor([3, 1, 7])
    derived = base.lift(2, 1).reindex(index).reindex(again)
    assert torch.equal(derived.table(keys), base.lift(2, 1).table(keys)[:, index[again]])
    assert derived.same(base.lift(2, 1).reindex(index[again]))


def test_unified_orders_have_one_table() -> None:
    one, other = order(6, "one"), order(6, "other")
    assert not one.same(other)
    assert unify(one, other)
    keys = {one.resolve().group: tables(1, 6)}
    assert torch.equal(one.table(keys), other.table(keys))


def test_orders_derived_from_two_groups_are_unified() -> None:
    flipped, rolled = torch.arange(6).flip(0), torch.arange(6).roll(2)
    one, other = order(6, "one"), order(6, "other")
    assert unify(one.reindex(flipped), other.reindex(rolled))
    keys = {one.resolve().group: tables(1, 6)}
    assert torch.equal(one.reindex(flipped).table(keys), other.reindex(rolled).table(keys))
    third = order(6, "third")
    assert unify(third, other.reindex(flipped))
    keys = {third.resolve().group: tables(1, 6)}
    assert torch.equal(one.reindex(flipped).table(keys), other.reindex(rolled).table(keys))
    assert torch.equal(third.table(keys), other.reindex(flipped).table(keys))


def test_a_group_is_bound_to_a_lifted_order() -> None:
    base, whole = order(3, "base"), order(6, "whole")
    assert unify(base.lift(2, 1), whole)
    keys = {base.group: tables(1, 3)}
    assert torch.equal(whole.table(keys), base.lift(2, 1).table(keys))
    assert torch.equal(whole.lift(1, 2).table(keys), base.lift(2, 2).table(keys))


def test_what_cannot_be_unified_is_left_alone() -> None:
    frame, inner = order(6, "frame", given=True), order(6, "inner")
    assert not unify(inner, frame)
    assert not unify(inner, order(5))
    assert not unify(inner, inner.reindex(torch.arange(6).flip(0)))
    assert inner.group.bound is None
