"""Frames of one policy, made by the real camera and opened by the real host."""

from __future__ import annotations

import hashlib
from collections import OrderedDict
from collections.abc import Iterable
from dataclasses import dataclass, fields, replace

import numpy as np
from numpy.typing import NDArray

from adc_firmware import decode, encode
from audit.own_home import own_home
from image_sources import Item
from inference import open_session
from keyvault.errors import InputError
from keyvault.policy import Cfa, Policy
from quad_scenes import WHITE, quad_scene
from sensor_sim import Camera, DnScene

Labels = NDArray[np.int64]
_KEPT = 2**31  # bytes of materials that a process remembers, besides the last one
_made: OrderedDict[tuple[bytes, Policy], Material] = OrderedDict()


@dataclass(frozen=True, eq=False)
class Material:
    """Frames of one policy; samples are uint16 (n, h, w), or (n, h, w, 3) of a stacked sensor.

    Attributes:
        policy: of every frame.
        file: as stored, what anyone sees.
        memory: without mask, still shuffled, what the host has.
        plain: the DN in true order.
        tables: int32 (n, h * w); ``tables[i, s]`` is where frame i stores the photosite s.
        labels: int64 (n,), classes of the scenes; -1 where unknown.
    """

    policy: Policy
    file: NDArray[np.uint16]
    memory: NDArray[np.uint16]
    plain: NDArray[np.uint16]
    tables: NDArray[np.int32]
    labels: Labels

    def __len__(self) -> int:
        return len(self.file)

    def first(self, count: int) -> Material:
        """The first so many frames, or all there are."""
        return self.part(slice(count))

    def part(self, chosen: slice) -> Material:
        """Some of the frames."""
        parts = {one.name: getattr(self, one.name)[chosen] for one in fields(self) if one.name != "policy"}
        return Material(self.policy, **parts)

    @property
    def size(self) -> int:
        """Bytes of its arrays."""
        return sum(getattr(self, one.name).nbytes for one in fields(self) if one.name != "policy")


def make_material(images: NDArray[np.uint8], policy: Policy, labels: Labels | None = None) -> Material:
    """Capture, encode, decode, verify and open one frame of each image; the process remembers the last results.

    Args:
        images: uint8 (n, h, w, 3).  A pixel is a photosite of a stacked sensor.  On a mosaic it is a quad if there
            are half as many rows and columns as photosites, and otherwise a photosite, of which the filter leaves
            one colour: then neighbours of one colour differ, as they do in photographs.
        policy: of the frames.
        labels: int64 (n,); unknown if left out.

    Raises InputError without images, and PolicyError if they do not fit the policy.
    """
    if not len(images):
        raise InputError("no scenes to make frames of", hint="name a folder that holds images")
    name = (hashlib.sha256(repr(images.shape).encode() + np.ascontiguousarray(images).data).digest(), policy)
    made = _made.pop(name, None) or _captured((scene_of(image, policy, "scene") for image in images), policy)
    _made[name] = made
    while len(_made) > 1 and sum(one.size for one in _made.values()) > _KEPT:
        _made.popitem(last=False)
    return made if labels is None else replace(made, labels=labels)


def capture_again(material: Material, policy: Policy) -> Material:
    """Frames of the scenes of others, sensor noise included, under another policy of the same sensor."""
    full = white(policy)
    return _captured((DnScene(dn, 0, full, name="scene") for dn in material.plain), policy)


def scene_of(image: NDArray[np.uint8], policy: Policy, name: str) -> DnScene:
    """One image as DN, white as the policy's largest: a quad for each pixel, or a photosite for each.

    Raises PolicyError if neither fits the policy.
    """
    if policy.cfa is Cfa.NONE or image.shape[:2] != (policy.height, policy.width):
        scene = quad_scene(Item(image, None, name), policy)
    else:
        dn = np.empty(image.shape[:2], np.uint16)
        for place, colour in enumerate(policy.cfa):
            part = (slice(place // 2, None, 2), slice(place % 2, None, 2))
            dn[part] = image[..., "RGB".index(colour)][part]
        scene = DnScene(dn, 0, WHITE, name=name)
    full = white(policy)
    return replace(scene, dn=np.rint(scene.dn * (full / WHITE)).astype(np.uint16), white_level=full)


def white(policy: Policy) -> int:
    """The largest DN that frames of a policy can have."""
    return int(2**policy.bits - 1)


def _captured(scenes: Iterable[DnScene], policy: Policy) -> Material:
    stored, opened = [], []
    with own_home(policy) as home:
        session = open_session(home.key, home.host, home.vault.issuer, home=home.key.parent)
        with Camera(home.key, device=home.device) as camera:
            for number, scene in enumerate(scenes):
                frame = decode(encode(camera.capture(scene, number=number)), session.grants)
                stored.append(frame.samples)
                opened.append(session.open(frame))
    return Material(
        policy=policy,
        file=np.stack(stored),
        memory=np.stack([one.samples for one in opened]),
        plain=np.stack([one.permutation.undo(one.samples) for one in opened]),
        tables=np.stack([one.permutation.table for one in opened]),
        labels=np.full(len(opened), -1, np.int64),
    )
