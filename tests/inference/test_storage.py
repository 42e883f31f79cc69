"""Saved networks: the same results after loading, no key in the files, and damage that is found."""

from __future__ import annotations

import json
from collections import OrderedDict
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import safetensors.torch
import torch
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
from inference.storage import MANIFEST, TENSORS, _canonical, _digest
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
        ({"version": 2}, "version 2"),
        ({"version": "1"}, "damaged"),
        ({"format": "x"}, "no manifest"),
    ):
        (folder / MANIFEST).write_text(json.dumps(manifest | changed))
        with pytest.raises(SavedNetworkError, match=words):
            load(folder)


def first(content: dict[str, Any], op: str, start: str = "") -> dict[str, Any]:
    return next(node for node in content["graph"] if node["op"] == op and node["target"].startswith(start))


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
    data = safetensors.torch.save(tensors)
    (folder / TENSORS).write_bytes(data)
    rewrite(folder, lambda content: content.update(tensors=_digest(data)))
    with pytest.raises(SavedNetworkError, match="outside of the input"):
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
