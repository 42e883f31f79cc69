"""Converting a network: what is refused, what changes with keys, what is kept and what never is."""

from __future__ import annotations

import copy
import io
from collections.abc import Callable

import pytest
import torch
from keyed_helpers import Apply, random_tensor, randomise, shuffle, tables
from torch import Tensor, fx, nn
from torch.nn import functional as F
from torch.utils import _pytree as pytree

from inference.convert import REKEY_EVERY, secure
from inference.edges import PLAIN, Group, Keyed, Order
from inference.errors import DeviceUnavailableError, InputMismatchError, ModelError, UnsupportedOperatorError
from inference.layout import KeyedTensor, Layout
from inference.module import KeyedModule
from inference.operations import Conv, keyed
from inference.passes import (
    LayoutCheckError,
    assign_layouts,
    check_layouts,
    fold_batch_norm,
    fold_constants,
    fuse_activations,
    fuse_sums,
    remove_no_ops,
    remove_writes,
)


class Small(nn.Module):
    """Convolutions, a residual sum, pooling, and a linear layer on the flattened map."""

    def __init__(self) -> None:
        super().__init__()
        self.first = nn.Conv2d(3, 8, 3, padding=1, bias=False)
        self.norm = nn.BatchNorm2d(8)
        self.second = nn.Conv2d(8, 8, 3, padding=1)
        self.relu = nn.ReLU(inplace=True)
        self.pool = nn.MaxPool2d(2)
        self.drop = nn.Dropout()
        self.classifier = nn.Linear(8 * 4 * 5, 4)

    def forward(self, x: Tensor) -> Tensor:
        x = self.relu(self.norm(self.first(x)))
        x = x + self.second(x)
        return self.classifier(self.drop(torch.flatten(self.pool(x), 1)))


@pytest.fixture
def small() -> nn.Module:
    return randomise(Small().double())


X = random_tensor(3, 3, 8, 10)


def tables_of(network: KeyedModule, x: KeyedTensor) -> list[Tensor]:
    return [i.value.layout.table for i in network.intermediates(x) if isinstance(i.value, KeyedTensor)]


def test_batches_of_any_size_under_keys_of_their_own(small: nn.Module) -> None:
    network = secure(small, X[:1])
    for samples in (1, 2, 5):
        x = random_tensor(samples, 3, 8, 10, seed=samples)
        torch.testing.assert_close(network(shuffle(x)), small(x), rtol=1e-10, atol=1e-10)
        torch.testing.assert_close(network(shuffle(x, shared=True)), small(x), rtol=1e-10, atol=1e-10)


def test_a_keyed_example_gives_the_same_network(small: nn.Module) -> None:
    x = shuffle(X)
    torch.testing.assert_close(secure(small, x)(x), small(X), rtol=1e-10, atol=1e-10)


def test_a_network_that_fixes_its_batch_size_is_converted_for_two_samples() -> None:
    network = secure(Apply(lambda x: F.relu(x).view(2, 3, 80)).eval(), X)
    found = network(shuffle(X[:2]))
    assert torch.equal(found.reveal(), X[:2].relu().view(2, 3, 80))
    with pytest.raises(InputMismatchError, match="2x3x8x10"):
        network(shuffle(X))


def test_the_network_given_is_not_changed(small: nn.Module) -> None:
    before = {name: value.clone() for name, value in small.state_dict().items()}
    expected = small(X)
    secure(small, X)
    assert all(torch.equal(value, before[name]) for name, value in small.state_dict().items())
    assert torch.equal(small(X), expected)


def test_a_network_in_training_mode_is_refused(small: nn.Module) -> None:
    small.norm.train()
    with pytest.raises(ModelError, match="training mode"):
        secure(small, X)


def test_bad_options_are_refused(small: nn.Module) -> None:
    with pytest.raises(ModelError, match="backend"):
        secure(small, X, backend="scatter")
    with pytest.raises(ModelError, match="rekey_every"):
        secure(small, X, rekey_every=0)
    with pytest.raises(InputMismatchError, match="floating point"):
        secure(small, X[0])
    with pytest.raises(ModelError, match="cannot be exported"):
        secure(small, X[:, :2])


