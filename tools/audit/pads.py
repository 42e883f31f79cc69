"""A mask that hides more than one frame: what scenes usually look like is enough to find it, and to take it off.

A two-time pad, after Mason, Watkins, Eisner and Stubblefield, "A natural language approach to
automated cryptanalysis of two-time pads", CCS 2006, with the histogram of scenes as the language.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import uniform_filter1d
from scipy.stats import chi2

Samples = NDArray[np.uint16]
Floats = NDArray[np.float64]
Pairs = NDArray[np.int64]
_NEAR = 32  # parts of all levels, of which one is near
_KNOWN_LEVELS = 256  # of scenes that an attacker knows
_CLASSES = 8  # of brightness
_ROUNDS = 3
_NEVER = 0.5  # how often a value that no known scene has is taken to have been seen
_AT_ONCE = 2**22  # likelihoods
_BINS = 16  # of differences
_FALSE_ALARM = 1e-4  # how often fresh masks may pass for a mask used twice, in one search


def histogram(scenes: Samples, levels: int) -> Floats:
    """How often each of ``levels`` values occurs in scenes of any shape: float64 (levels,), sum 1.

    Scenes of 8 bits have 256 values; where there are more levels, each stands for those around it.
    """
    counts = np.bincount(scenes.ravel(), minlength=levels).astype(np.float64)
    counts = uniform_filter1d(counts, max(levels // _KNOWN_LEVELS, 1), mode="wrap") + _NEVER
    return np.asarray(counts / counts.sum())


@dataclass(frozen=True, eq=False)
class Usual:
    """What scenes usually look like.

    Attributes:
        overall: float64 (levels,), how often a sample has each value.
        edges: means of a scene that part eight classes of brightness: (7,).
        by_brightness: the same as ``overall`` for scenes of each class: (8, levels).
        differences: (levels,), how often a sample differs by each value from another scene's at its place.
    """

    overall: Floats
    edges: Floats
    by_brightness: Floats
    differences: Floats

    @classmethod
    def of(cls, scenes: Samples, levels: int) -> Usual:
        """Learn from scenes (m, p) with samples below ``levels``; m at least 2."""
        brightness = scenes.mean(axis=1)
        edges = np.quantile(brightness, np.arange(1, _CLASSES) / _CLASSES)
        group = np.digitize(brightness, edges)
        parts = [histogram(scenes[group == one], levels) for one in range(_CLASSES)]
        one_way = histogram(without(scenes[1:], scenes[:-1], levels), levels)
        differences = (one_way + np.roll(one_way[::-1], 1)) / 2
        return cls(histogram(scenes, levels), edges, np.stack(parts), differences)

    @property
    def levels(self) -> int:
        """How many values a sample can have."""
        return len(self.overall)

    @property
    def near(self) -> int:
        """How many codes a guess may be off: 8 of 256."""
        return self.levels // _NEAR


def likelihoods(frames: Samples, usual: Floats) -> Floats:
    """The logarithm of how likely frames (n, p) are under each mask of each position: (p, levels)."""
    levels, places = len(usual), frames.shape[1]
    rows = np.arange(places, dtype=np.int64) * levels
    counts = np.bincount((frames + rows).ravel(), minlength=levels * places).reshape(-1, levels)
    # The sum over values v of counts[v] * log(usual[v - mask]) is a circular correlation.
    spectra = np.fft.rfft(counts, axis=1) * np.conj(np.fft.rfft(np.log(usual)))
    return np.fft.irfft(spectra, levels, axis=1)


def likeliest_mask(frames: Samples, usual: Usual) -> Samples:
    """The mask of each position under which its samples are likeliest, if all frames have the same one.

    A first guess tells how bright each frame is, and frames of one brightness are more alike than frames at large.

    Args:
        frames: uint16 (n, p): n frames as stored, below the number of levels.
        usual: what they are expected to show.

    Returns uint16 (p,).
    """
    mask = _likeliest([(frames, usual.overall)])
    for _ in range(_ROUNDS):
        bare = without(frames, mask, usual.levels)
        group = np.digitize(bare.mean(axis=1), usual.edges)
        mask = _likeliest([(frames[group == one], usual.by_brightness[one]) for one in np.unique(group)])
    return mask


def _likeliest(groups: Sequence[tuple[Samples, Floats]]) -> Samples:
    """The likeliest mask of groups of frames (n, p) with a histogram each, some positions at a time."""
    places, levels = groups[0][0].shape[1], len(groups[0][1])
    parts = np.array_split(np.arange(places), -(-places * levels // _AT_ONCE))
    sums = (np.sum([likelihoods(frames[:, part], usual) for frames, usual in groups], axis=0) for part in parts)
    return np.concatenate([one.argmax(axis=1) for one in sums]).astype(np.uint16)


def without(frames: Samples, mask: Samples, levels: int) -> Samples:
    """Frames (n, p) with a mask (p,) subtracted, modulo the levels."""
    return ((frames.astype(np.int64) - mask) % levels).astype(np.uint16)


def errors(guess: Samples, truth: Samples, levels: int) -> NDArray[np.int64]:
    """How many codes each guess is off, the shorter way round: 0 to levels / 2."""
    apart = (guess.astype(np.int64) - truth) % levels
    return np.minimum(apart, levels - apart)


def best_constant(usual: Floats, near: int) -> Samples:
    """The value that has most samples within ``near`` codes, the shorter way round; what a blind guess is: (1,)."""
    around = np.concatenate([usual[len(usual) - near :], usual, usual[:near]])
    return np.array([np.convolve(around, np.ones(2 * near + 1), "valid").argmax()], np.uint16)


def near(guess: Samples, truth: Samples, usual: Usual, axis: int) -> Floats:
    """The share of samples that are right within ``usual.near`` codes, along an axis of frames (n, p)."""
    return np.asarray((errors(guess, truth, usual.levels) <= usual.near).mean(axis=axis))


def unevenness(frames: Samples, levels: int) -> Floats:
    """How unevenly the differences of two frames (n, p) fall into 16 parts of all levels, for every pair.

    Fresh masks make all differences equally frequent; then this is distributed as chi squared with 15 degrees of
    freedom (Pearson, Phil. Mag. 50(302), 1900).

    Returns float64 (n, n); minus infinity where the second frame is not the later one.
    """
    count, places = frames.shape
    found, even = np.full((count, count), -np.inf), places / _BINS
    for number, frame in enumerate(frames[:-1]):
        bins = without(frames[number + 1 :], frame, levels).astype(np.int64) * _BINS // levels
        rows = np.arange(len(bins))[:, None] * _BINS
        counts = np.bincount((bins + rows).ravel(), minlength=len(bins) * _BINS).reshape(-1, _BINS)
        found[number, number + 1 :] = ((counts - even) ** 2).sum(axis=1) / even
    return found


def under_one_mask(frames: Samples, levels: int) -> tuple[Pairs, bool]:
    """The pairs of frames (n, p), n at least 2, that seem to have one mask and one order, likeliest first.

    One search in ten thousand finds a pair among fresh masks.  Where none is found, those n are returned that are
    likeliest all the same.

    Returns int64 (k, 2), and whether they were found.
    """
    uneven = unevenness(frames, levels)
    every = len(frames) * (len(frames) - 1) // 2
    best = np.argsort(-uneven, axis=None)[:every]
    sure = uneven.flat[best] > chi2.isf(_FALSE_ALARM / every, _BINS - 1)
    pairs = np.stack(np.unravel_index(best[sure] if sure.any() else best[: len(frames)], uneven.shape), axis=1)
    return pairs.astype(np.int64), bool(sure.any())
