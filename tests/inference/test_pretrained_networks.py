"""Networks with weights that others have published: their stated figures, plain and on private frames."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from key_home import make_home
from keyed_helpers import pictures, randomise, shuffle
from torch import nn
from torchvision import models

import evaluate_agreement
import evaluate_segmentation
import inference
from accuracy import Accuracy
from both_sides import both_sides
from image_sources import open_images
from inference.models import espnetv2, squeezenet
from kept_results import Keeper
from keyvault.policy import Cfa, Policy
from sensor_sim import CameraSettings

POLICIES = {"photo": Policy(512, 512, Cfa.RGGB, bits=12), "stacked": Policy(384, 384, Cfa.NONE, 3, bits=8)}
CLASS_STEP = 5  # the sample holds every fifth class of ImageNet, one image each, in order
SQUEEZENET_TOP1 = 0.655  # stated for the 1,000 images that the sample is of, scaled another way
VOC_IMAGES, VOC_MEAN_IOU, VOC_PIXEL_ACCURACY = 346, 0.6440, 0.9140  # stated for these images


@pytest.fixture(scope="module")
def keys(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The home of a camera and its host, with one sealed key for each policy."""
    return make_home(tmp_path_factory.mktemp("keys"), POLICIES)


def options(keys: Path, name: str) -> dict[str, object]:
    return {
        "keys": [keys / f"{name}.bin"],
        "device": keys / "devices" / f"{name}.json",
        "identity": keys / "host.pem",
        "trust": keys / "issuer.pub",
    }


def weights(data: Path, network: str, pattern: str) -> Path:
    found = sorted((data / network).glob(pattern))
    if not found:
        pytest.skip(f"no {pattern} in PRIVCAM_DATA/{network}")
    return found[0]


def torchvision_name(name: str) -> str:
    """Where torchvision's SqueezeNet 1.0 keeps a parameter of ours."""
    module, _, rest = name.partition(".")
    if module == "conv1":
        return f"features.0.{rest}"
    if module == "conv_final":
        return f"classifier.1.{rest}"
    place = {2: 3, 3: 4, 4: 5, 5: 7, 6: 8, 7: 9, 8: 10, 9: 12}[int(module.removeprefix("fire"))]
    part = {"conv1x1_1": "squeeze", "conv1x1_2": "expand1x1", "conv3x3_2": "expand3x3"}[rest.partition(".")[0]]
    return f"features.{place}.{part}.{rest.partition('.')[2]}"


def test_squeezenet_is_torchvisions_with_a_padded_last_convolution_and_blue_first() -> None:
    ours = randomise(squeezenet(num_classes=7).double())
    other = models.squeezenet1_0(num_classes=7).double().eval()
    other.load_state_dict({torchvision_name(name): value for name, value in ours.state_dict().items()})
    x = pictures(2, (227, 227), torch.float64)
    with torch.no_grad():
        assert not torch.allclose(ours(x), other(x.flip(1)))
        classifier = other.classifier[1]
        assert isinstance(classifier, nn.Conv2d)
        classifier.padding = (1, 1)
        torch.testing.assert_close(ours(x), other(x.flip(1)), rtol=1e-10, atol=1e-12)


def squeezenet_agreement(data: Path, keys: Path, limit: int) -> tuple[evaluate_agreement.Agreement, torch.Tensor]:
    chosen = inference.preset("squeezenet")
    network = inference.pretrained(chosen, weights(data, "squeezenet", "*.npz"))
    source = open_images([data / "imagenet-sample"])
    labels = torch.arange(0, CLASS_STEP * source.length, CLASS_STEP)
    settings = chosen.isp_settings(demosaic="quad")
    with both_sides(options(keys, "photo"), CameraSettings(noise=False)) as sides:
        keeper = Keeper(None, {})
        return evaluate_agreement.evaluate(source, sides, network, settings, keeper, limit=limit), labels


def check_agreement(result: evaluate_agreement.Agreement, labels: torch.Tensor, limit: int) -> Accuracy:
    equal, top1 = result.equal(), result.top1(labels)
    assert (equal["keyed"].correct, equal["keyed"].total) == (limit, limit)
    assert equal["substituted"].fraction < 0.1
    assert result.largest_difference < 1e-4 * result.spread / limit
    assert top1["plain"] == top1["keyed"]
    return top1["plain"]


def test_squeezenet_predicts_the_same_on_private_photographs(privcam_data: Path, keys: Path) -> None:
    assert check_agreement(*squeezenet_agreement(privcam_data, keys, 24), 24).fraction > 0.4


@pytest.mark.full
def test_squeezenet_predicts_the_same_on_all_private_photographs(privcam_data: Path, keys: Path) -> None:
    low, high = check_agreement(*squeezenet_agreement(privcam_data, keys, 200), 200).interval
    assert low <= SQUEEZENET_TOP1 <= high


def test_keyed_espnetv2_equals_the_plain_one() -> None:
    plain = randomise(espnetv2().double())
    x = pictures(2, (64, 96), torch.float64)
    with torch.no_grad():
        expected = plain(x)
    assert expected.shape == (2, 21, 64, 96)
    found = inference.secure(plain, x)(shuffle(x)).reveal()
    assert float((found - expected).abs().max()) <= 1e-9 * float(expected.abs().max())


def test_espnetv2_takes_the_published_weights(privcam_data: Path) -> None:
    path = weights(privcam_data, "espnetv2", "*s_2.0*384x384.pth")
    network = inference.pretrained(inference.preset("espnetv2"), path)
    assert sum(parameter.numel() for parameter in network.parameters()) == 789_253


def segmentation(data: Path, keys: Path, limit: int | None) -> evaluate_segmentation.Evaluation:
    chosen = inference.preset("espnetv2")
    network = inference.pretrained(chosen, weights(data, "espnetv2", "*s_2.0*384x384.pth"))
    with both_sides(options(keys, "stacked")) as sides:
        voc = evaluate_segmentation.open_voc(data / "voc2012")
        return evaluate_segmentation.evaluate(voc, sides, chosen, network, limit=limit)


def check_segmentation(result: evaluate_segmentation.Evaluation) -> None:
    assert result.equal["keyed"] >= (1 - 1e-5) * result.positions  # two scores may be equal within rounding
    assert result.largest_difference < 1e-3
    plain = result.confusions["plain"].mean_iou
    assert abs(plain - result.confusions["keyed"].mean_iou) < 1e-4
    for row in ("substituted", "unkeyed"):
        assert result.confusions[row].mean_iou < 0.5 * plain


def test_espnetv2_labels_private_frames_as_plain_images(privcam_data: Path, keys: Path) -> None:
    result = segmentation(privcam_data, keys, 4)
    check_segmentation(result)
    assert result.confusions["plain"].pixel_accuracy > 0.9


@pytest.mark.full
def test_espnetv2_reaches_its_stated_figures_on_private_frames(privcam_data: Path, keys: Path) -> None:
    result = segmentation(privcam_data, keys, None)
    check_segmentation(result)
    assert result.images == VOC_IMAGES
    for confusion in (result.confusions["plain"], result.confusions["keyed"]):
        assert confusion.mean_iou == pytest.approx(VOC_MEAN_IOU, abs=5e-4)
        assert confusion.pixel_accuracy == pytest.approx(VOC_PIXEL_ACCURACY, abs=5e-4)
    assert result.confusions["substituted"].mean_iou < 0.1
    assert result.confusions["unkeyed"].mean_iou < 0.1
