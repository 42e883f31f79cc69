"""Scenes one after the other, as a camera asks for them."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from itertools import repeat
from pathlib import Path
from typing import Any, Self

from keyvault.policy import Policy
from sensor_sim import photograph, sequence, video
from sensor_sim.errors import SceneError, SettingsError
from sensor_sim.loading import as_scene, is_image, load_scene
from sensor_sim.region import Region
from sensor_sim.scene import DnScene, LightScene, Scene

_LIVE = re.compile(r"camera:([0-9]{1,3})")


@dataclass(frozen=True, slots=True)
class Reel:
    """What a stream plays.

    Attributes:
        name: for messages.
        scenes: begins at the first scene, whenever it is called.
        count: how many there are; None if that is not known, or they never end.
        frame_rate: that a video states, frames a second.
        still: whether it is one scene, again and again.
    """

    name: str
    scenes: Callable[[], Iterator[Scene]]
    count: int | None = None
    frame_rate: float | None = None
    still: bool = False


class SceneStream:
    """Scenes one after the other; a context manager that closes files and cameras.

    Args:
        reel: what to play.
        loop: begin again where it ends.
    """

    def __init__(self, reel: Reel, *, loop: bool = False) -> None:
        self._reel = reel
        self._loop = loop and not reel.still
        self._scenes = reel.scenes()
        self._failure: Exception | None = None

    @property
    def name(self) -> str:
        """For messages."""
        return self._reel.name

    @property
    def count(self) -> int | None:
        """How many scenes there are; None without end, or if it is not known."""
        return None if self._loop else self._reel.count

    @property
    def frame_rate(self) -> float | None:
        """What a video states, frames a second."""
        return self._reel.frame_rate

    @property
    def still(self) -> bool:
        """Whether it is the same scene every time."""
        return self._reel.still

    def next(self) -> Scene | None:
        """The next scene, or None after the last one.

        Raises:
            SceneError: it cannot be read.
            PolicyError: it does not fit the sensor.

        A stream that has failed stays so: it raises the same error again.
        """
        if self._failure is not None:
            raise self._failure
        try:
            scene = next(self._scenes, None)
            if scene is None and self._loop:
                self._scenes = self._reel.scenes()
                scene = next(self._scenes, None)
        except Exception as error:
            self._failure = error
            raise
        return scene

    def again(self, *, loop: bool) -> SceneStream:
        """The same scenes from their beginning, as another stream."""
        return SceneStream(self._reel, loop=loop)

    def close(self) -> None:
        """Let go of files and cameras; there is no next scene afterwards."""
        self._loop, self._failure = False, None
        close = getattr(self._scenes, "close", None)
        if close is not None:
            close()
        self._scenes = iter(())

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


SceneSource = Scene | SceneStream | Path | str | int | Iterable[Any] | None


def open_scenes(
    source: SceneSource, policy: Policy, *, region: Region | None = None, loop: bool = False
) -> SceneStream:
    """Bring scenes in front of a sensor of this policy.

    Args:
        source: one scene, as for :func:`load_scene`; a video file; a folder of images; the pattern of
            numbered images, such as ``frame%04d.png``; the number of a live camera, or ``"camera:0"``;
            a data set or any other iterable, of which :func:`as_scene` takes the items; another
            stream, which plays from its beginning.
        policy: geometry of the sensor.
        region: the part of every scene that the sensor sees; None for all of it.
        loop: begin again after the last one; an iterable that can be gone through only once then ends.

    Raises:
        SceneError: nothing like it can be read; scenes that follow are read when they are asked for.
        SettingsError: the region does not lie in the scene.
        PolicyError: the scene does not fit the sensor.
    """
    if isinstance(source, SceneStream):
        if region is not None:
            raise SettingsError("a region goes with the source of a stream of scenes, not with the stream")
        return source.again(loop=loop)
    return SceneStream(_reel(source, policy, region), loop=loop)


def _reel(source: Scene | Path | str | int | Iterable[Any] | None, policy: Policy, region: Region | None) -> Reel:
    if isinstance(source, str | Path):
        return _named(source, policy, region)
    if source is None or isinstance(source, LightScene | DnScene):
        return _still(source, policy, region)
    if isinstance(source, int) and not isinstance(source, bool):
        return _images(f"camera {source}", lambda: video.live(source), policy, region)
    if is_image(source):
        return _still(as_scene(source, f"the {type(source).__name__}", policy, region), policy, None)
    if isinstance(source, int) or not (hasattr(source, "__iter__") or _by_number(source)):
        raise SceneError(f"a {type(source).__name__} is no scene", hint="give a file, a folder, images or scenes")
    return _items(source, policy, region)


def _named(source: str | Path, policy: Policy, region: Region | None) -> Reel:
    path, live = Path(source), _LIVE.fullmatch(str(source))
    if live:
        return _reel(int(live[1]), policy, region)
    if sequence.is_pattern(path.name) and not path.exists():
        return _files(str(path), sequence.numbered(path), policy, region)
    if path.is_dir():
        return _files(str(path), sequence.in_folder(path), policy, region)
    if path.suffix.lower() in video.SUFFIXES:
        return _video(path, policy, region)
    return _still(source, policy, region)


def _still(source: Scene | Path | str | None, policy: Policy, region: Region | None) -> Reel:
    scene = load_scene(source, policy, region)
    return Reel(scene.name, lambda: repeat(scene), still=True)


def _files(name: str, files: list[Path], policy: Policy, region: Region | None) -> Reel:
    return Reel(name, lambda: (load_scene(path, policy, region) for path in files), count=len(files))


def _video(path: Path, policy: Policy, region: Region | None) -> Reel:
    playing = _images(str(path), lambda: video.frames(path), policy, region)
    return Reel(playing.name, playing.scenes, video.count(path), video.frame_rate(path))


def _images(name: str, images: Callable[[], Iterator[Any]], policy: Policy, region: Region | None) -> Reel:
    def scenes() -> Iterator[Scene]:
        found = images()
        try:
            for image in found:
                yield photograph.from_image(image, policy.width, policy.height, name, region)
        finally:
            found.close()  # type: ignore[attr-defined]  # a generator: lets go of the file

    return Reel(name, scenes)


def _items(items: Iterable[Any], policy: Policy, region: Region | None) -> Reel:
    name = f"the {type(items).__name__}"

    def scenes() -> Iterator[Scene]:
        for number, item in enumerate(_through(items)):
            yield as_scene(item, f"item {number} of {name}", policy, region)

    return Reel(name, scenes, count=_length(items))


def _through(items: Any) -> Iterator[Any]:
    return (items[number] for number in range(len(items))) if _by_number(items) else iter(items)


def _by_number(items: Any) -> bool:
    """Whether it is asked for items by their number, as torch's data sets are."""
    return _length(items) is not None and hasattr(items, "__getitem__") and not hasattr(items, "keys")


def _length(items: Any) -> int | None:
    try:
        return len(items)
    except TypeError:  # also of those that have a length for some of their kind only, as torch's loaders
        return None
