"""Photographs: decoding, the sRGB transfer function, fitting to the sensor."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np
import pytest

from sensor_sim import SceneError
from sensor_sim.photograph import decode, from_image, read, srgb_to_linear


@pytest.mark.parametrize(
    ("encoded", "linear"),
    [
        (0.0, 0.0),
        (0.04045, 0.04045 / 12.92),
        (1 / 255, 1 / 255 / 12.92),
        (0.5, 0.21404114048223255),
        (0.735356983052449, 0.5),
        (1.0, 1.0),
    ],
)
def test_known_values_of_the_transfer_function(encoded: float, linear: float) -> None:
    assert float(srgb_to_linear(np.array(encoded))) == pytest.approx(linear, rel=1e-12, abs=0)


def test_the_transfer_function_undoes_the_encoding() -> None:
    linear = np.linspace(0, 1, 10_001)
    encoded = np.where(linear <= 0.0031308, 12.92 * linear, 1.055 * linear ** (1 / 2.4) - 0.055)
    assert np.abs(srgb_to_linear(encoded) - linear).max() < 1e-7  # the standard's two branches do not meet exactly


def reference(code: int, top: int) -> float:
    value = code / top
    return value / 12.92 if value <= 0.04045 else ((value + 0.055) / 1.055) ** 2.4


@pytest.mark.parametrize("dtype", [np.uint8, np.uint16])
def test_every_code_at_the_sensors_size_is_exact(dtype: type) -> None:
    top = np.iinfo(dtype).max
    codes = np.linspace(0, top, 256).astype(dtype).reshape(16, 16)
    image = np.stack([codes, codes[::-1], codes.T], axis=2)
    expected = np.vectorize(lambda code: np.float32(reference(int(code), top)))(image)
    assert np.array_equal(from_image(image, 16, 16).radiance, expected)


def test_shrinking_averages_light_and_not_codes() -> None:
    board = np.zeros((8, 8, 3), np.uint8)
    board[::2, ::2] = board[1::2, 1::2] = 255
    assert np.allclose(from_image(board, 4, 4).radiance, 0.5, atol=1e-6)


def test_the_centre_is_kept() -> None:
    wide = np.zeros((4, 12, 3), np.uint8)
    wide[:, 4:8] = 255
    assert from_image(wide, 4, 4).radiance.min() == 1
    assert from_image(wide.transpose(1, 0, 2), 2, 2).radiance.min() == 1
    assert from_image(wide, 12, 4).radiance.mean() == pytest.approx(1 / 3)


@pytest.mark.parametrize("size", [(1, 1), (3, 200), (200, 3), (64, 64), (17, 5)])
def test_any_image_fits_any_sensor(size: tuple[int, int]) -> None:
    image = np.random.default_rng(0).integers(0, 256, (13, 21, 3), np.uint8)
    light = from_image(image, *size).radiance
    assert light.shape == (size[1], size[0], 3)
    assert light.min() >= 0
    assert light.max() <= 1


def test_channels_come_in_the_order_red_green_blue(tmp_path: Path) -> None:
    image = np.zeros((2, 2, 3), np.uint8)
    image[:, :, 0] = 255  # red, for everybody but OpenCV
    path = tmp_path / "red.png"
    cv2.imwrite(str(path), image[:, :, ::-1])
    assert np.array_equal(decode(path), image)
    assert read(path, 2, 2).radiance[0, 0].tolist() == [1, 0, 0]


@pytest.mark.parametrize("dtype", [np.uint8, np.uint16])
def test_grey_and_deep_images_are_read_as_they_are(tmp_path: Path, dtype: type) -> None:
    grey = np.random.default_rng(0).integers(0, np.iinfo(dtype).max, (6, 5), dtype)
    path = tmp_path / "grey.png"
    cv2.imwrite(str(path), grey)
    found = decode(path)
    assert found.dtype == dtype
    assert np.array_equal(found, np.stack([grey] * 3, axis=2))


def test_exif_orientation_is_followed(tmp_path: Path) -> None:
    image = np.zeros((8, 16, 3), np.uint8)
    image[:, :8] = 255
    data = cv2.imencode(".jpg", image)[1].tobytes()
    tiff = b"MM\0*\0\0\0\x08\0\x01\x01\x12\0\x03\0\0\0\x01\0\x06\0\0\0\0\0\0"  # Orientation 6: a quarter turn
    body = b"Exif\0\0" + tiff
    path = tmp_path / "turned.jpg"
    path.write_bytes(data[:2] + b"\xff\xe1" + (len(body) + 2).to_bytes(2, "big") + body + data[2:])
    found = decode(path)
    assert found.shape == (16, 8, 3)
    assert found[0].min() > 200
    assert found[-1].max() < 50


def damaged(kind: str) -> bytes:
    noise = np.random.default_rng(0).integers(0, 256, (64, 64, 3), np.uint8)
    png, jpeg = (cv2.imencode(suffix, noise)[1].tobytes() for suffix in (".png", ".jpg"))
    return {
        "nothing": b"",
        "text": b"not an image\n" * 50,
        "half a png": png[: len(png) // 2],
        "half a jpeg": jpeg[: len(jpeg) // 2],
        "the first bytes of a png": png[:20],
        "floating point": cv2.imencode(".tiff", noise.astype(np.float32))[1].tobytes(),
    }[kind]


@pytest.mark.parametrize(
    "kind", ["nothing", "text", "half a png", "half a jpeg", "the first bytes of a png", "floating point"]
)
def test_damaged_images_are_refused(tmp_path: Path, kind: str) -> None:
    path = tmp_path / "scene.png"
    path.write_bytes(damaged(kind))
    with pytest.raises(SceneError, match="damaged"):
        decode(path)


@pytest.mark.parametrize("name", ["missing.png", "."])
def test_unreadable_files_are_refused(tmp_path: Path, name: str) -> None:
    with pytest.raises(SceneError, match="cannot read scene"):
        decode(tmp_path / name)
