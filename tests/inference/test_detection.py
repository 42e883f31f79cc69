"""Keyed detectors find what the plain ones find, and show the host no map in true order."""

from __future__ import annotations

import re
from pathlib import Path

import detectors
import pytest
import torch
from keyed_helpers import random_tensor, shuffle, substituted, tables
from torch import Tensor, nn
from torchvision import models
from torchvision.models.detection.transform import GeneralizedRCNNTransform
from torchvision.ops import MultiScaleRoIAlign, roi_align

import inference
from inference import InputMismatchError, KeyedDetector, KeyedTensor, ModelError, secure_detector
from inference.detection import regions
from inference.detection.adapters import ADAPTERS
from inference.detection.holder import FeatureMap
from inference.detection.region_taps import RegionGrid
from inference.detection.regions import RegionPool, pooled
from inference.kernels import BACKENDS
from inference.layout import Layout

EXACT = 1e-8  # of the largest value
CONTROL = 1000  # tolerances by which a wrong permutation changes the result, at least
Found = list[dict[str, Tensor]]
KEYS = {"mask_rcnn": {"masks"}, "keypoint_rcnn": {"keypoints", "keypoints_scores"}}


def detect(plain: nn.Module, x: Tensor) -> Found:
    with torch.no_grad():
        return plain(list(x))


def error(found: Found, expected: Found) -> float:
    """The largest error relative to the scale of each value; infinite if not the same things were found."""
    worst = 0.0
    for one, other in zip(found, expected, strict=True):
        assert one.keys() == other.keys()
        for name, value in other.items():
            if one[name].shape != value.shape or one[name].dtype != value.dtype:
                return float("inf")
            if value.numel():
                worst = max(worst, float((one[name] - value).abs().max() / value.abs().max().clamp(min=1e-6)))
    return worst


def check(plain: nn.Module, x: Tensor, backend: str = "gather") -> KeyedDetector:
    """Convert a detector for one frame, and check what it finds in several under keys of their own."""
    expected = detect(plain, x)
    for one in expected:
        assert len(one["boxes"]) >= 3
        assert one["scores"].max() - one["scores"].min() > 1e-3
    detector = secure_detector(plain, x[:1], backend=backend)
    assert error(detector(shuffle(x)), expected) <= EXACT
    assert error(detector(substituted(shuffle(x))), expected) >= CONTROL * EXACT
    return detector


@pytest.mark.parametrize("family", detectors.SMALL)
def test_every_family_finds_what_the_plain_detector_finds(family: str) -> None:
    x = detectors.frames()
    detector = check(detectors.small(family), x)
    expected = {"boxes", "labels", "scores"} | KEYS.get(family, set())
    found = detector(shuffle(x))
    assert all(one.keys() == expected for one in found)
    if family == "mask_rcnn":
        assert found[0]["masks"].shape[1:] == (1, *detectors.FRAME)


@pytest.mark.parametrize("backend", ["reference", "portable"])
def test_other_backends_find_the_same(backend: str) -> None:
    check(detectors.small("mask_rcnn"), detectors.frames(), backend)


@pytest.mark.full
@pytest.mark.parametrize("name", detectors.NAMED)
def test_every_builder_of_torchvision(name: str) -> None:
    plain, x = detectors.named(name), detectors.frames()
    check(plain, x)
    single, x = plain.float(), x.float()
    found = secure_detector(single, x)(shuffle(x))
    assert all(agreement(one, other) >= 0.9 for one, other in zip(found, detect(single, x), strict=True))


def agreement(found: dict[str, Tensor], expected: dict[str, Tensor]) -> float:
    """Fraction of expected detections that were found, in whatever order rounding puts equal scores.

    Within what the plain detectors in float32 differ from themselves in float64.
    """
    boxes = (found["boxes"][:, None] - expected["boxes"]).abs().amax(2) < 0.1
    scores = (found["scores"][:, None] - expected["scores"]).abs() < 2e-3
    return float((boxes & scores & (found["labels"][:, None] == expected["labels"])).any(0).float().mean())


def scattered(value: KeyedTensor) -> bool:
    """Whether values lie neither in true order nor near it; equal values and single ones lie anyhow."""
    table, true = value.layout.table, value.reveal()
    if bool((true == true.flatten()[0]).all()):
        return True
    in_place = (table == torch.arange(table.shape[1])).double().mean()
    return in_place <= 0.25 and not torch.allclose(value.values, true)


def rotated(positions: int) -> Tensor:
    """A permutation of one cycle, which leaves nothing in its place."""
    order = tables(1, positions, seed=positions)[0].long()
    return torch.empty(positions, dtype=torch.int32).scatter_(0, order, order.roll(1).int())


