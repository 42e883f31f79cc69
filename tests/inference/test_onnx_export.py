"""Exported keyed networks: the same results elsewhere, with the layouts as inputs and in nothing else."""

from __future__ import annotations

import copy
import zipfile
from pathlib import Path
from typing import Any

import onnx
import onnxruntime
import pytest
import torch
from keyed_helpers import pictures, randomise, shuffle, substituted, tables
from torch import Tensor, fx, nn
from torch._ops import OpOverload
from torch.nn import functional as F

from inference import (
    InputMismatchError,
    KeyedModule,
    KeyedTensor,
    ModelError,
    PortableNetwork,
    export,
    export_onnx,
    portable,
    secure,
)
from inference.exporting import export_portable
from inference.models import resnet20
from keyvault.errors import OutputError

X = pictures(3, (12, 10))
WHOLE = (torch.int32, torch.int64)


class Net(nn.Module):
    """Every kind of keyed operator: dense, grouped and depthwise windows, a residual, both poolings, a filled
    border, columns that follow the keys; a map and scores as results."""

    def __init__(self) -> None:
        super().__init__()
        self.first = nn.Conv2d(3, 8, 3, padding=1, bias=False)
        self.norm = nn.BatchNorm2d(8)
        self.grouped = nn.Conv2d(8, 8, 3, padding=1, groups=2)
        self.depthwise = nn.Conv2d(8, 8, 3, padding=1, groups=8)
        self.linear = nn.Linear(8 * 6 * 5, 4)

    def forward(self, x: Tensor) -> dict[str, Tensor]:
        x = torch.relu(self.norm(self.first(x)))
        x = torch.relu(x + self.grouped(x))
        x = F.avg_pool2d(F.pad(self.depthwise(x), (1, 1, 1, 1), value=0.5), 3, 1)
        pooled = F.max_pool2d(x, 2)
        return {"map": torch.sigmoid(x), "scores": self.linear(torch.flatten(pooled, 1))}


@pytest.fixture(scope="module")
def plain() -> nn.Module:
    return randomise(Net())


@pytest.fixture(scope="module")
def net(plain: nn.Module) -> KeyedModule:
    return secure(plain, X)


@pytest.fixture(scope="module")
def written(net: KeyedModule, tmp_path_factory: pytest.TempPathFactory) -> tuple[PortableNetwork, Path]:
    path = tmp_path_factory.mktemp("onnx") / "net.onnx"
    return export_onnx(net, path, shuffle(X)), path


def run(path: Path, twin: PortableNetwork, x: KeyedTensor) -> Any:
    session = onnxruntime.InferenceSession(path, providers=["CPUExecutionProvider"])
    feed = twin.feed(x)
    outputs = session.run(None, {name: value.numpy() for name, value in feed.inputs.items()})
    return feed.results([torch.from_numpy(output) for output in outputs])


@pytest.mark.parametrize("samples", [1, 3])
@pytest.mark.parametrize("shared", [False, True])
def test_onnxruntime_gives_the_plain_result(
    plain: nn.Module, written: tuple[PortableNetwork, Path], samples: int, shared: bool
) -> None:
    twin, path = written
    found = run(path, twin, shuffle(X[:samples], shared=shared))
    with torch.no_grad():
        expected = plain(X[:samples])
    assert isinstance(found["map"], KeyedTensor)
    assert not torch.allclose(found["map"].values, expected["map"], atol=1e-2)
    torch.testing.assert_close(found["map"].reveal(), expected["map"], rtol=1e-4, atol=1e-4)
    torch.testing.assert_close(found["scores"], expected["scores"], rtol=1e-4, atol=1e-4)


def test_another_permutation_gives_another_result(plain: nn.Module, written: tuple[PortableNetwork, Path]) -> None:
    twin, path = written
    with torch.no_grad():
        error = run(path, twin, substituted(shuffle(X)))["scores"] - plain(X)["scores"]
    assert float(error.abs().max()) > 0.1


def test_only_standard_operators_and_tables_as_inputs(net: KeyedModule, written: tuple[PortableNetwork, Path]) -> None:
    twin, path = written
    model = onnx.load(path)
    onnx.checker.check_model(model, full_check=True)
    assert {node.domain for node in model.graph.node} <= {"", "ai.onnx"}
    assert not model.functions
    assert [entry.domain for entry in model.opset_import] == [""]
    assert tuple(entry.name for entry in model.graph.input) == twin.input_names
    assert (
        sum(name.endswith("_taps") for name in twin.input_names) == 1 + 3 + 1 + 2
    )  # entry, convolutions, border, pools
    assert list(path.parent.iterdir()) == [path]  # no weights beside it


def test_no_layout_is_in_the_file(net: KeyedModule, written: tuple[PortableNetwork, Path]) -> None:
    twin, path = written
    data = path.read_bytes()
    for name, value in twin.feed(shuffle(X)).inputs.items():
        if name.endswith("_taps"):
            for kind in (torch.int32, torch.int64):
                assert value.flatten()[:8].to(kind).numpy().tobytes() not in data, name


def traces(table: Tensor) -> list[bytes]:
    """What of a table would be found in a file."""
    return [table.flatten()[:8].to(kind).numpy().tobytes() for kind in WHOLE]


