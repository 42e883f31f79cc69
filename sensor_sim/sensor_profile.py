"""Sensor profiles: what a type of sensor is like, as a TOML file (docs/sensor.md)."""

from __future__ import annotations

import tomllib
from collections.abc import Iterator
from dataclasses import dataclass, field, fields, replace
from enum import StrEnum
from pathlib import Path
from typing import Any, TypeVar

import numpy as np
from numpy.typing import NDArray

from adc_firmware import ColumnConverter, Converter, SingleSlope
from keyvault import places
from keyvault.errors import PolicyError
from keyvault.policy import Policy
from sensor_sim.errors import ProfileError, SettingsError
from sensor_sim.settings import MAX_GAIN, MAX_SHUTTER_US, CameraSettings, PixelModel, check_bounds, parameter

IDEAL = "ideal"
SUFFIX = ".toml"
MAX_BYTES = 1 << 16
_BUILT_IN = Path(__file__).parent / "profiles"
_TABLES = ("pixel", "readout")
_CONVERTER = "converter"  # a table that may be missing
_TEXTS = ("summary", "source")
_SLOPE_KEYS = tuple(each.name for each in fields(SingleSlope) if each.name != "seed")
_Part = TypeVar("_Part", bound="PixelModel | Readout")


class Shutter(StrEnum):
    """When rows are exposed: all at once, or one after the other."""

    GLOBAL = "global"
    ROLLING = "rolling"


@dataclass(frozen=True, slots=True)
class Readout:
    """When a sensor exposes and reads its rows, and which settings it takes.

    Attributes:
        shutter: global or rolling.
        row_time_us: from one row's readout to the next one's, microseconds.
        blank_rows: row times between the last row of a frame and the first of the next.
        min_shutter_us, max_shutter_us: exposure times.
        min_gain, max_gain: analogue gains.

    Raises SettingsError when constructed with values out of range.
    """

    shutter: Shutter = Shutter.GLOBAL
    row_time_us: float = parameter(10.0, 0.01, 1e6)
    blank_rows: int = parameter(0, 0, 65_535, whole=True)
    min_shutter_us: int = parameter(1, 1, MAX_SHUTTER_US, whole=True)
    max_shutter_us: int = parameter(MAX_SHUTTER_US, 1, MAX_SHUTTER_US, whole=True)
    min_gain: float = parameter(0.001, 0.001, MAX_GAIN)
    max_gain: float = parameter(MAX_GAIN, 0.001, MAX_GAIN)

    def __post_init__(self) -> None:
        if self.shutter not in tuple(Shutter):
            raise SettingsError(f"shutter {self.shutter!r:.40} is not {' or '.join(Shutter)}")
        object.__setattr__(self, "shutter", Shutter(self.shutter))
        check_bounds(self)
        for low, high in (("min_shutter_us", "max_shutter_us"), ("min_gain", "max_gain")):
            if getattr(self, low) > getattr(self, high):
                raise SettingsError(f"{low} {getattr(self, low):g} is above {high} {getattr(self, high):g}")

    def row_starts_us(self, rows: int) -> NDArray[np.float64]:
        """When each row's exposure starts, microseconds after the first one's: (rows,)."""
        step = self.row_time_us if self.shutter is Shutter.ROLLING else 0.0
        return step * np.arange(rows, dtype=np.float64)

    def frame_us(self, rows: int, shutter_us: int) -> float:
        """The shortest time from frame to frame, microseconds, when the next exposure overlaps the readout."""
        return max((rows + self.blank_rows) * self.row_time_us, float(shutter_us))

    def check(self, settings: CameraSettings) -> None:
        """Raise SettingsError unless the sensor takes this exposure time and gain."""
        if not self.min_shutter_us <= settings.shutter_us <= self.max_shutter_us:
            allowed = f"{self.min_shutter_us} to {self.max_shutter_us} us"
            raise SettingsError(f"shutter {settings.shutter_us} is not {allowed}, which the sensor takes")
        if not self.min_gain <= settings.gain <= self.max_gain:
            allowed = f"{self.min_gain:g} to {self.max_gain:g}"
            raise SettingsError(f"gain {settings.gain:g} is not {allowed}, which the sensor takes")


@dataclass(frozen=True, slots=True)
class SensorProfile:
    """A type of sensor; without arguments, the ideal one.

    Attributes:
        name: the file's name without its suffix.
        summary: one line on what it is.
        source: where the parameters come from, and which are assumed.
        pixel: the photosites.
        readout: timing and limits.
        slope: errors of the converters; None for ideal ones.  Its seed has no effect.
    """

    name: str = IDEAL
    summary: str = ""
    source: str = ""
    pixel: PixelModel = field(default_factory=PixelModel)
    readout: Readout = field(default_factory=Readout)
    slope: SingleSlope | None = None

    def converter(self, policy: Policy, serial: int) -> Converter | ColumnConverter:
        """The converters of one such sensor.

        Args:
            policy: says how many bits and columns they have.
            serial: number of the individual sensor, which fixes the errors of its columns.

        Raises:
            PolicyError: the errors are too great for this many bits.
        """
        ideal = self.pixel.converter(policy.bits)
        if self.slope is None:
            return ideal
        return replace(self.slope, seed=serial).converter(ideal, policy.width)