def test_nothing_that_regions_are_pooled_from_or_into_lies_in_true_order() -> None:
    detector = secure_detector(detectors.small("mask_rcnn"), detectors.frames())
    seen: list[KeyedTensor] = []
    pools = [part for part in detector.holder.modules() if isinstance(part, RegionPool)]
    for pool in pools:
        pool.draw = rotated
        pool.register_forward_hook(
            lambda _, given, result: seen.extend([f.value for f in given[0].values()] + [result])
        )
    for part in detector.parts.values():
        part.draw = rotated
    detector(shuffle(detectors.frames()))
    assert len(pools) == 2
    assert len(seen) == 2 * 5
    assert all(isinstance(value, KeyedTensor) and scattered(value) for value in seen)
    assert seen[4].layout.extents == (3, 3)
    assert seen[9].layout.extents == (6, 6)


def test_no_tensor_inside_the_parts_lies_in_true_order() -> None:
    detector = secure_detector(detectors.small("keypoint_rcnn"), detectors.frames())
    for name, part in detector.parts.items():
        part.draw = rotated
        x = detectors.frames() if name == "dense" else random_tensor(3, *part.plan.shape[1:])
        inside = [i for i in part.intermediates(shuffle(x)) if isinstance(i.value, KeyedTensor)]
        assert inside
        assert [i.name for i in inside if not scattered(i.value)] == [], name


def test_layouts_are_renewed() -> None:
    x = detectors.frames()
    detector = secure_detector(detectors.small("faster_rcnn"), x, rekey_every=4)
    assert {name: part.rekey_every for name, part in detector.parts.items()} == {"dense": 4, "box": 4 * 40}
    orders: list[Tensor] = []
    pool = next(part for part in detector.holder.modules() if isinstance(part, RegionPool))
    pool.register_forward_hook(
        lambda _, given, result: orders.append(torch.cat([result.layout.table[0], given[0]["0"].value.layout.table[0]]))
    )
    frames = shuffle(x)
    first = detector(frames)
    second = detector(frames)
    detector.rekey()
    third = detector(frames)
    assert max(error(second, first), error(third, first)) <= EXACT
    cells = [order[:9] for order in orders]
    assert not torch.equal(cells[0], cells[1])  # of regions, at every call: equal once in 9! = 362880
    maps = [order[9:] for order in orders]
    assert torch.equal(maps[0], maps[1])
    assert not torch.equal(maps[1], maps[2])


@pytest.mark.parametrize("where", ["rpn", "roi_heads"])
def test_nothing_found_has_the_plain_detectors_form(where: str) -> None:
    plain, x = detectors.small("mask_rcnn"), detectors.frames()
    getattr(plain, where).score_thresh = 1.1
    expected = detect(plain, x)
    found = secure_detector(plain, x)(shuffle(x))
    assert expected[0]["masks"].shape == (0, 1, *detectors.FRAME)
    assert error(found, expected) == 0.0


def test_a_detector_shares_nothing_with_the_model_and_does_not_change_it() -> None:
    plain, x = detectors.small("mask_rcnn"), detectors.frames()
    kept = {name: value.clone() for name, value in plain.state_dict().items()}
    expected = detect(plain, x)
    detector = secure_detector(plain, x)
    assert all(torch.equal(value, kept[name]) for name, value in plain.state_dict().items())
    for value in plain.state_dict().values():
        value.zero_()
    plain.roi_heads.score_thresh = 1.1
    detector.train()
    plain.train()
    assert error(detector(shuffle(x)), expected) <= EXACT


def random_boxes(count: int, size: tuple[int, int], seed: int) -> Tensor:
    """float64 (R, 4) of all sizes, some partly or wholly outside of (0, 0, width, height)."""
    generator = torch.Generator().manual_seed(seed)
    extent = torch.tensor([size[1], size[0]], dtype=torch.float64)
    first = (torch.rand(count, 2, dtype=torch.float64, generator=generator) * 1.3 - 0.2) * extent
    spans = torch.rand(count, 2, dtype=torch.float64, generator=generator) ** 2 * extent
    return torch.cat([first, first + spans], 1)


@pytest.mark.parametrize("aligned", [False, True])
@pytest.mark.parametrize("samples", [-1, 0, 1, 2, 3])
def test_pooled_regions_are_those_of_roi_align(samples: int, aligned: bool) -> None:
    x, count = random_tensor(2, 5, 9, 13), 40
    grid = RegionGrid((9, 13), (3, 4), 0.25, samples, aligned)
    boxes, sample = random_boxes(count, (36, 52), samples), torch.arange(count) % 2
    rois = torch.cat([sample[:, None].double(), boxes], 1)
    expected = roi_align(x, rois, grid.out, grid.scale, samples, aligned).flatten(2).transpose(1, 2)
    assert expected.abs().amax((1, 2)).gt(0).double().mean() > 0.7
    cells = torch.randperm(12, generator=torch.Generator().manual_seed(1))
    for backend in BACKENDS.values():
        for shared in (False, True):
            found = pooled(backend(), shuffle(x, shared=shared), grid, (boxes, sample, cells))
            assert torch.allclose(found, expected[:, cells], rtol=0, atol=1e-12)