def test_an_absent_device_is_refused(small: nn.Module) -> None:
    if torch.cuda.is_available():
        pytest.skip("there is CUDA here")
    with pytest.raises(DeviceUnavailableError):
        secure(small, X, device="cuda")
    with pytest.raises(DeviceUnavailableError):
        secure(small, X, device="no such device")
    torch.testing.assert_close(secure(small, X, device="cpu")(shuffle(X)), small(X), rtol=1e-10, atol=1e-10)


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        (lambda: X, "takes a KeyedTensor"),
        (lambda: shuffle(X[:, :2]), "Nx3x8x10"),
        (lambda: shuffle(X[:, :, :7]), "Nx3x8x10"),
        (lambda: KeyedTensor(X.transpose(2, 3), Layout(tables(1, 80), (2, 3), (10, 8))), "Nx3x8x10"),
        (lambda: shuffle(X.float()), "float64"),
        (lambda: KeyedTensor(X, Layout(tables(1, 10), (3,), (10,))), "axes"),
        (lambda: KeyedTensor(X.to("meta"), Layout(tables(1, 80).to("meta"), (2, 3), (8, 10))), "meta"),
    ],
)
def test_wrong_inputs_are_refused(small: nn.Module, wrong: Callable[[], KeyedTensor], message: str) -> None:
    network = secure(small, X)
    with pytest.raises(InputMismatchError, match=message):
        network(wrong())
    with pytest.raises(InputMismatchError, match=message):
        list(network.intermediates(wrong()))


class Odd(nn.Module):
    """Two operators without a rule, and one behind global pooling that needs none."""

    def __init__(self) -> None:
        super().__init__()
        self.inner = Apply(lambda x: torch.cumsum(x, 3))

    def forward(self, x: Tensor) -> Tensor:
        x = self.inner(x)
        x = torch.special.erfcx(x)
        return torch.cumsum(x.mean((2, 3)), 1)


def test_everything_missing_is_named_at_once() -> None:
    with pytest.raises(UnsupportedOperatorError) as refusal:
        secure(Odd().eval(), X)
    missing = refusal.value.operators
    assert [(entry.operator, entry.module) for entry in missing] == [
        ("aten.cumsum.default", "inner"),
        ("aten.special_erfcx.default", ""),
    ]
    assert [e.source.rpartition(":")[0].rpartition("/")[2] for e in missing] == ["keyed_helpers.py", "test_convert.py"]


def test_an_operator_that_loses_the_map_is_named_too() -> None:
    with pytest.raises(UnsupportedOperatorError) as refusal:
        secure(Apply(lambda x: torch.cumsum(x.flip(0).relu(), 2)).eval(), X)
    assert [entry.operator.partition(" ")[0] for entry in refusal.value.operators] == [
        "aten.flip.default",
        "aten.cumsum.default",
    ]


def test_rekeying_changes_every_table_and_no_result(small: nn.Module) -> None:
    network, x = secure(small, X), shuffle(X)
    before, first = tables_of(network, x), network(x)
    assert all(torch.equal(a, b) for a, b in zip(before, tables_of(network, x), strict=True))
    network.rekey()
    after = tables_of(network, x)
    assert torch.equal(before[0], after[0])  # the frame's own
    assert not any(torch.equal(a, b) for a, b in zip(before[1:], after[1:], strict=True))
    torch.testing.assert_close(network(x), first, rtol=1e-12, atol=1e-12)


def test_layouts_are_renewed_before_they_have_seen_too_many_frames(small: nn.Module) -> None:
    network, x = secure(small, X, rekey_every=7), shuffle(X)
    drawn: list[int] = []
    draw = network.draw

    def counted(positions: int) -> Tensor:
        drawn.append(positions)
        return draw(positions)

    network.draw = counted
    per_renewal = len(network.groups)
    for calls, renewals in ((1, 1), (2, 1), (3, 2), (4, 2), (5, 3)):
        network(x)  # 3 frames
        assert len(drawn) == renewals * per_renewal, calls
    network(shuffle(random_tensor(9, 3, 8, 10)))  # more than fit: one renewal, not two
    assert len(drawn) == 4 * per_renewal
    assert REKEY_EVERY < 100


