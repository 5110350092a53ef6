"""Long documents as passages: cut along their structure, each with the context to embed it in."""

from __future__ import annotations

import re
from bisect import bisect_left, bisect_right
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from pydantic import Field

from nearfar.core.config import Config
from nearfar.text.atoms import Atoms, Count, Cutter
from nearfar.text.kinds import outline_of
from nearfar.text.outline import SENTENCE, Heading, Section

Span = tuple[int, int]
PIECE = re.compile(r"\S{1,16}")


class PassageConfig(Config):
    """How documents are cut."""

    limit: int = Field(default=128, ge=1)
    """Tokens of a passage's own text, at most."""
    context: int = Field(default=32, ge=0)
    """Tokens of title, headings and neighbouring sentences embedded with it, at most; 0 for none."""
    neighbours: int = Field(default=0, ge=0)
    """Sentences of the same section embedded with it, on each side, where `context` has room for them."""


@dataclass(frozen=True, slots=True)
class Passage:
    """A part of a document, and what it is embedded with."""

    start: int  # of its own characters in the document's text
    end: int
    heading: tuple[str, ...]  # headings in force, or names of classes and functions, outermost first
    context: tuple[str, ...]  # title and headings that its window does not contain, outermost first
    window: Span  # own characters with the neighbouring sentences

    def own(self, text: str) -> str:
        """The passage itself."""
        return text[self.start : self.end]

    def embedded(self, text: str) -> str:
        """The text to embed: context, then the window, on lines of their own."""
        return "\n".join([*self.context, text[slice(*self.window)]])


def count_words(texts: Sequence[str]) -> list[int]:
    """Count the words of each text; a word counts once for every 16 characters begun."""
    return [len(PIECE.findall(text)) for text in texts]


def passages(
    text: str,
    *,
    title: str = "",
    kind: str | None = None,
    config: PassageConfig | None = None,
    count: Count = count_words,
) -> list[Passage]:
    """Cut a document into passages: one where it fits, or else along headings or syntax, paragraphs, sentences, words.

    The text is cut at its strongest places, and neighbours that fit together are joined again (split, then merge: Zhang
    et al., 2025, "cAST"; along syntax trees: Hu et al., 2023, "SEA"). Every character that is no white space is in one
    passage's own text; a text of white space gives one empty passage. Time is linear in the text.

    Args:
        title: of the document; embedded with every passage whose own text does not begin with it.
        kind: of the text, such as `kind_of` gives by its name; None to look at the text.
        count: tokens of each of some texts, without the special tokens. Counts of parts are added up.
    """
    config = config or PassageConfig()
    plain = text.replace("\r\n", " \n").replace("\r", "\n") if "\r" in text else text  # of the same length
    outline = outline_of(plain, kind)
    atoms = Cutter(plain, config.limit, count).atoms(outline.cuts)
    title = _shortened(title, config.context, count)
    names = list(dict.fromkeys([title, *(heading.name for section in outline.sections for heading in section.path)]))
    maker = _Maker(text, title, atoms, outline.sections, dict(zip(names, count(names), strict=True)), config)
    found = [maker.passage(first, last) for first, last in atoms.spans(config.limit)]
    return [passage for passage in found if passage.start < passage.end] or found[:1]


def _shortened(title: str, limit: int, count: Count) -> str:
    if not title.strip() or not limit:
        return ""
    atoms = Cutter(title, limit, count).atoms([])
    _, last = next(atoms.spans(limit))
    return title[: atoms.places[last]].strip()


@dataclass(frozen=True)
class _Maker:
    """Makes passages from spans of atoms."""

    text: str
    title: str
    atoms: Atoms
    sections: list[Section]
    sizes: dict[str, int]  # tokens of title and headings
    config: PassageConfig

    @cached_property
    def _starts(self) -> list[int]:
        return [section.start for section in self.sections]

    @cached_property
    def _sentences(self) -> list[int]:
        """Atoms that begin one, and the end."""
        return [*np.flatnonzero(self.atoms.levels <= SENTENCE).tolist(), len(self.atoms.levels)]

    def passage(self, first: int, last: int) -> Passage:
        """Passage of the atoms first ≤ i < last."""
        start, end = self._own(first, last)
        low, high = bisect_right(self._starts, start) - 1, max(bisect_left(self._starts, end), 1)
        path = _shared([section.path for section in self.sections[low:high]])
        begin = int(self.atoms.places[first])  # of the line, where names begin too
        title, headings, room = self._context(start, [heading for heading in path if heading.start < begin])
        within = (self._starts[low], self._starts[high] if high < len(self.sections) else len(self.text))
        window = self._window((first, last), (start, end), within, room)
        begin = begin if window[0] == start else window[0]
        outside = (title, *(heading.name for heading in headings if heading.start < begin))
        return Passage(start, end, tuple(heading.name for heading in path), tuple(filter(None, outside)), window)

    def _own(self, first: int, last: int) -> Span:
        """Place of the atoms without the white space around them."""
        start, end = int(self.atoms.places[first]), int(self.atoms.places[last])
        own = self.text[start:end].lstrip()
        return end - len(own), end - len(own) + len(own.rstrip())

    def _context(self, start: int, above: Sequence[Heading]) -> tuple[str, list[Heading], int]:
        """Title, unless the text begins with it here, the innermost of the headings above, and the tokens left."""
        title = "" if self.text.startswith(self.title, start) else self.title
        room = self.config.context - (self.sizes[title] if title else 0)
        chosen: list[Heading] = []
        for heading in reversed([heading for heading in above if heading.name != title]):
            if self.sizes[heading.name] > room:
                break
            room -= self.sizes[heading.name]
            chosen.insert(0, heading)
        return title, chosen, room

    def _window(self, atoms: Span, own: Span, within: Span, room: int) -> Span:
        """Own characters and the sentences next to them that lie `within` these places and fit in `room` tokens."""
        (first, last), (start, end) = atoms, own
        places, sums, sentences = self.atoms.places, self.atoms.sums, self._sentences
        for _ in range(self.config.neighbours):
            before = sentences[max(0, bisect_left(sentences, first) - 1)]
            if before < first and places[before] >= within[0] and sums[first] - sums[before] <= room:
                room -= int(sums[first] - sums[before])
                first, start = before, int(places[before])
            after = sentences[min(len(sentences) - 1, bisect_right(sentences, last))]
            if after > last and places[after] <= within[1] and sums[after] - sums[last] <= room:
                room -= int(sums[after] - sums[last])
                last, end = after, int(places[after])
        return start, end


def _shared(paths: Sequence[tuple[Heading, ...]]) -> tuple[Heading, ...]:
    """The headings that all paths begin with."""
    depth = sum(1 for names in zip(*paths, strict=False) if len(set(names)) == 1)
    return paths[0][:depth]
