"""Saved networks: the same results after loading, no key in the files, and damage that is found."""

from __future__ import annotations

import json
from collections import OrderedDict
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

import pytest
import safetensors.torch
import torch
import zoo
from keyed_helpers import pictures, randomise, shuffle
from torch import Tensor, nn
from torch.nn import functional as F
from torchvision import models

from inference import (
    DeviceUnavailableError,
    KeyedModule,
    KeyedTensor,
    ModelError,
    SavedNetworkError,
    compare,
    explain,
    load,
    save,
    secure,
)
from inference.models import resnet20
from inference.storage import MANIFEST, TENSORS, VERSION, _canonical, _digest
from keyvault.errors import OutputError

X = pictures(2, (32, 32))


class Heads(nn.Module):
    """A map and scores, in a dictionary, with padding, pooling of two kinds and columns that follow the keys."""

    def __init__(self) -> None:
        super().__init__()
        self.first = nn.Conv2d(3, 6, 3, 2, 1)
        self.depthwise = nn.Conv2d(6, 6, 3, padding=1, groups=6, bias=False)
        self.norm = nn.BatchNorm2d(6)
        self.linear = nn.Linear(6 * 7 * 7, 5)

    def forward(self, x: Tensor) -> dict[str, Any]:
        x = F.gelu(self.norm(self.depthwise(F.pad(self.first(x), (1, 0, 0, 1), value=0.5))))
        pooled = F.max_pool2d(F.avg_pool2d(x, 3, 1), 2)
        return OrderedDict(map=x, scores=[self.linear(torch.flatten(pooled, 1)).clamp(max=float("inf"))])


@pytest.fixture(scope="module")
def plain() -> nn.Module:
    return randomise(resnet20())