def test_two_conversions_share_no_layout(small: nn.Module) -> None:
    one, other = (tables_of(secure(small, X), shuffle(X)) for _ in range(2))
    assert not any(torch.equal(a, b) for a, b in zip(one[1:], other[1:], strict=True))


def test_layouts_are_saved_nowhere(small: nn.Module) -> None:
    network, x = secure(small, X), shuffle(X)
    expected, before = network(x), tables_of(network, x)
    assert set(network.state_dict()) == {
        f"network.{name}"
        for name in (
            "first.weight",
            "first.bias",
            "second.weight",
            "second.bias",
            "classifier.weight",
            "classifier.bias",
        )
    }
    twin = copy.deepcopy(network)
    torch.testing.assert_close(twin(x), expected, rtol=1e-12, atol=1e-12)
    assert not any(torch.equal(a, b) for a, b in zip(before[1:], tables_of(twin, x)[1:], strict=True))
    held = b"".join(t.numpy().tobytes() for t in pytree.tree_leaves(network.__getstate__()) if isinstance(t, Tensor))
    assert not any(table.numpy().tobytes() in held for table in before)
    assert not {"_keys", "_weights"} & set(network.__getstate__())


def test_weights_can_be_saved_and_loaded(small: nn.Module) -> None:
    network, other = secure(small, X), secure(randomise(Small().double(), seed=5), X)
    buffer = io.BytesIO()
    torch.save(network.state_dict(), buffer)
    buffer.seek(0)
    other(shuffle(X))  # so that arranged weights of the old ones exist
    other.load_state_dict(torch.load(buffer, weights_only=True))
    torch.testing.assert_close(other(shuffle(X)), small(X), rtol=1e-10, atol=1e-10)


def test_a_network_can_be_moved_to_another_dtype(small: nn.Module) -> None:
    network = secure(small, X)
    expected = network(shuffle(X))
    found = network.float()(shuffle(X.float()))
    torch.testing.assert_close(found, expected.float(), rtol=1e-4, atol=1e-4)
    torch.testing.assert_close(expected, small(X), rtol=1e-10, atol=1e-10)  # which did not move


def test_groups_name_who_shares_an_order(small: nn.Module) -> None:
    groups = secure(small, X).groups
    assert [(group.name, group.positions) for group in groups] == [("x_entry", 80), ("relu_", 80), ("max_pool2d", 20)]
    assert groups[1].operators == ("relu_", "add")  # unified by the residual sum


def test_intermediates_are_those_of_the_plain_network(small: nn.Module) -> None:
    network, plain = secure(small, X), dict[str, Tensor]()
    for name in ("relu", "pool"):
        small.get_submodule(name).register_forward_hook(lambda _, __, out, name=name: plain.update({name: out}))
    small(X)
    seen = {i.module: i.value for i in network.intermediates(shuffle(X))}
    for name, expected in plain.items():
        torch.testing.assert_close(seen[name].reveal(), expected, rtol=1e-10, atol=1e-10)
        assert not torch.allclose(seen[name].values, expected)


def exported(network: nn.Module, x: Tensor = X) -> fx.GraphModule:
    program = torch.export.export(network.eval(), (x[:2],), dynamic_shapes=({0: torch.export.Dim.AUTO},))
    return program.module(check_guards=False)


def targets(module: fx.GraphModule) -> list[str]:
    return [str(node.target) for node in module.graph.nodes if node.op == "call_function"]


def test_no_ops_and_writes_are_removed(small: nn.Module) -> None:
    module = remove_no_ops(remove_writes(exported(small)))
    assert "aten.dropout.default" not in targets(module)
    assert "aten.relu.default" in targets(module)
    torch.testing.assert_close(module(X), small(X), rtol=1e-12, atol=1e-12)


def in_place_later(x: Tensor) -> Tensor:
    y = x * 1
    before = y + 1
    y.add_(5)
    return before * y


def in_place_on_a_view(x: Tensor) -> Tensor:
    y = x * 1
    y[:, :1].add_(5)
    return y


