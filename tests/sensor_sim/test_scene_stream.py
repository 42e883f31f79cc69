"""Scenes one after the other: videos, folders, sequences, data sets, cameras."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import cv2
import numpy as np
import pytest
from PIL import Image

from keyvault.errors import PolicyError
from keyvault.policy import Cfa, Policy
from sensor_sim import video
from sensor_sim.errors import SceneError, SettingsError
from sensor_sim.photograph import from_image
from sensor_sim.region import Region
from sensor_sim.scene import DnScene, LightScene
from sensor_sim.scene_stream import SceneStream, open_scenes

POLICY = Policy(16, 12)


def grey(level: int, height: int = 12, width: int = 16) -> np.ndarray:
    return np.full((height, width, 3), level, np.uint8)


def levels(stream: SceneStream, most: int = 100) -> list[float]:
    """Mean light of the scenes that a stream still has."""
    found = []
    while len(found) < most and (scene := stream.next()) is not None:
        assert isinstance(scene, LightScene)
        found.append(float(scene.radiance.mean()))
    return found


def light(*codes: int) -> list[float]:
    return [float(from_image(grey(code), 16, 12).radiance.mean()) for code in codes]


def write_video(path: Path, codes: list[int], rate: float = 25, kind: str = "MJPG") -> Path:
    writer = cv2.VideoWriter(str(path), cv2.VideoWriter.fourcc(*kind), rate, (64, 48))
    assert writer.isOpened()
    for code in codes:
        writer.write(grey(code, 48, 64))
    writer.release()
    return path


@pytest.mark.parametrize(("suffix", "kind"), [(".avi", "MJPG"), (".mp4", "mp4v")])
def test_a_video_plays_frame_by_frame(tmp_path: Path, suffix: str, kind: str) -> None:
    codes = [20, 60, 100, 140, 180, 220]
    path = write_video(tmp_path / f"clip{suffix}", codes, 12.5, kind)
    with open_scenes(path, POLICY) as stream:
        assert (stream.count, stream.frame_rate, stream.still) == (6, 12.5, False)
        assert stream.name == str(path)
        np.testing.assert_allclose(levels(stream), light(*codes), atol=0.03)
        assert stream.next() is None


def test_colours_of_a_video_are_not_swapped(tmp_path: Path) -> None:
    writer = cv2.VideoWriter(str(tmp_path / "red.avi"), cv2.VideoWriter.fourcc(*"MJPG"), 25, (64, 48))
    red = np.zeros((48, 64, 3), np.uint8)
    red[:, :, 2] = 255
    writer.write(red)
    writer.release()
    with open_scenes(tmp_path / "red.avi", POLICY) as stream:
        scene = stream.next()
    assert isinstance(scene, LightScene)
    assert scene.radiance[..., 0].min() > 0.9
    assert scene.radiance[..., 2].max() < 0.05


def test_looping_begins_again(tmp_path: Path) -> None:
    path = write_video(tmp_path / "clip.avi", [40, 200])
    with open_scenes(path, POLICY, loop=True) as stream:
        assert stream.count is None
        np.testing.assert_allclose(levels(stream, 5), light(40, 200, 40, 200, 40), atol=0.02)
    assert stream.next() is None


def test_a_video_that_was_cut_off_is_not_taken_for_a_short_one(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    path = tmp_path / "clip.avi"
    writer = cv2.VideoWriter(str(path), cv2.VideoWriter.fourcc(*"MJPG"), 25, (64, 48))
    for _ in range(40):
        writer.write(rng.integers(0, 256, (48, 64, 3), np.uint8))
    writer.release()
    data = path.read_bytes()
    (tmp_path / "cut.avi").write_bytes(data[: len(data) // 2])
    with open_scenes(tmp_path / "cut.avi", POLICY) as stream, pytest.raises(SceneError, match=r"ends after \d+ of 40"):
        levels(stream)


@pytest.mark.parametrize("content", [b"", b"not a video at all" * 10])
def test_what_is_no_video_is_refused_at_once(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "clip.mp4"
    path.write_bytes(content)
    with pytest.raises(SceneError, match="not a video that OpenCV decodes"):
        open_scenes(path, POLICY)
    with pytest.raises(SceneError, match="cannot read scene"):
        open_scenes(tmp_path / "none.mp4", POLICY)


def test_a_folder_is_in_the_order_in_which_people_count(tmp_path: Path) -> None:
    for number, code in ((10, 160), (9, 120), (1, 40), ("\N{SUPERSCRIPT TWO}", 200)):
        cv2.imwrite(str(tmp_path / f"img{number}.png"), grey(code))
    cv2.imwrite(str(tmp_path / "\N{SUPERSCRIPT TWO}1.png"), grey(240))  # a digit, but no number
    (tmp_path / "notes.txt").write_text("no image")
    (tmp_path / ".hidden.png").write_bytes(b"")
    (tmp_path / "more").mkdir()
    with open_scenes(tmp_path, POLICY) as stream:
        assert stream.count == 5
        assert levels(stream) == light(40, 120, 160, 200, 240)


def test_a_damaged_or_vanished_image_is_named(tmp_path: Path) -> None:
    for number in range(3):
        cv2.imwrite(str(tmp_path / f"img{number}.png"), grey(100))
    (tmp_path / "img1.png").write_bytes(b"damaged")
    stream = open_scenes(tmp_path, POLICY)
    assert stream.next() is not None
    with pytest.raises(SceneError, match=r"img1\.png is damaged"):
        stream.next()
    stream = open_scenes(tmp_path, POLICY)
    (tmp_path / "img0.png").unlink()
    with pytest.raises(SceneError, match=r"cannot read scene .*img0\.png"):
        stream.next()


def test_an_empty_folder_is_refused(tmp_path: Path) -> None:
    with pytest.raises(SceneError, match="no image in folder"):
        open_scenes(tmp_path, POLICY)


def test_numbered_images_play_from_the_lowest_number(tmp_path: Path) -> None:
    for number, code in ((8, 40), (9, 120), (10, 200)):
        cv2.imwrite(str(tmp_path / f"f{number:03d}.png"), grey(code))
    (tmp_path / "f11.png").write_bytes(b"has too few digits to be one of them")
    with open_scenes(str(tmp_path / "f%03d.png"), POLICY) as stream:
        assert stream.count == 3
        assert levels(stream) == light(40, 120, 200)
    (tmp_path / "f009.png").unlink()
    with pytest.raises(SceneError, match=r"f009\.png is missing from the sequence"):
        open_scenes(str(tmp_path / "f%03d.png"), POLICY)
    with pytest.raises(SceneError, match="there is no file"):
        open_scenes(str(tmp_path / "g%03d.png"), POLICY)
    with pytest.raises(SceneError, match="not exactly one number"):
        open_scenes(str(tmp_path / "f%03d%d.png"), POLICY)


class DataSet:
    """As torchvision's: a length, items by number, each an image of PIL and a label."""

    def __len__(self) -> int:
        return 2

    def __getitem__(self, number: int) -> tuple[Image.Image, int]:
        if number >= 2:
            raise IndexError(number)
        return Image.fromarray(grey(40 + 80 * number)), number