def test_nothing_of_an_example_or_a_layout_is_in_an_exported_program(plain: nn.Module, tmp_path: Path) -> None:
    net, x = secure(plain, X), shuffle(X)
    drawn = list[Tensor]()
    net.draw = lambda size: drawn.append(tables(1, size, seed=len(drawn))[0]) or drawn[-1]
    program = export(net, x)
    assert program.example_inputs is None
    torch.export.save(program, tmp_path / "net.pt2")
    with zipfile.ZipFile(tmp_path / "net.pt2") as archive:
        stored = [archive.read(name) for name in archive.namelist()]
    weight = next(net.network.parameters()).flatten()[:8].numpy().tobytes()
    assert any(weight in data for data in stored)
    secrets = [x.values[0].flatten()[:8].numpy().tobytes(), *traces(x.layout.table)]
    secrets += [trace for table in drawn for trace in traces(table)]
    assert not [secret for secret in secrets if any(secret in data for data in stored)]


def test_what_is_exported_is_traced_under_layouts_that_no_frame_is_seen_under(net: KeyedModule) -> None:
    drawn, twin = list[Tensor](), portable(net)
    twin._keyed.draw = lambda size: drawn.append(tables(1, size, seed=len(drawn))[0]) or drawn[-1]
    export_portable(twin, shuffle(X))
    traced = drawn[: len(net.groups)]
    used = [table[0] for group, table in twin.feed(shuffle(X))._keys.items() if not group.given]
    assert len(used) == len(traced)
    assert not [table for table in traced for other in used if torch.equal(table, other)]


def test_a_twin_shares_no_parameter(plain: nn.Module) -> None:
    net = secure(plain, X)
    before, twin = net(shuffle(X))["scores"], portable(net)
    feed = twin.feed(shuffle(X))
    expected = feed.results(twin(*feed.inputs.values()))["scores"]
    own = {value.data_ptr() for value in net.state_dict().values()}
    assert not own & {value.data_ptr() for value in twin.state_dict().values()}
    with torch.no_grad():
        for value in net.parameters():
            value.zero_()
    assert torch.equal(feed.results(twin(*feed.inputs.values()))["scores"], expected)
    net.network.load_state_dict(secure(plain, X).network.state_dict())
    twin.double()
    assert net(shuffle(X))["scores"].dtype == torch.float32
    net.rekey()
    torch.testing.assert_close(net(shuffle(X))["scores"], before, rtol=1e-4, atol=1e-4)


def test_no_table_is_printed(net: KeyedModule) -> None:
    x = shuffle(X)
    keys, _ = net.prepare(x)
    shown = [repr(portable(net).feed(x)), repr(net._keys), repr(net._kitchen(keys))]
    assert not [text for text in shown if "tensor" in text]


def test_exported_program_runs_at_every_batch_size() -> None:
    x = pictures(3, (32, 32))
    network = randomise(resnet20())
    net = secure(network, x)
    twin = portable(net)
    program = export(net, shuffle(x))
    exported = program.module(check_guards=False)
    for samples in (1, 2, 3):
        feed = twin.feed(shuffle(x[:samples]))
        found = feed.results(exported(*feed.inputs.values()))
        with torch.no_grad():
            torch.testing.assert_close(found, network(x[:samples]), rtol=1e-4, atol=1e-4)


def test_the_exported_graph_is_public_aten(net: KeyedModule) -> None:
    graph: fx.Graph = export(net, shuffle(X)).graph
    operators = [node.target for node in graph.nodes if node.op == "call_function"]
    named = [target for target in operators if isinstance(target, OpOverload)]
    assert len(named) > 30
    assert {target.namespace for target in named} == {"aten"}
    assert not [target for target in named if target.name().startswith("aten::_") and "assert" not in target.name()]


def test_any_backend_can_be_exported(plain: nn.Module) -> None:
    plain = copy.deepcopy(plain).double()
    for backend in ("reference", "portable"):
        net = secure(plain, X.double(), backend=backend)
        feed = (twin := portable(net)).feed(shuffle(X.double()))
        found = feed.results(twin(*feed.inputs.values()))
        expected = plain(X.double())
        torch.testing.assert_close(found["map"].reveal(), expected["map"])
        torch.testing.assert_close(found["scores"], expected["scores"])


def test_inner_layouts_are_renewed(plain: nn.Module) -> None:
    twin = portable(secure(plain, X, rekey_every=6))
    feeds = [twin.feed(shuffle(X)) for _ in range(3)]
    inner = [feed.inputs["relu_taps"] for feed in feeds]
    assert torch.equal(inner[0], inner[1])
    assert not torch.equal(inner[1], inner[2])
    for feed in feeds:
        found = feed.results(twin(*feed.inputs.values()))
        torch.testing.assert_close(found["scores"], plain(X)["scores"], rtol=1e-4, atol=1e-4)


def test_a_wrong_input_is_refused(net: KeyedModule, tmp_path: Path) -> None:
    wrong = shuffle(pictures(1, (12, 12)))
    with pytest.raises(InputMismatchError):
        export_onnx(net, tmp_path / "net.onnx", wrong)
    with pytest.raises(InputMismatchError):
        portable(net).feed(wrong)
    assert not list(tmp_path.iterdir())


def test_missing_packages_are_named(net: KeyedModule, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("inference.onnx_export.find_spec", lambda name: None)
    with pytest.raises(ModelError, match="onnx and onnxscript") as refusal:
        export_onnx(net, tmp_path / "net.onnx", shuffle(X))
    assert "privcam[onnx]" in refusal.value.hint


def test_a_file_that_cannot_be_written_is_refused(tmp_path: Path) -> None:
    net = secure(nn.Conv2d(3, 2, 3).eval(), X)
    with pytest.raises(OutputError):
        export_onnx(net, tmp_path / "none" / "net.onnx", shuffle(X))