def user_folder() -> Path:
    """Where profiles of the user's own are looked up by name."""
    return places.home() / "profiles"


def load_profile(source: SensorProfile | Path | str | None) -> SensorProfile:
    """A profile.

    Args:
        source: a profile; a file (a path, or a name that ends in ``.toml``); the name of a built-in
            one or of a file in :func:`user_folder`; or None for the ideal sensor.

    Raises:
        ProfileError: there is none of that name, the file cannot be read, or it is no profile; the
            message names file and key, and says what is allowed.
    """
    if isinstance(source, SensorProfile):
        return source
    if isinstance(source, Path) or (source is not None and source.endswith(SUFFIX)):
        return _read(Path(source))
    found, name = dict(_known()), IDEAL if source is None else source
    if name not in found:
        raise ProfileError(
            f"there is no sensor profile {name!r:.80}; there are {', '.join(found)}",
            hint=f"name one of them, a file in {user_folder()}, or a file that ends in {SUFFIX}",
        )
    return _read(found[name])


def list_profiles() -> list[SensorProfile]:
    """The built-in profiles and those in :func:`user_folder`; ProfileError if one of them is broken."""
    return [_read(path) for _, path in _known()]


def _known() -> Iterator[tuple[str, Path]]:
    """Names and files; a user's file cannot take a built-in name."""
    built_in = {path.stem: path for path in sorted(_BUILT_IN.glob(f"*{SUFFIX}"))}
    yield from built_in.items()
    yield from ((path.stem, path) for path in sorted(user_folder().glob(f"*{SUFFIX}")) if path.stem not in built_in)


def _read(path: Path) -> SensorProfile:
    try:
        with path.open("rb") as file:
            data = file.read(MAX_BYTES + 1)
    except OSError as error:
        raise ProfileError(f"cannot read sensor profile {path}: {error.strerror}", hint="check the path") from error
    if len(data) > MAX_BYTES:
        raise ProfileError(f"sensor profile {path} has more than {MAX_BYTES} bytes")
    try:
        return _parse(path.stem, tomllib.loads(data.decode()))
    except (tomllib.TOMLDecodeError, UnicodeDecodeError, RecursionError) as error:
        raise ProfileError(f"sensor profile {path} is not TOML: {error!s:.200}") from error
    except SettingsError as error:
        raise ProfileError(f"sensor profile {path}: {error}", hint="docs/sensor.md lists the keys") from error


def _parse(name: str, content: dict[str, Any]) -> SensorProfile:
    _check_keys("", content, (*_TEXTS, *_TABLES, _CONVERTER), (*_TEXTS, *_TABLES))
    for text in _TEXTS:
        if not isinstance(content[text], str) or not content[text].strip():
            raise SettingsError(f"{text} is not a text; a profile says what it is and whence its values come")
    return SensorProfile(
        name=name,
        summary=" ".join(content["summary"].split()),
        source=content["source"].strip(),
        pixel=_part(PixelModel, "pixel", content["pixel"]),
        readout=_part(Readout, "readout", content["readout"]),
        slope=_slope(content[_CONVERTER]) if _CONVERTER in content else None,
    )


def _part(kind: type[_Part], table: str, values: Any) -> _Part:
    """A table as its dataclass: every parameter is stated, but those that may be None."""
    names = tuple(each.name for each in fields(kind))
    optional = {each.name for each in fields(kind) if "bounds" in each.metadata and each.metadata["bounds"].optional}
    _check_table(table, values, names, tuple(name for name in names if name not in optional))
    stated: Any = dict.fromkeys(optional) | values
    try:
        return kind(**stated)
    except SettingsError as error:
        raise SettingsError(f"[{table}] {error}") from error


def _slope(values: Any) -> SingleSlope:
    """The table of the converters' errors: every key is stated."""
    _check_table(_CONVERTER, values, _SLOPE_KEYS, _SLOPE_KEYS)
    widths = values["code_widths"]
    if not isinstance(widths, list):
        raise SettingsError(f"[{_CONVERTER}] code_widths {widths!r:.40} is not a list of numbers")
    try:
        return SingleSlope(**values | {"code_widths": tuple(widths)})
    except PolicyError as error:
        raise SettingsError(f"[{_CONVERTER}] {error}") from error


def _check_table(table: str, found: Any, allowed: tuple[str, ...], needed: tuple[str, ...]) -> None:
    if not isinstance(found, dict):
        raise SettingsError(f"[{table}] is not a table")
    _check_keys(f"[{table}] ", found, allowed, needed)


def _check_keys(where: str, found: dict[str, Any], allowed: tuple[str, ...], needed: tuple[str, ...]) -> None:
    unknown = [key for key in found if key not in allowed]
    if unknown:
        raise SettingsError(f"{where}has an unknown key {unknown[0]!r:.80}; allowed: {', '.join(allowed)}")
    missing = [key for key in needed if key not in found]
    if missing:
        raise SettingsError(f"{where}lacks {', '.join(missing)}")
