"""Where a text may be cut: places with the strength of each cut, and the headings above them."""

from __future__ import annotations

from dataclasses import dataclass, field

# Levels of cuts; a text is cut at the lowest there is. Below BLOCK: headings and syntax, by depth.
DEEPEST = 31
BLOCK, ITEM, SENTENCE, LINE, WORD, CHARACTER = range(DEEPEST + 1, DEEPEST + 7)


@dataclass(frozen=True, slots=True)
class Heading:
    """A heading, or the name of a class or function, and where it begins."""

    start: int
    name: str


@dataclass(frozen=True, slots=True)
class Section:
    """From `start` to the next section the headings in force are `path`, outermost first."""

    start: int
    path: tuple[Heading, ...]


@dataclass(frozen=True, slots=True)
class Outline:
    """Places of cuts, ascending, with their levels; and the sections, by rising start."""

    cuts: list[tuple[int, int]]
    sections: list[Section]


@dataclass
class Trail:
    """Sections in the making: headings are opened and closed in the order of the text, by level."""

    sections: list[Section] = field(default_factory=lambda: [Section(0, ())])
    _open: list[tuple[int, Heading]] = field(default_factory=list)

    @property
    def level(self) -> int:
        """Of the innermost open heading; -1 where none is open."""
        return self._open[-1][0] if self._open else -1

    def open(self, start: int, level: int, name: str) -> None:
        """Begin a heading, which ends all of its level and deeper ones."""
        self._drop(level)
        if len(self._open) < DEEPEST:  # a path as long as the text is deep would take quadratic memory
            self._open.append((level, Heading(start, name)))
        self._add(start)

    def close(self, start: int, level: int) -> None:
        """End the headings of `level` and deeper ones."""
        if self.level >= level:
            self._drop(level)
            self._add(start)

    def _drop(self, level: int) -> None:
        while self.level >= level:
            self._open.pop()

    def _add(self, start: int) -> None:
        if self.sections[-1].start == start:
            self.sections.pop()
        self.sections.append(Section(start, tuple(heading for _, heading in self._open)))
