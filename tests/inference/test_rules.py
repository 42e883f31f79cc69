"""One property for every rule: the keyed operator on shuffled values is the plain one, shuffled."""

from __future__ import annotations

import pytest
import torch
from keyed_helpers import Apply, random_tensor, shuffle
from rule_cases import CASES, Case
from torch import Tensor, nn

from inference.convert import secure
from inference.errors import ModelError, UnsupportedOperatorError
from inference.layout import KeyedTensor
from inference.passes.cleanup import SAME_VALUES
from inference.passes.decompose import ALIASES, DECOMPOSITIONS
from inference.rules import RULES
from inference.rules.table import rule

TOLERANCE = 1e-10


def test_every_rule_has_a_case() -> None:
    assert {case.operator for case in CASES} == set(RULES) | set(DECOMPOSITIONS) | set(ALIASES)


@pytest.mark.parametrize("backend", ["gather", "reference"])
@pytest.mark.parametrize("case", CASES, ids=str)
def test_keyed_operator_equals_plain_operator(case: Case, backend: str) -> None:
    x = random_tensor(*case.shape)
    network = case.network.eval()
    keyed = secure(network, x, backend=backend)
    result = keyed(shuffle(x))
    with torch.no_grad():
        expected = network(x)
    found = result.reveal() if isinstance(result, KeyedTensor) else result
    assert found.shape == expected.shape
    assert found.dtype == expected.dtype
    torch.testing.assert_close(found, expected, rtol=TOLERANCE, atol=TOLERANCE)
    if isinstance(result, KeyedTensor):
        shuffled = KeyedTensor.from_plain(expected, result.layout)
        torch.testing.assert_close(result.values, shuffled.values, rtol=TOLERANCE, atol=TOLERANCE)


@pytest.mark.parametrize("case", CASES, ids=str)
def test_the_case_calls_its_operator(case: Case) -> None:
    x = random_tensor(*case.shape)
    exported = torch.export.export(case.network.eval(), (x,), dynamic_shapes=({0: torch.export.Dim.AUTO},))
    called = {str(node.target) for node in exported.graph.nodes if node.op == "call_function"}
    name, overload = str(case.operator).rsplit(".", 1)
    aliases = {str(case.operator), f"{name}_.{overload}"}
    aliases |= {str(view) for view, operator in SAME_VALUES.items() if operator is case.operator}
    assert called & aliases


def test_an_operator_has_one_rule() -> None:
    with pytest.raises(ValueError, match="two rules"):
        rule(torch.ops.aten.relu.default)(lambda call: call.source)


def with_autocast(x: Tensor) -> Tensor:
    with torch.autocast("cpu", dtype=torch.bfloat16):
        return x * 2


def test_a_region_with_autocast_is_refused() -> None:
    with pytest.raises(ModelError, match="autocast"):
        secure(Apply(with_autocast).eval(), random_tensor(2, 6, 5, 7))


REFUSED = {
    "softmax over samples": lambda x: x.softmax(0),
    "joined along rows": lambda x: torch.cat([x, x], 2),
    "positions moved between samples": lambda x: x.flip(0),
    "shuffled weight": lambda x: nn.functional.conv2d(x[:1], x[:1]),
    "normalised along rows": lambda x: nn.functional.layer_norm(x, (7,)),
    "columns repeated": lambda x: x.repeat_interleave(2, 3),  # rows would lie in true order
    "no rule": lambda x: torch.cumsum(x, 3),
}


@pytest.mark.parametrize("name", REFUSED)
def test_what_cannot_be_keyed_is_refused(name: str) -> None:
    with pytest.raises(UnsupportedOperatorError) as refusal:
        secure(Apply(REFUSED[name]).eval(), random_tensor(2, 6, 5, 7))
    assert refusal.value.operators[0].source.rpartition(":")[0].endswith("keyed_helpers.py")
