"""A private frame as a page for a person: what is stored, its histogram, and what its header says."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from adc_firmware.encodings import Encoding
from adc_firmware.frame import FrameHeader
from keyvault.policy import Cfa, FrameKeys
from sensor_sim.canvas import FAINT, INK, RULE, Align, Canvas, Colour, shortened, text_width
from sensor_sim.histogram import Histogram, Plot

_WIDTH, _MARGIN = 1240, 40
_VIEW = (700, 520)  # room for the private view
_TABLE = _MARGIN + _VIEW[0] + 40
_TOP = 110
_PLOT_HEIGHT = 200
_ROW = 26
_NAMES = 130  # width of the table's first column
_VERIFIED: Colour = (22, 120, 60)
_UNVERIFIED: Colour = (176, 88, 0)


@dataclass(frozen=True, slots=True, eq=False)
class Shown:
    """What is shown of a frame.

    Attributes:
        path: of its file.
        header: verified or not.
        samples: uint16 (h, w) or (h, w, 3), in stored order.
        encoding: of the file, if that is known.
        verified: whether the sensor's signature was checked under a grant.
    """

    path: Path
    header: FrameHeader
    samples: NDArray[np.uint16]
    encoding: Encoding
    verified: bool

    @property
    def standing(self) -> str:
        """Whether the frame can be trusted, in words."""
        return "signature verified" if self.verified else "not verified"

    def summary(self) -> str:
        """The frame in one line."""
        header = self.header
        return (
            f"{self.path}: {geometry(header)}, {header.policy.protection}, sensor {header.sensor}, "
            f"key {header.key_id}, epoch {header.epoch}, frame {header.counter}; {self.standing}"
        )


def draw(shown: Shown) -> bytes:
    """The page as a PNG file."""
    view, caption = _view(shown.samples, shown.header.policy.bits)
    rows = _rows(shown)
    view_height = max(view.shape[0], _ROW * len(rows) - 20)
    plot_top = _TOP + view_height + 108
    canvas = Canvas(_WIDTH, plot_top + _PLOT_HEIGHT + 84)
    _title(canvas, shown)
    canvas.picture((_MARGIN, _TOP), view)
    canvas.outline((_MARGIN, _TOP), (view.shape[1], view.shape[0]))
    canvas.text((_MARGIN, _TOP + view.shape[0] + 24), caption, 9, FAINT)
    _table(canvas, rows)
    plot = Plot(canvas, (_MARGIN + 50, plot_top), (_WIDTH - 2 * _MARGIN - 60, _PLOT_HEIGHT))
    header = shown.header
    levels = {"black": header.black_level, "white": header.white_level}
    plot.draw(Histogram.of(shown.samples, header.policy.bits), levels)
    return canvas.png()


def geometry(header: FrameHeader) -> str:
    """Size, mosaic and depth, such as ``640x480 RGGB, 12 bits``."""
    policy = header.policy
    stacked = policy.samples_per_photosite == 3
    mosaic = "stacked" if stacked else "monochrome" if policy.cfa is Cfa.NONE else str(policy.cfa)
    return f"{policy.width}x{policy.height} {mosaic}, {policy.bits} bits"


def _title(canvas: Canvas, shown: Shown) -> None:
    standing = shown.standing
    colour = _VERIFIED if shown.verified else _UNVERIFIED
    badge = text_width(standing, 12) + 28
    room = _WIDTH - 2 * _MARGIN - badge - 30
    canvas.text((_MARGIN, 58), shortened(f"Private view of {shown.path.name}", 17, room), 17)
    canvas.fill((_WIDTH - _MARGIN - badge, 34), (badge, 34), colour)
    canvas.text((_WIDTH - _MARGIN - badge // 2, 57), standing, 12, (255, 255, 255), Align.MIDDLE)
    canvas.line((_MARGIN, 84), (_WIDTH - _MARGIN, 84))


def _view(samples: NDArray[np.uint16], bits: int) -> tuple[NDArray[np.uint8], str]:
    """The samples as grey or colour, 0 black and 2**bits - 1 white, in the room there is, and what was done.

    Smaller frames are enlarged by whole numbers.  Of greater ones every n-th photosite of every
    n-th row is taken: averages would show a grey that is nowhere in the frame.
    """
    height, width = samples.shape[:2]
    step = max(-(-width // _VIEW[0]), -(-height // _VIEW[1]))
    times = max(1, min(_VIEW[0] // width, _VIEW[1] // height))
    taken = np.minimum(samples[::step, ::step], 2**bits - 1) >> (bits - 8)
    grey = np.repeat(np.repeat(taken.astype(np.uint8), times, 0), times, 1)
    rgb = grey if grey.ndim == 3 else np.repeat(grey[:, :, None], 3, 2)
    if step > 1:
        return rgb, f"one photosite of every {step}x{step} as stored; black is 0 DN, white {2**bits - 1} DN"
    enlarged = f", enlarged {times} times" if times > 1 else ""
    return rgb, f"photosites as stored{enlarged}; black is 0 DN, white {2**bits - 1} DN"


def _table(canvas: Canvas, rows: list[tuple[str, str]]) -> None:
    right = _WIDTH - _MARGIN
    for number, (name, value) in enumerate(rows):
        y = _TOP + 12 + _ROW * number
        canvas.text((_TABLE, y), name, 10, FAINT)
        canvas.text((_TABLE + _NAMES, y), shortened(value, 10, right - _TABLE - _NAMES), 10, INK)
        canvas.line((_TABLE, y + 8), (right, y + 8), RULE)


def _rows(shown: Shown) -> list[tuple[str, str]]:
    header = shown.header
    policy = header.policy
    moment, nanoseconds = divmod(header.timestamp_ns, 10**9)
    keys = "one for each frame" if policy.frame_keys is FrameKeys.PER_FRAME else "one for all frames"
    gains = ", ".join(f"{gain / 1024:.3f}" for gain in header.white_balance)
    return [
        ("sensor", header.sensor),
        ("geometry", geometry(header)),
        ("protection", str(policy.protection)),
        ("scope", f"{policy.unit}s, {policy.scope}"),
        ("frame keys", keys),
        ("key id", header.key_id),
        ("epoch", str(header.epoch)),
        ("session", header.session.hex()),
        ("counter", str(header.counter)),
        ("exposure", f"{header.exposure_us} us"),
        ("gain", f"{header.gain_milli / 1000:g}"),
        ("levels", f"black {header.black_level}, white {header.white_level} DN"),
        ("white balance", gains),
        (
            "exposed",
            datetime.fromtimestamp(moment, UTC).strftime("%Y-%m-%d %H:%M:%S") + f".{nanoseconds // 10**6:03d} UTC",
        ),
        ("file", str(shown.encoding)),
        ("signature", "verified under the grant" if shown.verified else "not verified: no key was given"),
    ]