def in_place_under_a_view(x: Tensor) -> Tensor:
    y = x * 1
    part = y[:, :1]
    y.add_(5)
    return y * part


def test_what_is_read_after_a_write_reads_its_result() -> None:
    network = Apply(in_place_later).eval()
    assert torch.equal(remove_writes(exported(network))(X), in_place_later(X))
    assert torch.equal(secure(network, X)(shuffle(X)).reveal(), in_place_later(X))


@pytest.mark.parametrize("function", [in_place_on_a_view, in_place_under_a_view])
def test_a_write_that_reaches_a_view_is_not_rewritten(function: Callable[[Tensor], Tensor]) -> None:
    network = Apply(function).eval()
    assert torch.equal(remove_writes(exported(network))(X), function(X))
    with pytest.raises(UnsupportedOperatorError, match="add_"):
        secure(network, X)


class SharedWeight(nn.Module):
    """One convolution used twice, with a norm behind one use: folding must not change the other."""

    def __init__(self) -> None:
        super().__init__()
        self.conv = nn.Conv2d(3, 3, 3, padding=1)
        self.norm = nn.BatchNorm2d(3)

    def forward(self, x: Tensor) -> Tensor:
        return self.conv(self.norm(self.conv(x)))


class NormThatCannotFold(nn.Module):
    """The convolution's result has another reader."""

    def __init__(self) -> None:
        super().__init__()
        self.conv = nn.Conv2d(3, 3, 3, padding=1, bias=False)
        self.norm = nn.BatchNorm2d(3, affine=False)

    def forward(self, x: Tensor) -> Tensor:
        x = self.conv(x)
        return self.norm(x) + x


@pytest.mark.parametrize(("kind", "left"), [(Small, 0), (SharedWeight, 0), (NormThatCannotFold, 1)])
def test_batch_norms_fold_where_they_can(kind: type[nn.Module], left: int) -> None:
    network = randomise(kind().double())
    module = fold_batch_norm(exported(network))
    assert targets(module).count("aten.batch_norm.default") == left
    torch.testing.assert_close(module(X), network(X), rtol=1e-12, atol=1e-12)
    result = secure(network, X)(shuffle(X))
    found = result.reveal() if isinstance(result, KeyedTensor) else result
    torch.testing.assert_close(found, network(X), rtol=1e-10, atol=1e-10)


class FromConstants(nn.Module):
    """A mask written piece by piece, a parameter of which a copy is written to, a weight that is computed."""

    def __init__(self) -> None:
        super().__init__()
        self.bias = nn.Parameter(random_tensor(3, seed=1))
        self.weight = nn.Parameter(random_tensor(4, 3, 3, 3, seed=2))

    def forward(self, x: Tensor) -> Tensor:
        mask = x.new_zeros((8, 10))
        mask[2:4] = 1
        mask[:, 5:] += 2
        bias = self.bias.clone()
        bias[1:].zero_()
        return F.conv2d(x * mask + bias[:, None, None], self.weight / self.weight.norm())


def test_what_follows_from_parameters_is_computed_once() -> None:
    network = FromConstants()
    before = {name: value.clone() for name, value in network.state_dict().items()}
    module = fold_constants(exported(network))
    assert targets(module) == ["aten.mul.Tensor", "aten.add.Tensor", "aten.conv2d.default"]
    torch.testing.assert_close(module(X), network(X), rtol=1e-12, atol=1e-12)
    assert all(torch.equal(value, before[name]) for name, value in network.state_dict().items())
    torch.testing.assert_close(secure(network.eval(), X)(shuffle(X)).reveal(), network(X), rtol=1e-10, atol=1e-10)


def test_activations_are_fused_where_they_are_the_only_reader() -> None:
    conv = nn.Conv2d(3, 3, 3).double()
    alone = fuse_activations(planned(nn.Sequential(conv, nn.ReLU())))
    assert "aten.relu.default" not in targets(alone)
    assert operation_of(alone, Conv).activation == "relu"
    read_twice = fuse_activations(planned(Apply(lambda x: conv(x) + conv(x).relu())))
    assert targets(read_twice).count("aten.relu.default") == 0
    shared = fuse_activations(planned(Apply(lambda x: (y := conv(x)) + y.relu())))
    assert targets(shared).count("aten.relu.default") == 1


