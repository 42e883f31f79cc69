"""The keyed ISP: from shuffled DN to a network's input without ever putting an image in order."""

from __future__ import annotations

from inference.imaging.pipeline import isp
from inference.imaging.settings import Demosaic, Fit, Gamma, IspSettings

__all__ = ["Demosaic", "Fit", "Gamma", "IspSettings", "isp"]
