"""The smallest parts of a text, with their sizes, and how they are joined to parts within a limit."""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property, partial
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

from nearfar.text.outline import CHARACTER, WORD

IntArray = NDArray[np.int64]
Count = Callable[[Sequence[str]], Sequence[int]]
WORD_START = re.compile(r"(?<=\s)\S")


@dataclass(frozen=True)
class Atoms:
    """Atom i is text[places[i]:places[i + 1]]; atoms follow each other without gaps."""

    places: IntArray  # (n + 1,)
    levels: IntArray  # (n,), of the cut before each
    sizes: IntArray  # (n,), tokens

    @cached_property
    def sums(self) -> IntArray:
        """Tokens before each atom, (n + 1,)."""
        return np.concatenate([np.zeros(1, np.int64), np.cumsum(self.sizes)])

    def spans(self, limit: int) -> Iterator[tuple[int, int]]:
        """Yield (first atom, atom after the last) of parts of at most `limit` tokens, cut at the lowest levels."""
        yield from self._split(0, len(self.sizes), limit)

    def _split(self, first: int, last: int, limit: int) -> Iterator[tuple[int, int]]:
        if last - first == 1 or self.sums[last] - self.sums[first] <= limit:
            yield first, last
            return
        inner = self.levels[first + 1 : last]
        cuts = first + 1 + np.flatnonzero(inner == inner.min())
        for part in self._joined(np.concatenate([[first], cuts, [last]]), limit):
            yield from self._split(*part, limit)  # its cuts are of higher levels, of which there are few

    def _joined(self, bounds: IntArray, limit: int) -> Iterator[tuple[int, int]]:
        """Join neighbouring parts that fit together; those over the limit stay alone."""
        begin = 0
        for over in np.flatnonzero(np.diff(self.sums[bounds]) > limit).tolist():
            yield from self._evenly(bounds[begin : over + 1], limit)
            yield int(bounds[over]), int(bounds[over + 1])
            begin = over + 1
        yield from self._evenly(bounds[begin:], limit)

    def _evenly(self, bounds: IntArray, limit: int) -> Iterator[tuple[int, int]]:
        """Join parts to as few as they fit in, of about one size: no small rest at the end."""
        sums, places = self.sums[bounds].tolist(), bounds.tolist()
        aim = (sums[-1] - sums[0]) / max(1, math.ceil((sums[-1] - sums[0]) / limit))
        begin, last = 0, len(places) - 1
        for end in range(1, last + 1):
            if end == last or sums[end] - sums[begin] >= aim or sums[end + 1] - sums[begin] > limit:
                yield places[begin], places[end]
                begin = end


@dataclass(frozen=True)
class Cutter:
    """Cuts a text into atoms of at most `limit` tokens."""

    text: str
    limit: int
    count: Count

    def atoms(self, cuts: Sequence[tuple[int, int]]) -> Atoms:
        """Cut at all of `cuts`, (place, level), and where a part is over the limit at words, then anywhere."""
        levels = np.array([level for _, level in cuts] or [0], np.int64)
        places = np.array([0, *(place for place, _ in cuts[1:]), len(self.text)], np.int64)
        atoms = Atoms(places, levels, self._sizes(pairwise(places.tolist())))
        atoms = self._finer(atoms, WORD, self._words)
        step = self.limit  # characters; hardly one of them is more than a token
        while step and (atoms.sizes > self.limit).any():
            atoms = self._finer(atoms, CHARACTER, partial(_characters, step=step))
            step //= 2
        return atoms

    def _finer(self, atoms: Atoms, level: int, starts: Callable[[int, int], Sequence[int]]) -> Atoms:
        """Cut the atoms that are over the limit where `starts` says, beginning with their own start."""
        over = atoms.sizes > self.limit
        spans = list(zip(atoms.places[:-1][over].tolist(), atoms.places[1:][over].tolist(), strict=True))
        parts = [starts(*span) for span in spans]
        pieces = np.ones(len(over), np.int64)
        pieces[over] = [len(part) for part in parts]
        is_new = np.repeat(over, pieces)
        is_first = np.zeros(len(is_new), np.bool_)
        is_first[np.cumsum(pieces) - pieces] = True
        places = np.append(np.repeat(atoms.places[:-1], pieces), atoms.places[-1])
        places[:-1][is_new] = [start for part in parts for start in part]
        sizes = np.repeat(atoms.sizes, pieces)
        sizes[is_new] = self._sizes(zip(places[:-1][is_new].tolist(), places[1:][is_new].tolist(), strict=True))
        return Atoms(places, np.where(is_first, np.repeat(atoms.levels, pieces), level), sizes)

    def _words(self, start: int, end: int) -> Sequence[int]:
        return [start, *(match.start() for match in WORD_START.finditer(self.text, start + 1, end))]

    def _sizes(self, spans: Iterable[tuple[int, int]]) -> IntArray:
        return np.array(self.count([self.text[start:end] for start, end in spans]), np.int64)


def _characters(start: int, end: int, step: int) -> Sequence[int]:
    return range(start, end, step)