def test_sums_are_fused_into_a_convolution_that_only_they_read() -> None:
    conv, wide = nn.Conv2d(3, 3, 3, padding=1).double(), nn.Conv2d(3, 3, 3).double()
    functions: list[tuple[Callable[[Tensor], Tensor], int]] = [
        (lambda x: conv(x) + x, 0),
        (lambda x: (x + conv(x)).relu(), 0),
        (lambda x: conv(x) + conv(x.relu()), 0),
        (lambda x: conv(x) + conv(x).mean((2, 3), keepdim=True), 1),  # has another shape
        (lambda x: (y := conv(x)) + y.relu(), 1),
        (lambda x: (y := conv(x)) + y, 1),
        (lambda x: conv(x).relu() + x.sigmoid(), 1),
        (lambda x: torch.add(conv(x), x, alpha=2), 1),
        (lambda x: wide(x) + 1, 1),
    ]
    for function, left in functions:
        network = Apply(function).eval()
        fused = fuse_activations(fuse_sums(planned(network)))
        assert targets(check_layouts(fused)).count("aten.add.Tensor") == left
        torch.testing.assert_close(secure(network, X)(shuffle(X)).reveal(), function(X), rtol=1e-10, atol=1e-10)


def planned(network: nn.Module) -> fx.GraphModule:
    return assign_layouts(remove_no_ops(remove_writes(exported(network))), (2, 3))


def operation_of(module: fx.GraphModule, kind: type) -> Conv:
    found = [node.meta["operation"] for node in module.graph.nodes if node.target is keyed]
    return next(operation for operation in found if isinstance(operation, kind))


def node_of(module: fx.GraphModule, name: str) -> fx.Node:
    return next(node for node in module.graph.nodes if node.name == name)


def forget_a_law(module: fx.GraphModule) -> None:
    del node_of(module, "add").meta["law"]


def exchange_a_law(module: fx.GraphModule) -> None:
    node_of(module, "add").meta["law"] = Keyed(Order.of(Group(80, "another")), (2, 3))


def lose_a_law(module: fx.GraphModule) -> None:
    node_of(module, "add").meta["law"] = PLAIN


def shrink_an_order(module: fx.GraphModule) -> None:
    node_of(module, "add").meta["law"] = Keyed(Order.of(Group(79, "another")), (2, 3))


def move_the_axes(module: fx.GraphModule) -> None:
    node_of(module, "add").meta["law"] = Keyed(node_of(module, "add").meta["law"].order, (1, 3))


def read_another_order(module: fx.GraphModule) -> None:
    node_of(module, "conv2d").meta["law"] = Keyed(Order.of(Group(80, "another")), (2, 3))


def derange_an_order(module: fx.GraphModule) -> None:
    law = node_of(module, "add").meta["law"]
    node_of(module, "add").meta["law"] = Keyed(law.order.reindex(torch.arange(80).flip(0)), (2, 3))


def tap_outside(module: fx.GraphModule) -> None:
    operation_of(module, Conv).window.taps[0, 0] = 80


def tap_of_another_type(module: fx.GraphModule) -> None:
    window = operation_of(module, Conv).window
    object.__setattr__(window, "taps", window.taps.long())


def lose_a_tap(module: fx.GraphModule) -> None:
    window = operation_of(module, Conv).window
    object.__setattr__(window, "taps", window.taps[:, :8])


@pytest.mark.parametrize(
    "damage",
    [
        forget_a_law,
        exchange_a_law,
        lose_a_law,
        shrink_an_order,
        move_the_axes,
        read_another_order,
        derange_an_order,
        tap_outside,
        tap_of_another_type,
        lose_a_tap,
    ],
)
def test_a_damaged_plan_is_found(small: nn.Module, damage: Callable[[fx.GraphModule], None]) -> None:
    module = check_layouts(planned(small))
    damage(module)
    with pytest.raises(LayoutCheckError):
        check_layouts(module)
