"""Factors of a flat index: what moves whole, what does not, and the tables of their products."""

from __future__ import annotations

import torch
from keyed_helpers import tables

from inference.edges import PLAIN, Factor, Factored, Group, Keyed, Order, Product, join
from inference.factors import blocks, carried, factors_of, law_of_factors, samples

WINDOWS, TOKENS = Order.of(Group(3, "windows")), Order.of(Group(4, "tokens"))
BATCH = samples(2)
FACTORS = (BATCH, Factor(3, WINDOWS), Factor(4, TOKENS), Factor(5))
SIZES = (2, 3, 4, 5)
INDEX = torch.arange(2 * 60).view(SIZES)


def kinds(factors: tuple[Factor, ...] | None) -> list[object]:
    return [factor.order or ("batch" if factor.batch else factor.size) for factor in factors or ()]


def test_reshaping_keeps_factors_and_transposing_exchanges_them() -> None:
    assert kinds(carried(FACTORS, INDEX.reshape(6, 20))) == ["batch", WINDOWS, TOKENS, 5]
    assert kinds(carried(FACTORS, INDEX.permute(2, 0, 3, 1))) == [TOKENS, "batch", 5, WINDOWS]
    assert kinds(carried(FACTORS, INDEX.unsqueeze(1).expand(-1, 7, -1, -1, -1))) == ["batch", 7, WINDOWS, TOKENS, 5]
    assert kinds(carried(FACTORS, INDEX[..., 1:3])) == ["batch", WINDOWS, TOKENS, 2]


def test_what_breaks_a_factor_is_not_carried() -> None:
    assert carried(FACTORS, INDEX[:, 1]) is None
    assert carried(FACTORS, INDEX.flip(2)) is None
    assert carried(FACTORS, INDEX.flip(0)) is None
    assert carried(FACTORS, INDEX[:, :, :2]) is None
    moved = INDEX.clone()
    moved[:, 1] = moved[:, 1].flip(-1)  # channels exchanged in one window only
    assert carried(FACTORS, moved) is None


def test_blocks_are_the_smallest_runs_of_axes() -> None:
    found = blocks(FACTORS, (6, 4, 5))
    assert [(block.first, block.last, block.fixed) for block in found] == [(0, 1, False), (1, 2, False), (2, 3, True)]
    joint = blocks((BATCH, Factor(12, Order.of(Group(12, "map"))), Factor(10)), (6, 4, 2, 5))
    assert [(block.first, block.last) for block in joint] == [(0, 2), (2, 3), (3, 4)]


def test_laws_are_as_simple_as_they_can_be() -> None:
    order = Order.of(Group(12, "map"))
    simple = law_of_factors((BATCH, Factor(5), Factor(12, order)), (2, 5, 3, 4))
    assert isinstance(simple, Keyed)
    assert simple.axes == (2, 3)
    assert simple.order.same(order)
    lifted = law_of_factors((BATCH, Factor(5), Factor(12, order)), (2, 60))
    assert isinstance(lifted, Keyed)
    assert lifted.order.same(order.lift(5, 1))
    assert law_of_factors((BATCH, Factor(5)), (2, 5)) is PLAIN
    several = law_of_factors(FACTORS, (6, 4, 5))
    assert isinstance(several, Factored)
    assert kinds(factors_of(several, (6, 4, 5))) == ["batch", WINDOWS, TOKENS, 5]


def test_the_table_of_a_product_is_that_of_its_factors() -> None:
    keys = {WINDOWS.group: tables(1, 3, seed=1), TOKENS.group: tables(1, 4, seed=2)}
    found = Product((Factor(3, WINDOWS), Factor(2), Factor(4, TOKENS))).table(keys)[0]
    for window in range(3):
        for plain in range(2):
            for token in range(4):
                place = (int(keys[WINDOWS.group][0, window]) * 2 + plain) * 4 + int(keys[TOKENS.group][0, token])
                assert int(found[(window * 2 + plain) * 4 + token]) == place


def test_products_are_the_same_if_their_factors_are() -> None:
    both = join([Factor(3, WINDOWS), Factor(4, TOKENS)])
    assert both is not None
    assert both.same(Product((Factor(3, WINDOWS), Factor(4, TOKENS))))
    assert not both.same(Product((Factor(3, Order.of(Group(3, "others"))), Factor(4, TOKENS))))
    assert not both.same(WINDOWS)
    assert not WINDOWS.same(both)
    assert join([Factor(3), Factor(4)]) is None
