"""Images and raw files that follow each other: a folder, or numbered names."""

from __future__ import annotations

import re
from pathlib import Path

from sensor_sim import raw_files
from sensor_sim.errors import SceneError

_KINDS = "bmp dib exr hdr jp2 jpe jpeg jpg pbm pgm png pnm ppm ras sr tif tiff webp avif"
SUFFIXES = frozenset(f".{kind}" for kind in _KINDS.split()) | raw_files.SUFFIXES
_NUMBER = re.compile(r"%(0?)([1-9]?)d")


def is_pattern(name: str) -> bool:
    """Whether a name stands for numbered files, such as ``frame%04d.png``."""
    return _NUMBER.search(name) is not None


def in_folder(folder: Path) -> list[Path]:
    """Image and raw files of a folder, by name, with numbers in names by their value; others are left out.

    Which are images says the suffix; hidden files are none.

    Raises:
        SceneError: there is none, or the folder cannot be read.
    """
    try:
        found = [path for path in folder.iterdir() if _is_image(path)]
    except OSError as error:
        raise SceneError(f"cannot read folder {folder}: {error.strerror}", hint="check the path") from error
    if not found:
        raise SceneError(f"there is no image in folder {folder}", hint="PNG, JPEG, TIFF, DNG and others count as one")
    return sorted(found, key=_natural)


def numbered(path: Path) -> list[Path]:
    """The files of a pattern such as ``frame%04d.png``, by number, from the lowest to the highest.

    Raises:
        SceneError: there is none, or one between them is missing.
    """
    fields = list(_NUMBER.finditer(path.name))
    if len(fields) != 1 or "%" in _NUMBER.sub("", path.name):
        raise SceneError(f"pattern {path} has not exactly one number", hint="write one such as frame%04d.png")
    (field,) = fields
    head, tail = re.escape(path.name[: field.start()]), re.escape(path.name[field.end() :])
    names = re.compile(f"{head}([0-9]+){tail}")
    try:
        matches = [match for entry in path.parent.iterdir() if (match := names.fullmatch(entry.name))]
    except OSError as error:
        raise SceneError(f"cannot read folder {path.parent}: {error.strerror}", hint="check the path") from error
    found = {int(match[1]): path.parent / match[0] for match in matches if match[1] == _written(field, int(match[1]))}
    if not found:
        raise SceneError(f"there is no file {path}", hint="check folder and number of digits")
    for number in range(min(found), max(found)):
        if number not in found:
            missing = path.name[: field.start()] + _written(field, number) + path.name[field.end() :]
            raise SceneError(f"{path.parent / missing} is missing from the sequence", hint="number without a gap")
    return [found[number] for number in sorted(found)]


def _written(field: re.Match[str], number: int) -> str:
    zeros, width = field[1], int(field[2] or 0)
    return f"{number:0{width}d}" if zeros and width else str(number)


def _is_image(path: Path) -> bool:
    return path.suffix.lower() in SUFFIXES and not path.name.startswith(".") and path.is_file()


def _natural(path: Path) -> list[tuple[int, str]]:
    parts = re.split(r"([0-9]+)", path.name)
    return [(int(part), "") if part.isdecimal() else (-1, part) for part in parts] + [(-1, path.name)]
