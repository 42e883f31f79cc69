"""The scenes that pass in front of the camera."""

from __future__ import annotations

from sensor_sim.errors import SceneError
from sensor_sim.scene import Scene
from sensor_sim.scene_stream import SceneStream


class SceneFeed:
    """A stream of scenes whose first one is known at once: so a camera refuses it when it opens.

    Raises SceneError when constructed with a stream that has none; the stream is closed then.
    """

    def __init__(self, scenes: SceneStream) -> None:
        self._scenes = scenes
        try:
            first = scenes.next()
            if first is None:
                raise SceneError(f"there is no scene in {scenes.name}")
        except BaseException:
            scenes.close()
            raise
        self.current: Scene = first
        self._ahead = True

    def next(self) -> Scene | None:
        """The scene of the next frame; None once they have ended."""
        if self._ahead:
            self._ahead = False
            return self.current
        scene = self._scenes.next()
        if scene is not None:
            self.current = scene
        return scene

    def close(self) -> None:
        """Let go of files and devices."""
        self._scenes.close()

    def ended(self) -> str:
        """Why there is no next scene, in words."""
        return f"the scenes of {self._scenes.name} have ended"
