"""Networks by name: how to build one, what its input is made of, and what its classes are called."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from difflib import get_close_matches
from enum import StrEnum
from pathlib import Path

from torch import nn

from inference.errors import UnknownModelError
from inference.imaging.settings import Demosaic, Fit, Gamma, IspSettings, Triple
from inference.models.espnetv2 import espnetv2
from inference.models.resnet import preresnet110, resnet20, resnet32
from inference.models.squeezenet import squeezenet
from inference.models.vgg import vgg16

#: Per-channel mean and standard deviation of the CIFAR-10 training images, RGB in [0, 1].
CIFAR10_MEAN = (0.4914, 0.4822, 0.4465)
CIFAR10_STD = (0.2470, 0.2435, 0.2616)
CIFAR10_CLASSES = ("airplane", "automobile", "bird", "cat", "deer", "dog", "frog", "horse", "ship", "truck")

IMAGENET_MEAN = (0.485, 0.456, 0.406)
IMAGENET_STD = (0.229, 0.224, 0.225)

#: Of the PASCAL VOC segmentation challenge, in the order of its masks' values.
VOC_CLASSES = (
    "background",
    "aeroplane",
    "bicycle",
    "bird",
    "boat",
    "bottle",
    "bus",
    "car",
    "cat",
    "chair",
    "cow",
    "diningtable",
    "dog",
    "horse",
    "motorbike",
    "person",
    "pottedplant",
    "sheep",
    "sofa",
    "train",
    "tvmonitor",
)

#: Networks for CIFAR-10.
MODELS: dict[str, Callable[[], nn.Module]] = {
    "preresnet110": preresnet110,
    "resnet20": resnet20,
    "resnet32": resnet32,
    "vgg16": vgg16,
}

TORCHVISION = "torchvision:"
WEIGHTS_FOLDER = Path(__file__).parent / "weights"
_NEAR = 6  # names that a refusal lists


class Task(StrEnum):
    """What a network's scores are for: the whole image, or every position of it."""

    CLASSES = "classes"
    LABEL_MAP = "label-map"


@dataclass(frozen=True, slots=True)
class Preset:
    """One network and its surroundings.

    Attributes:
        name: what ``preset`` was asked for.
        build: makes the network with random weights.
        size: (height, width) of its input.
        mean, std: of its input, RGB in [0, 1] after the sRGB curve.
        classes: name of each class.
        task: whether scores are (N, classes) or (N, classes, height, width).
        fit: how an image of another aspect ratio becomes ``size``.
        short_side: with a centre crop, shorter side after scaling and before the centre crop to ``size``; None if
            the scaled image just covers it.
        demosaic: suits a frame larger than ``size``.
        weights: those that come with the package, or None.
        training_only: how names in files of weights begin that serve training alone; they are left out.
    """

    name: str
    build: Callable[[], nn.Module]
    size: tuple[int, int]
    mean: Triple
    std: Triple
    classes: tuple[str, ...]
    task: Task = Task.CLASSES
    fit: Fit = Fit.CENTRE_CROP
    short_side: int | None = None
    demosaic: Demosaic = Demosaic.BILINEAR
    weights: Path | None = None
    training_only: tuple[str, ...] = ()

    def isp_settings(
        self,
        *,
        demosaic: Demosaic | None = None,
        gamma: Gamma = Gamma.SRGB,
        mean: Triple | None = None,
        std: Triple | None = None,
    ) -> IspSettings:
        """Settings of the keyed ISP for this network; arguments replace the preset's own."""
        return IspSettings(
            size=self.size,
            demosaic=demosaic or self.demosaic,
            gamma=gamma,
            mean=mean or self.mean,
            std=std or self.std,
            fit=self.fit,
            short_side=self.short_side,
        )

    def whole_frame(self, demosaic: Demosaic | None = None, gamma: Gamma = Gamma.SRGB) -> IspSettings:
        """Settings for the plain image in its own size, demosaiced as for this network."""
        return IspSettings(demosaic=demosaic or self.demosaic, gamma=gamma)


def preset(name: str) -> Preset:
    """The network called ``name``.

    These are the keys of MODELS; ``espnetv2`` and ``squeezenet``, whose weights others have
    published; and ``torchvision:`` followed by the name of an ImageNet classifier or of a segmentation network.
    A torchvision network is taken with the preprocessing of its first published weights, except
    that images are always scaled bilinearly, for segmentation to a square, and has no weights of its own here.

    Raises:
        UnknownModelError: there is no such network.
    """
    if name.startswith(TORCHVISION):
        from inference.models.torchvision_presets import torchvision_preset  # noqa: PLC0415 - takes a second

        return torchvision_preset(name)
    if name in _PUBLISHED:
        return _PUBLISHED[name]()
    if name not in MODELS:
        raise unknown(name, sorted((*MODELS, *_PUBLISHED)), f"or {TORCHVISION}NAME")
    shipped = WEIGHTS_FOLDER / f"{name}-cifar10.safetensors"
    return Preset(
        name,
        MODELS[name],
        (32, 32),
        CIFAR10_MEAN,
        CIFAR10_STD,
        CIFAR10_CLASSES,
        demosaic=Demosaic.QUAD,
        weights=shipped if shipped.is_file() else None,
    )


def _squeezenet() -> Preset:
    """Its input is RGB in 0 .. 255 less 123, 117 and 104."""
    from torchvision.models import SqueezeNet1_0_Weights  # noqa: PLC0415 - takes a second

    mean, step = (123 / 255, 117 / 255, 104 / 255), 1 / 255
    classes = tuple(SqueezeNet1_0_Weights.IMAGENET1K_V1.meta["categories"])
    return Preset("squeezenet", squeezenet, (227, 227), mean, (step, step, step), classes, short_side=256)


def _espnetv2() -> Preset:
    return Preset(
        "espnetv2",
        espnetv2,
        (384, 384),
        IMAGENET_MEAN,
        IMAGENET_STD,
        VOC_CLASSES,
        task=Task.LABEL_MAP,
        fit=Fit.STRETCH,
    )


_PUBLISHED: dict[str, Callable[[], Preset]] = {"espnetv2": _espnetv2, "squeezenet": _squeezenet}


def unknown(name: str, known: list[str], more: str) -> UnknownModelError:
    """The refusal of a name; lists those of ``known`` that are near it."""
    near = get_close_matches(name, known, _NEAR) or known[:_NEAR]
    return UnknownModelError(f"no network is called {name!r:.80}", hint=f"one of: {', '.join(near)} {more}")