def test_data_sets_and_lists_are_gone_through(tmp_path: Path) -> None:
    with open_scenes(DataSet(), POLICY) as stream:
        assert stream.count == 2
        assert levels(stream) == light(40, 120)
    cv2.imwrite(str(tmp_path / "one.png"), grey(200))
    mixed = [grey(40), Image.fromarray(grey(120)).convert("L"), tmp_path / "one.png", (grey(60), "label")]
    np.testing.assert_allclose(levels(open_scenes(mixed, POLICY)), light(40, 120, 200, 60), rtol=1e-6)
    deep = grey(40).astype(np.uint16) * 257
    np.testing.assert_allclose(levels(open_scenes([deep], POLICY)), light(40), rtol=1e-6)
    assert levels(open_scenes((grey(40) for _ in range(2)), POLICY, loop=True)) == light(40, 40)
    assert levels(open_scenes([], POLICY, loop=True)) == []


@pytest.mark.parametrize("item", [3.5, None, b"bytes", np.zeros((4, 4, 3), np.float32), {"image": 1}])
def test_items_that_are_no_scenes_are_named_with_their_number(item: object) -> None:
    stream = open_scenes([grey(1), item], POLICY)
    stream.next()
    with pytest.raises(SceneError, match=r"item 1 of the list is .* not a scene"):
        stream.next()
    with pytest.raises(SceneError, match="item 0 of the list has shape"):
        open_scenes([np.zeros((4, 4), np.uint8)], POLICY).next()


def test_one_image_is_a_still_and_a_stack_of_them_is_not() -> None:
    for image in (grey(40), Image.fromarray(grey(40))):
        stream = open_scenes(image, POLICY)
        assert stream.still
        first = stream.next()
        assert first is not None
        assert first is stream.next()
        assert levels(stream, 1) == light(40)
    assert levels(open_scenes(np.stack([grey(40), grey(120)]), POLICY)) == light(40, 120)
    with pytest.raises(SceneError, match=r"the ndarray has shape \(12, 16\)"):
        open_scenes(np.zeros((12, 16), np.uint8), POLICY)


