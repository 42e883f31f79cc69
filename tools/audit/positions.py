"""The positions that move in a policy's frames, and where a guess puts them."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from audit.embedding import turned
from audit.mosaic import DOUBLE, OTHER, SINGLE
from audit.views import picture
from keyvault.policy import Cfa, Policy, Unit

Places = NDArray[np.int64]
Samples = NDArray[np.uint16]


@dataclass(frozen=True, eq=False)
class Spots:
    """Where positions are, as far as it matters: a mosaic's greens of one quad may stand for each other.

    Attributes:
        cells: int64 (..., p), raster number of the photosite, or of the quad on a mosaic or where quads move.
        colours: int64 (..., p), of ``audit.mosaic``; 0 where all positions are of one kind.
    """

    cells: Places
    colours: Places

    def at(self, places: Places) -> Spots:
        """The spots of some positions."""
        return Spots(self.cells[places], self.colours[places])

    def same(self, other: Spots) -> NDArray[np.bool_]:
        """Where both agree."""
        return np.asarray((self.cells == other.cells) & (self.colours == other.colours))


@dataclass(frozen=True, eq=False)
class Sensor:
    """What everybody knows of a policy's frames, as positions that move."""

    policy: Policy

    @property
    def quads(self) -> bool:
        """Whether quads move as a whole."""
        return self.policy.unit is Unit.QUAD

    @property
    def mosaic(self) -> bool:
        """Whether photosites of several colours move."""
        return self.policy.cfa is not Cfa.NONE and not self.quads

    @property
    def grid(self) -> tuple[int, int]:
        """Rows and columns of positions."""
        factor = 2 if self.quads else 1
        return self.policy.height // factor, self.policy.width // factor

    @property
    def shape(self) -> tuple[int, int]:
        """Rows and columns of cells."""
        factor = 2 if self.mosaic or self.quads else 1
        return self.policy.height // factor, self.policy.width // factor

    @property
    def band_rows(self) -> int:
        """Rows of positions in a band; the last one may have fewer."""
        return self.policy.band_rows // (2 if self.quads else 1)

    def spots(self) -> Spots:
        """Of every position in true order."""
        if not self.mosaic:
            cells = np.arange(self.shape[0] * self.shape[1])
            return Spots(cells, np.zeros_like(cells))
        rows, columns = np.indices((self.policy.height, self.policy.width)).reshape(2, -1)
        codes = np.array([{"R": SINGLE, "G": DOUBLE, "B": OTHER}[colour] for colour in self.policy.cfa])
        return Spots(rows // 2 * self.shape[1] + columns // 2, codes[rows % 2 * 2 + columns % 2])

    def in_line(self, frames: NDArray[Any]) -> NDArray[Any]:
        """Frames (n, h, w), (n, h, w, c) or (n, h * w, c) as (n, p, samples of a position)."""
        count, (rows, columns) = len(frames), self.grid
        if not self.quads:
            return frames.reshape(count, self.policy.photosites, -1)
        parted = frames.reshape(count, rows, 2, columns, 2, -1).swapaxes(2, 3)
        return parted.reshape(count, rows * columns, -1)

    def as_picture(self, samples: Samples) -> NDArray[np.uint8]:
        """One frame (p, samples of a position) as a picture."""
        if self.quads:
            samples = samples.reshape(*self.grid, 2, 2, -1).swapaxes(1, 2).reshape(self.policy.photosites, -1)
        return picture(samples, self.policy)

    def stored(self, tables: NDArray[np.int32]) -> Places:
        """The true position of what is stored at each: tables (n, h * w) to (n, p)."""
        places = tables.astype(np.int64)
        if self.quads:
            corners = places.reshape(-1, self.policy.height, self.policy.width)[:, ::2, ::2].reshape(len(places), -1)
            rows, columns = np.divmod(corners, self.policy.width)
            places = rows // 2 * self.grid[1] + columns // 2
        return np.argsort(places, axis=1)

    def drawn(self, count: int, generator: np.random.Generator) -> Places:
        """The same of permutations drawn at random inside the policy's scope: (count, p)."""
        bands = self.bands()
        return np.stack([np.lexsort((generator.random(len(bands)), bands)) for _ in range(count)])

    def bands(self) -> Places:
        """The band of every position in true order, which no permutation of the policy changes: (p,)."""
        rows, columns = self.grid
        return np.arange(rows * columns) // (columns * self.band_rows)

    def parts(self) -> list[Places]:
        """The positions of each band, in true order."""
        bands = self.bands()
        return np.split(np.arange(len(bands)), np.flatnonzero(np.diff(bands)) + 1)

    def found(self, guess: Places, table: NDArray[np.int32]) -> float:
        """The share of positions that a guess has at the right spots.

        Args:
            guess: int64 (p,), the true position of each stored one.
            table: int32 (h * w,), where the frame stores each photosite.
        """
        spots = self.spots()
        return float(spots.at(guess).same(spots.at(self.stored(table[None])[0])).mean())

    def chance(self) -> float:
        """What :meth:`found` is expected to be for a guess that knows the bands, and nothing else of a frame."""
        spots, bands = self.spots(), self.bands()
        _, kinds = np.unique(np.stack([bands, spots.cells, spots.colours]), axis=1, return_inverse=True)
        return float((np.bincount(kinds)[kinds] / np.bincount(bands)[bands]).mean())

    def chance_to_stay(self) -> float:
        """The share of positions that two independent permutations of the policy store at the same place.

        Of a uniform permutation of k positions one is expected to stay, so it is one of each band.
        """
        return len(self.parts()) / len(self.bands())

    def views(self, guess: Spots) -> Iterator[Spots]:
        """The guess as a person could turn it, and exchange red and blue."""
        exchanged = np.arange(3)
        exchanged[[SINGLE, OTHER]] = OTHER, SINGLE
        for cells in turned(guess.cells, self.shape):
            yield Spots(cells, guess.colours)
            if self.mosaic:
                yield Spots(cells, exchanged[guess.colours])

    def upright(self, guess: Spots, truths: Places) -> Spots:
        """The view that has most positions right in all frames: truths (n, p) as of :meth:`stored`."""
        spots = self.spots().at(truths)
        return max(self.views(guess), key=lambda one: int(one.same(spots).sum()))

    def restored(self, frames: Samples, guess: Spots) -> Samples:
        """Frames (n, p, c) in the order of the guess."""
        spots = self.spots()
        restored = np.empty_like(frames)
        order = np.lexsort((guess.colours, guess.cells))
        restored[:, np.lexsort((spots.colours, spots.cells))] = frames[:, order]
        return restored