@pytest.fixture(scope="module")
def saved(plain: nn.Module, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("nets") / "resnet20"
    save(secure(plain, X, rekey_every=7), folder)
    return folder


def copied(saved: Path, to: Path) -> Path:
    to.mkdir()
    for file in saved.iterdir():
        (to / file.name).write_bytes(file.read_bytes())
    return to


def rewrite(folder: Path, change: Callable[[dict[str, Any]], None]) -> None:
    """Change a manifest and make its digest fit again, as somebody who means harm would."""
    manifest = json.loads((folder / MANIFEST).read_bytes())
    change(manifest["content"])
    manifest["digest"] = _digest(_canonical(manifest["content"]))
    (folder / MANIFEST).write_bytes(_canonical(manifest))


def replace_tensors(folder: Path, data: bytes) -> None:
    (folder / TENSORS).write_bytes(data)
    rewrite(folder, lambda content: content.update(tensors=_digest(data)))


def test_a_loaded_network_computes_the_same(plain: nn.Module, saved: Path) -> None:
    net = load(saved)
    with torch.no_grad():
        torch.testing.assert_close(net(shuffle(X)), plain(X), rtol=1e-4, atol=1e-4)
    assert net.rekey_every == 7
    assert not net.training
    assert [name for name, _ in net.named_buffers()] == ["_like"]
    assert compare(plain, net, shuffle(X)).first_divergence is None
    assert [layer.module for layer in explain(net).layers] == [
        layer.module for layer in explain(secure(plain, X)).layers
    ]


def test_under_the_same_layouts_it_is_the_same_bit_for_bit(plain: nn.Module, saved: Path) -> None:
    results = []
    for net in (secure(plain, X), load(saved)):
        generator = torch.Generator().manual_seed(5)
        net.draw = lambda size, g=generator: torch.randperm(size, generator=g).int()
        results.append(net(shuffle(X)))
    assert torch.equal(*results)


@pytest.mark.parametrize("backend", ["gather", "reference"])
def test_nested_results_and_shuffled_maps(tmp_path: Path, backend: str) -> None:
    network = randomise(Heads()).double()
    net = secure(network, X.double(), backend=backend)
    save(net, tmp_path / "net")
    found, expected = load(tmp_path / "net")(shuffle(X.double())), network(X.double())
    assert isinstance(found, OrderedDict)
    assert isinstance(found["map"], KeyedTensor)
    torch.testing.assert_close(found["map"].reveal(), expected["map"])
    torch.testing.assert_close(found["scores"][0], expected["scores"][0])


def test_attention_in_windows(tmp_path: Path) -> None:
    network = randomise(models.SwinTransformer([4, 4], 8, [2], [2], [4, 4], num_classes=5)).double()
    save(secure(network, X.double()), tmp_path / "net")
    torch.testing.assert_close(load(tmp_path / "net")(shuffle(X.double())), network(X.double()))


class Pair(NamedTuple):
    """Two results by name."""

    map: Tensor
    scores: Tensor


class Named(nn.Module):
    """A map and scores in a named tuple."""

    def forward(self, x: Tensor) -> list[Any]:
        return [Pair(x.relu(), x.mean((2, 3)))]


def test_results_that_would_come_back_as_something_else_are_refused(tmp_path: Path) -> None:
    net = secure(Named().eval(), X)
    assert isinstance(net(shuffle(X))[0], Pair)
    with pytest.raises(ModelError, match="Pair") as refusal:
        save(net, tmp_path / "net")
    assert refusal.value.hint
    assert not list(tmp_path.iterdir())


def test_a_plain_network_is_refused(plain: nn.Module, tmp_path: Path) -> None:
    with pytest.raises(ModelError, match="ResNet"):
        save(plain, tmp_path / "net")
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("family", ["maxvit", "swin_v2", "vit", "lraspp"])
def test_networks_of_many_kinds(family: str, tmp_path: Path) -> None:
    make, size = zoo.SMALL[family]
    x = pictures(1, size)
    net = secure(randomise(make()), x)
    save(net, tmp_path / "net")
    (tmp_path / "again").mkdir()
    save(load(tmp_path / "net"), tmp_path / "again" / "net")
    assert (tmp_path / "net" / MANIFEST).read_bytes() == (tmp_path / "again" / "net" / MANIFEST).read_bytes()


def test_a_loaded_network_can_be_saved_again(saved: Path, tmp_path: Path) -> None:
    save(load(saved), tmp_path / "again")
    for name in (MANIFEST, TENSORS):
        assert (tmp_path / "again" / name).read_bytes() == (saved / name).read_bytes()


def test_no_layout_is_in_the_files(plain: nn.Module, tmp_path: Path) -> None:
    net, x = secure(plain, X), shuffle(X)
    net(x)
    layouts = [
        x.layout.table,
        *(i.value.layout.table for i in net.intermediates(x) if isinstance(i.value, KeyedTensor)),
    ]
    save(net, tmp_path / "used")
    save(secure(plain, X), tmp_path / "unused")
    for name in (MANIFEST, TENSORS):
        data = (tmp_path / "used" / name).read_bytes()
        assert data == (tmp_path / "unused" / name).read_bytes()
        for table in layouts:
            for kind in (torch.int32, torch.int64):
                assert table[0, :8].to(kind).numpy().tobytes() not in data
    assert sorted(path.name for path in (tmp_path / "used").iterdir()) == [MANIFEST, TENSORS]


def test_weights_are_stored_under_their_names(plain: nn.Module, saved: Path) -> None:
    tensors = safetensors.torch.load_file(saved / TENSORS)
    assert torch.equal(tensors["network.linear.weight"], plain.get_parameter("linear.weight"))


def test_an_existing_folder_is_not_touched(plain: nn.Module, saved: Path) -> None:
    before = (saved / MANIFEST).read_bytes()
    with pytest.raises(OutputError, match="exists"):
        save(secure(plain, X), saved)
    assert (saved / MANIFEST).read_bytes() == before


def test_nothing_is_left_of_a_save_that_fails(saved: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(path: Path, data: bytes) -> None:
        if path.name == MANIFEST:
            raise OSError(28, "No space left on device")
        path.write_bytes(data)

    monkeypatch.setattr("inference.storage.write_whole", full)
    with pytest.raises(OutputError, match="No space left"):
        save(load(saved), tmp_path / "net")
    assert not list(tmp_path.iterdir())
    with pytest.raises(OutputError):
        save(load(saved), tmp_path / "no" / "such" / "net")


def test_what_has_no_form_is_refused(tmp_path: Path) -> None:
    net = secure(nn.Conv2d(3, 2, 3).eval(), X)
    graph = net.network.graph
    graph.find_nodes(op="output")[0].prepend(graph.create_node("call_function", print, ("not a computation",)))
    with pytest.raises(ModelError, match="cannot be saved"):
        save(net, tmp_path / "net")
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("name", [MANIFEST, TENSORS])
def test_a_missing_file_is_named(saved: Path, tmp_path: Path, name: str) -> None:
    folder = copied(saved, tmp_path / "net")
    (folder / name).unlink()
    with pytest.raises(SavedNetworkError, match=name):
        load(folder)


@pytest.mark.parametrize("name", [MANIFEST, TENSORS])
@pytest.mark.parametrize("damage", ["flip", "truncate", "empty"])
def test_damage_is_found(saved: Path, tmp_path: Path, name: str, damage: str) -> None:
    folder = copied(saved, tmp_path / "net")
    data = bytearray((folder / name).read_bytes())
    if damage == "flip":
        data[len(data) * 2 // 3] ^= 1
    (folder / name).write_bytes({"flip": bytes(data), "truncate": bytes(data[:-9]), "empty": b""}[damage])
    with pytest.raises(SavedNetworkError, match=name):
        load(folder)


def test_another_version_or_format_is_refused(saved: Path, tmp_path: Path) -> None:
    folder = copied(saved, tmp_path / "net")
    manifest = json.loads((folder / MANIFEST).read_bytes())
    for changed, words in (
        ({"version": VERSION + 1}, f"version {VERSION + 1}"),
        ({"version": 0}, "version 0"),
        ({"version": str(VERSION)}, "damaged"),
        ({"version": float(VERSION)}, "damaged"),
        ({"version": True}, "damaged"),
        ({"content": manifest["content"] | {"rekey_every": float("nan")}}, "damaged"),
        ({"content": [manifest["content"]]}, "damaged"),
        ({"format": "x"}, "no manifest"),
    ):
        (folder / MANIFEST).write_text(json.dumps(manifest | changed))
        with pytest.raises(SavedNetworkError, match=words):
            load(folder)


def first(content: dict[str, Any], op: str, start: str = "") -> dict[str, Any]:
    return next(node for node in content["graph"] if node["op"] == op and node["target"].startswith(start))


def ingredient(content: dict[str, Any], kind: str) -> dict[str, Any]:
    """The parts of the first ingredient of a kind."""
    return next(i["parts"] for i in content["plan"]["ingredients"]["tuple"] if i["record"] == kind)


HARM: dict[str, Callable[[dict[str, Any]], None]] = {
    "code as a name": lambda c: first(c, "call_function").update(name="x=__import__('os').abort()"),
    "code as an input": lambda c: first(c, "placeholder").update(target="x,__import__('os')"),
    "code as a path": lambda c: first(c, "get_attr").update(target="linear.weight;abort()"),
    "a keyword": lambda c: first(c, "call_function").update(name="import"),
    "a function of Python": lambda c: first(c, "call_function").update(target="os.system"),
    "a part of torch": lambda c: first(c, "call_function", "aten.").update(target="aten.__class__.__init__"),
    "a file": lambda c: first(c, "call_function", "aten.").update(target="aten.from_file.default"),
    "another library": lambda c: first(c, "call_function", "aten.").update(target="image.read_file.default"),
    "no step": lambda c: first(c, "call_function", "step.").update(target="step.__init__"),
    "a module": lambda c: first(c, "get_attr").update(op="call_module"),
    "an unknown node": lambda c: c["graph"][-1].update(arguments=[{"node": "nobody"}]),
    "an unknown record": lambda c: c["plan"].update(shape={"record": "Popen", "parts": {}}),
    "an unknown backend": lambda c: c.update(backend="fast"),
    "an unknown tensor": lambda c: c["constants"].update(extra="parameter"),
    "a group of another size": lambda c: [group.update(size=group["size"] + 1) for group in c["groups"]],
    "an attribute of Python": lambda c: first(c, "get_attr").update(target="forward.__func__.__globals__"),
    "a part of a module": lambda c: first(c, "get_attr").update(target="training"),
    "a group as an argument": lambda c: first(c, "call_function")["arguments"].append({"group": 0}),
    "a tensor as an argument": lambda c: first(c, "call_function")["arguments"].append([{"tensor": "plan.0"}]),
    "a record as an argument": lambda c: first(c, "call_function")["keywords"]["dict"].append(
        ["x", {"record": "Plain", "parts": {}}]
    ),
    "no output": lambda c: c["graph"].pop(),
    "an output in the middle": lambda c: c["graph"].insert(5, c["graph"][-1] | {"name": "first", "arguments": [[]]}),
    "an output that is no node": lambda c: c["graph"][-1].update(arguments=[[1]]),
    "one more input": lambda c: c["graph"].insert(1, first(c, "placeholder") | {"name": "extra", "target": "extra"}),
    "an ingredient less": lambda c: c["plan"]["ingredients"]["tuple"].pop(),
    "ingredients of another kind": lambda c: c["plan"].update(ingredients={"tuple": [1] * 99}),
    "a result more": lambda c: c["plan"]["results"]["tuple"].append({"record": "Plain", "parts": {}}),
    "results of another kind": lambda c: c["plan"].update(results=None),
    "another nesting": lambda c: c.update(results=[0, 1]),
    "laws of another kind": lambda c: c["plan"].update(laws={"dict": [["x", 3]]}),
    "laws in a list": lambda c: c["plan"].update(laws=[]),
    "no shape": lambda c: c["plan"].update(shape=None),
    "a shape of text": lambda c: c["plan"].update(shape={"tuple": [None, "3", 32, 32]}),
    "another shape": lambda c: c["plan"].update(shape={"tuple": [None, 3, 32, 31]}),
    "a plain entry": lambda c: c["plan"].update(entry={"record": "Plain", "parts": {}}),
    "an entry along the batch": lambda c: c["plan"]["entry"]["parts"].update(axes={"tuple": [0, 1]}),
    "an order beyond its positions": lambda c: c["plan"]["entry"]["parts"]["order"]["parts"].update(scale=2),
    "a weight that is not there": lambda c: ingredient(c, "ArrangedWeight").update(path="nothing"),
    "the path of no weight": lambda c: ingredient(c, "ArrangedWeight").update(path="forward.__func__"),
    "a grid of text": lambda c: ingredient(c, "TapTable")["window"]["parts"].update(grid="3x3"),
    "rekey_every of text": lambda c: c.update(rekey_every="x"),
    "rekey_every zero": lambda c: c.update(rekey_every=0),
    "rekey_every below zero": lambda c: c.update(rekey_every=-5),
    "rekey_every true": lambda c: c.update(rekey_every=True),
    "rekey_every in parts": lambda c: c.update(rekey_every=1.5),
    "whole numbers": lambda c: c.update(dtype={"setting": "torch.int64"}),
    "no dtype": lambda c: c.update(dtype={"setting": "torch.strided"}),
    "a group of no size": lambda c: c["groups"][0].update(size="9"),
    "a weight of another shape": lambda c: c["constants"]["linear.weight"].update(shape=[64, 10]),
    "a weight of another dtype": lambda c: c["constants"]["linear.weight"].update(dtype="torch.float64"),
    "a missing part": lambda c: c["plan"].pop("laws"),
    "a missing member": lambda c: c.pop("groups"),
}


@pytest.mark.parametrize("harm", HARM)
def test_a_manifest_made_to_harm_is_refused(saved: Path, tmp_path: Path, harm: str) -> None:
    folder = copied(saved, tmp_path / "net")
    rewrite(folder, HARM[harm])
    with pytest.raises(SavedNetworkError, match="cannot be read"):
        load(folder)


def test_taps_outside_of_the_map_are_refused(saved: Path, tmp_path: Path) -> None:
    folder = copied(saved, tmp_path / "net")
    tensors = safetensors.torch.load_file(folder / TENSORS)
    for name, value in tensors.items():
        if name.startswith("plan.") and value.dtype == torch.int32:
            value[0, 0] = 1 << 20
    replace_tensors(folder, safetensors.torch.save(tensors))
    with pytest.raises(SavedNetworkError, match="outside of the input"):
        load(folder)


@pytest.mark.parametrize(
    "change",
    [
        lambda weight: weight.T.contiguous(),
        lambda weight: weight.double(),
        lambda weight: weight[:5].contiguous(),
        lambda weight: weight.flatten(),
    ],
)
def test_weights_of_another_form_are_refused(saved: Path, tmp_path: Path, change: Callable[[Tensor], Tensor]) -> None:
    folder = copied(saved, tmp_path / "net")
    tensors = safetensors.torch.load_file(folder / TENSORS)
    tensors["network.linear.weight"] = change(tensors["network.linear.weight"])
    replace_tensors(folder, safetensors.torch.save(tensors))
    with pytest.raises(SavedNetworkError, match=r"linear\.weight"):
        load(folder)


@pytest.mark.parametrize("data", [b"", b"nothing of the kind", b"\x40" + bytes(7) + b"{" * 64])
def test_tensors_that_cannot_be_read_are_refused(saved: Path, tmp_path: Path, data: bytes) -> None:
    folder = copied(saved, tmp_path / "net")
    replace_tensors(folder, data)
    with pytest.raises(SavedNetworkError, match="cannot be read"):
        load(folder)


def test_an_unknown_device_is_refused(saved: Path) -> None:
    with pytest.raises(DeviceUnavailableError):
        load(saved, device="cuda:99")
    assert load(saved, device="cpu").device.type == "cpu"


def test_loading_exports_and_plans_nothing(saved: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: object, **__: object) -> None:
        raise AssertionError("converted again")

    monkeypatch.setattr("torch.export.export", refuse)
    monkeypatch.setattr("inference.convert.assign_layouts", refuse)
    monkeypatch.setattr("pickle.loads", refuse)
    monkeypatch.setattr("torch.load", refuse)
    net: KeyedModule = load(saved)
    assert net(shuffle(X)).shape == (2, 10)