def test_deep_images_of_pil_keep_their_values() -> None:
    deep = np.arange(12 * 16, dtype=np.uint16).reshape(12, 16) * 300
    scene = open_scenes([Image.fromarray(deep)], POLICY).next()
    assert isinstance(scene, LightScene)
    np.testing.assert_array_equal(scene.radiance, from_image(np.stack([deep] * 3, axis=2), 16, 12).radiance)
    for mode in ("I", "F"):
        with pytest.raises(SceneError, match="32 bits"):
            open_scenes([Image.new(mode, (16, 12))], POLICY).next()


@pytest.mark.parametrize("loop", [False, True])
def test_a_stream_that_has_failed_goes_on_failing(loop: bool) -> None:
    stream = open_scenes([grey(40), "missing.png", grey(120)], POLICY, loop=loop)
    assert stream.next() is not None
    for _ in range(3):
        with pytest.raises(SceneError, match="cannot read scene missing"):
            stream.next()


def test_a_stream_is_a_source_and_plays_from_its_beginning() -> None:
    first = open_scenes([grey(40), grey(120)], POLICY)
    first.next()
    with open_scenes(first, POLICY, loop=True) as second:
        assert levels(second, 3) == light(40, 120, 40)
    assert levels(first) == light(120)
    with pytest.raises(SettingsError, match="region"):
        open_scenes(first, POLICY, region=Region.parse("0,0,1,1"))


def test_sources_without_a_length_play_all_the_same() -> None:
    class Loader:
        def __iter__(self) -> Iterator[np.ndarray]:
            return iter([grey(40), grey(120)])

        def __len__(self) -> int:
            raise TypeError("unknown")

    with open_scenes(Loader(), POLICY, loop=True) as stream:
        assert levels(stream, 3) == light(40, 120, 40)
    assert open_scenes(Loader(), POLICY).count is None


def test_every_scene_of_dn_has_to_fit_the_key() -> None:
    fits = DnScene(np.zeros((12, 16), np.uint16), 0, 4095, cfa=Cfa.RGGB)
    stream = open_scenes([fits, DnScene(np.zeros((6, 8), np.uint16), 0, 4095)], POLICY)
    assert stream.next() is fits
    with pytest.raises(PolicyError, match="8x6"):
        stream.next()


def test_a_still_is_loaded_once(tmp_path: Path) -> None:
    path = tmp_path / "one.png"
    cv2.imwrite(str(path), grey(90))
    stream = open_scenes(path, POLICY)
    assert stream.still
    path.unlink()
    first = stream.next()
    assert all(stream.next() is first for _ in range(5))
    assert open_scenes("chart", POLICY).still
    assert open_scenes(None, POLICY).still
    with pytest.raises(SceneError, match="is no scene"):
        open_scenes(1.5, POLICY)  # type: ignore[arg-type]


def test_a_camera_that_is_not_there_is_refused() -> None:
    for source in (87, "camera:87", -1, 200, "camera:200"):
        with pytest.raises(SceneError, match=r"there is no camera (87|-1|200) "):
            open_scenes(source, POLICY).next()
    with pytest.raises(SceneError, match="a bool is no scene"):
        open_scenes(True, POLICY)


def test_a_camera_plays_until_it_is_closed(monkeypatch: pytest.MonkeyPatch) -> None:
    released = []

    class Capture:
        def __init__(self, number: int) -> None:
            self.left = 3

        def isOpened(self) -> bool:  # noqa: N802 - OpenCV's name
            return True

        def read(self) -> tuple[bool, np.ndarray | None]:
            self.left -= 1
            return (True, grey(50)) if self.left >= 0 else (False, None)

        def release(self) -> None:
            released.append(self)

    monkeypatch.setattr(video.cv2, "VideoCapture", Capture)
    with open_scenes(0, POLICY) as stream:
        assert stream.count is None
        assert levels(stream, 2) == light(50, 50)
    assert len(released) == 1
    with open_scenes("camera:1", POLICY) as stream, pytest.raises(SceneError, match="camera 1 has stopped"):
        levels(stream)
    assert len(released) == 2


def test_a_stream_that_is_closed_lets_go_of_its_source() -> None:
    ended = []

    def images() -> Iterator[np.ndarray]:
        try:
            while True:
                yield grey(40)
        finally:
            ended.append(True)

    with open_scenes(images(), POLICY) as stream:
        stream.next()
        assert not ended
    assert stream.next() is None


def test_a_region_applies_to_every_scene(tmp_path: Path) -> None:
    halves = grey(40, 24, 32)
    halves[:, 16:] = 200
    assert levels(open_scenes([halves, halves], POLICY, region=Region.parse("0.5,0,0.5,1"))) == light(200, 200)
