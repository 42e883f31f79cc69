"""The photograph that tools show unless they are given another: a cat, which scikit-image ships."""

from __future__ import annotations

from pathlib import Path

import skimage

PHOTOGRAPH = Path(skimage.__file__).parent / "data" / "chelsea.png"