@pytest.mark.parametrize("names", [["0", "1", "2"], ["1"]])
@pytest.mark.parametrize("at_once", [1 << 22, 1])
def test_regions_come_from_the_levels_that_torchvision_takes(
    names: list[str], at_once: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(regions, "TAPS_AT_ONCE", at_once)
    maps = {str(level): random_tensor(3, 6, 32 >> level, 48 >> level, seed=level) for level in range(4)}
    boxes = [random_boxes(20, (128, 192), 7).clamp(min=0), torch.zeros(0, 4).double(), random_boxes(9, (128, 192), 8)]
    layer, sizes = MultiScaleRoIAlign(names, (6, 5), -1, canonical_scale=64), [(128, 190)] * 3
    pool = RegionPool(MultiScaleRoIAlign(names, (6, 5), -1, canonical_scale=64), BACKENDS["gather"]())
    expected = layer(maps, boxes, sizes)
    found = pool({name: FeatureMap(shuffle(value), None) for name, value in maps.items()}, boxes, sizes)
    assert torch.allclose(found.reveal(), expected, rtol=0, atol=1e-12)
    assert not torch.allclose(found.values, expected)
    if len(names) > 1:
        assert set(layer.map_levels(boxes).tolist()) == {0, 1, 2}


def test_every_family_is_refused_by_secure() -> None:
    x = detectors.frames()
    assert len({adapter.name for adapter in ADAPTERS}) == len(ADAPTERS)
    for family in detectors.SMALL:
        with pytest.raises(ModelError) as caught:
            inference.secure(detectors.SMALL[family]().double().eval(), x)
        assert "secure_detector" in caught.value.hint


def test_a_part_of_a_detector_is_an_ordinary_network() -> None:
    plain, x = detectors.pyramid().double().eval(), detectors.frames(size=(64, 64))
    assert isinstance(inference.secure(plain, x)(shuffle(x))["0"], KeyedTensor)


class Darker(GeneralizedRCNNTransform):
    """Prepares images in a way of its own."""


def test_what_cannot_be_converted_is_refused() -> None:
    x = detectors.frames()
    plain = detectors.SMALL["faster_rcnn"]().double().eval()
    with pytest.raises(ModelError, match="a ResNet is no detector") as caught:
        secure_detector(models.resnet18(weights=None).eval(), x)
    assert all(name in caught.value.hint for name in ("RetinaNet", "FCOS", "SSD", "Mask"))
    with pytest.raises(ModelError, match="training mode"):
        secure_detector(detectors.SMALL["ssd"](), x)
    with pytest.raises(ModelError, match="no backend"):
        secure_detector(plain, x, backend="none")
    with pytest.raises(ModelError, match="rekey_every"):
        secure_detector(plain, x, rekey_every=0)
    for wrong in (x[0], x[:, :1], x.byte(), KeyedTensor(x, Layout(tables(1, 60), (2,), (60,)))):
        with pytest.raises(InputMismatchError):
            secure_detector(plain, wrong)
    plain.roi_heads.box_roi_pool = nn.Identity().eval()
    with pytest.raises(ModelError, match="regions are pooled by Identity"):
        secure_detector(plain, x)
    plain.transform = Darker(48, 64, [0.5] * 3, [0.5] * 3).eval()
    with pytest.raises(ModelError, match="Darker"):
        secure_detector(plain, x)


def test_wrong_use_of_a_keyed_detector_is_refused(tmp_path: Path) -> None:
    x = detectors.frames()
    detector = secure_detector(detectors.small("ssd"), x)
    with pytest.raises(ModelError, match="a KeyedDetector is not a single keyed network"):
        inference.save(detector, tmp_path / "detector")
    wrong = {
        "takes a KeyedTensor, not a Tensor": x,
        "takes a KeyedTensor, not a list": list(x),
        "takes Nx3x60x84, the input is 2x3x84x60": shuffle(x.transpose(2, 3)),
        "takes Nx3x60x84, the input is 2x1x60x84": shuffle(x[:, :1]),
        "computes in torch.float64, the input is torch.float32": shuffle(x.float()),
    }
    for text, frames in wrong.items():
        with pytest.raises(InputMismatchError, match=re.escape(text)):
            detector(frames)
