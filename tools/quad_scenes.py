"""Finished images as the DN of a sensor: each pixel is a quad of a mosaic, or a photosite of a stacked sensor."""

from __future__ import annotations

import numpy as np

from image_sources import Item, check_uint8
from keyvault.errors import PolicyError
from keyvault.policy import Cfa, Policy
from sensor_sim import DnScene

WHITE = 255  # of 8-bit images


def quad_scene(item: Item, policy: Policy) -> DnScene:
    """An item as the DN of a sensor whose quads, or stacked photosites, are the item's pixels.

    Raises:
        PolicyError: the sensor has another size, or no colours.
        InputError: the item is not an 8-bit image.
    """
    image = check_uint8(item)
    height, width = image.shape[:2]
    stacked = policy.samples_per_photosite == 3
    if policy.cfa is Cfa.NONE and not stacked:
        raise PolicyError(
            "a monochrome sensor has no quads", hint="use --sampling photo, or issue a key with --cfa RGGB"
        )
    factor = 1 if stacked else 2
    if (policy.width, policy.height) != (factor * width, factor * height):
        raise PolicyError(
            f"{item.name} is {width}x{height}; sampled as quads that is {factor * width}x{factor * height} photosites, "
            f"the key is for {policy.width}x{policy.height}",
            hint=f"issue a key with --size {factor * width}x{factor * height}",
        )
    if stacked:
        return DnScene(image.astype(np.uint16), 0, WHITE, name=item.name)
    dn = np.empty((2 * height, 2 * width), np.uint16)
    for place, colour in enumerate(policy.cfa):
        dn[place // 2 :: 2, place % 2 :: 2] = image[:, :, "RGB".index(colour)]
    return DnScene(dn, 0, WHITE, cfa=policy.cfa, name=item.name)
