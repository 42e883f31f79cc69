"""Presets, and weights from files."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from safetensors.torch import save_file
from torch import nn

from inference.errors import UnknownModelError, WeightsError
from inference.imaging import Demosaic, Fit
from inference.models import CIFAR10_CLASSES, MODELS, Task, preset, resnet20
from inference.weights import load_weights, pretrained


def small() -> nn.Module:
    return nn.Sequential(nn.Conv2d(3, 4, 3), nn.BatchNorm2d(4))


def states() -> dict[str, Any]:
    weights = small().state_dict()
    parallel = {f"module.{name}": value for name, value in weights.items()}
    return {
        "plain": weights,
        "wrapped": {"state_dict": weights, "best_prec1": 92.8},
        "parallel": {"state_dict": parallel},
        "without counters": {name: value for name, value in weights.items() if "num_batches" not in name},
    }


@pytest.mark.parametrize("form", sorted(states()))
def test_state_dicts_of_torch_save(tmp_path: Path, form: str) -> None:
    torch.manual_seed(1)
    content = states()[form]
    torch.save(content, tmp_path / "weights.pth")
    network = small()
    load_weights(network, tmp_path / "weights.pth")
    expected = content.get("state_dict", content)
    loaded = network.state_dict()
    for name, value in expected.items():
        assert torch.equal(loaded[name.removeprefix("module.")], value)


def test_safetensors(tmp_path: Path) -> None:
    torch.manual_seed(2)
    weights = small().state_dict()
    save_file(weights, tmp_path / "weights.safetensors")
    network = small()
    load_weights(network, tmp_path / "weights.safetensors")
    assert all(torch.equal(value, weights[name]) for name, value in network.state_dict().items())


def test_numpy_archives(tmp_path: Path) -> None:
    torch.manual_seed(3)
    weights = small().state_dict()
    np.savez(tmp_path / "weights.npz", **{name: value.numpy() for name, value in weights.items()})
    network = small()
    load_weights(network, tmp_path / "weights.npz")
    assert all(torch.equal(value, weights[name]) for name, value in network.state_dict().items())


def test_numpy_archives_with_pickles_are_refused(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    np.savez(tmp_path / "weights.npz", weight=np.array([_Surprise()], dtype=object))
    np.savez(tmp_path / "words.npz", weight=np.array(["one"]))
    for name in ("weights.npz", "words.npz"):
        with pytest.raises(WeightsError, match="read safely"):
            load_weights(small(), tmp_path / name)
    assert capsys.readouterr().out == ""


def test_what_does_not_fit_is_listed(tmp_path: Path) -> None:
    weights = small().state_dict()
    weights["0.weight"] = torch.zeros(4, 3, 5, 5)
    weights["head.weight"] = weights.pop("1.bias")
    path = tmp_path / "weights.pth"
    torch.save(weights, path)
    network = small()
    before = {name: value.clone() for name, value in network.state_dict().items()}
    with pytest.raises(WeightsError) as refusal:
        load_weights(network, path)
    assert "missing 1.bias; unexpected head.weight; of another shape 0.weight 4x3x5x5, not 4x3x3x3" in str(
        refusal.value
    )
    assert all(torch.equal(value, before[name]) for name, value in network.state_dict().items())
    with pytest.raises(WeightsError, match=r"missing conv1\.weight, .* and \d+ more; unexpected"):
        load_weights(resnet20(), path)


class _Surprise:
    def __reduce__(self):
        return print, ("run",)


@pytest.mark.parametrize(
    ("content", "says"),
    [
        ({}, "not a state dict"),
        ({"epoch": 3}, "not a state dict"),
        ([torch.zeros(3)], "not a state dict"),
        ({"weight": _Surprise()}, "read safely"),
    ],
)
def test_other_content_of_torch_save_is_refused(
    tmp_path: Path, content: Any, says: str, capsys: pytest.CaptureFixture[str]
) -> None:
    torch.save(content, tmp_path / "weights.pth")
    with pytest.raises(WeightsError, match=says):
        load_weights(small(), tmp_path / "weights.pth")
    assert capsys.readouterr().out == ""


@pytest.mark.parametrize("name", ["w.npz", "w.pth", "w.safetensors"])
@pytest.mark.parametrize("data", [b"", b"hello", b"PK\x03\x04", b"\x80\x02", b"\xff" * 100])
def test_other_files_are_refused(tmp_path: Path, name: str, data: bytes) -> None:
    (tmp_path / name).write_bytes(data)
    with pytest.raises(WeightsError, match="read safely"):
        load_weights(small(), tmp_path / name)


@pytest.mark.parametrize("name", ["w.npz", "w.pth", "w.safetensors"])
def test_missing_files_are_refused(tmp_path: Path, name: str) -> None:
    with pytest.raises(WeightsError, match=f"cannot read weights .*{name}"):
        load_weights(small(), tmp_path / name)
    with pytest.raises(WeightsError, match=r"cannot read weights|read safely"):
        load_weights(small(), tmp_path)


def test_truncated_files_are_refused(tmp_path: Path) -> None:
    torch.save(small().state_dict(), tmp_path / "whole.pth")
    save_file(small().state_dict(), tmp_path / "whole.safetensors")
    np.savez(tmp_path / "whole.npz", **{name: value.numpy() for name, value in small().state_dict().items()})
    for whole in sorted(tmp_path.glob("whole.*")):
        cut = whole.with_stem("cut")
        cut.write_bytes(whole.read_bytes()[:-200])
        with pytest.raises(WeightsError, match="read safely"):
            load_weights(small(), cut)


def test_cifar10_presets() -> None:
    for name in MODELS:
        chosen = preset(name)
        assert chosen.size == (32, 32)
        assert chosen.classes == CIFAR10_CLASSES
        assert chosen.isp_settings().mean == chosen.mean
    assert preset("resnet32").isp_settings(demosaic=Demosaic.MALVAR).demosaic is Demosaic.MALVAR


@pytest.mark.parametrize("name", ["resnet20", "vgg16", "preresnet110"])
def test_networks_that_ship_are_as_accurate_as_their_cards_say(name: str, privcam_data: Path) -> None:
    chosen = preset(name)
    assert chosen.weights is not None
    stated = re.search(r"test file: .* \((\d+) of 1017;", chosen.weights.with_suffix(".md").read_text())
    assert stated
    network = pretrained(chosen)
    stored = np.load(privcam_data / "cifar10" / "test_first1017.npz")
    images = torch.from_numpy(stored["x"]).permute(0, 3, 1, 2) / 255
    x = (images - torch.tensor(chosen.mean)[:, None, None]) / torch.tensor(chosen.std)[:, None, None]
    with torch.no_grad():
        found = torch.cat([network(part).argmax(1) for part in x.split(64)])
    hits = int((found.numpy() == stored["y"]).sum())
    assert abs(hits - int(stated[1])) <= 1  # processors round differently


def test_presets_of_networks_published_elsewhere() -> None:
    squeezenet, espnetv2 = preset("squeezenet"), preset("espnetv2")
    assert (squeezenet.weights, espnetv2.weights) == (None, None)
    assert (squeezenet.task, squeezenet.size, squeezenet.short_side) == (Task.CLASSES, (227, 227), 256)
    assert (squeezenet.classes[0], squeezenet.classes[999]) == ("tench", "toilet tissue")
    assert (espnetv2.task, espnetv2.size, espnetv2.isp_settings().fit) == (Task.LABEL_MAP, (384, 384), Fit.STRETCH)
    assert (len(espnetv2.classes), espnetv2.classes[0], espnetv2.classes[15]) == (21, "background", "person")
    for chosen in (squeezenet, espnetv2):
        with torch.inference_mode():
            scores = chosen.build().eval()(torch.zeros(1, 3, *chosen.size))
        assert scores.shape[1] == len(chosen.classes)


def test_torchvision_presets() -> None:
    chosen = preset("torchvision:squeezenet1_0")
    assert (chosen.size, chosen.short_side, chosen.weights) == ((224, 224), 256, None)
    assert chosen.classes[:2] == ("tench", "goldfish")
    assert len(chosen.classes) == 1_000
    assert type(chosen.build()).__name__ == "SqueezeNet"


@pytest.mark.parametrize(
    ("name", "near"),
    [("resnet21", "resnet20"), ("torchvision:resnet5", "resnet50"), ("", "vgg16"), ("squeezenet1", "squeezenet")],
)
def test_unknown_models_are_refused_with_near_ones(name: str, near: str) -> None:
    with pytest.raises(UnknownModelError) as refusal:
        preset(name)
    assert near in refusal.value.hint


def test_published_weights(privcam_data: Path) -> None:
    files = list((privcam_data / "cifar10-resnet").glob("resnet32-*.th"))
    if not files:
        pytest.skip("no resnet32 weights in PRIVCAM_DATA/cifar10-resnet")
    load_weights(preset("resnet32").build(), files[0])
