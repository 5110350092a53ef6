"""The outline of Markdown, reStructuredText and plain text: headings, paragraphs, items, sentences, lines."""

from __future__ import annotations

import re
from collections.abc import Iterator

from nearfar.text.outline import BLOCK, DEEPEST, ITEM, LINE, SENTENCE, Outline, Trail

HASHED = re.compile(r"\ufeff?(#{1,6})[ \t]+(\S.*)")  # Markdown
RULE = re.compile(r"([=\-`:'\"~^_*+#<>.])\1{2,}[ \t]*$")  # under a heading of reStructuredText or Markdown, or over it
FENCE = re.compile(r"[ \t]*(`{3,}|~{3,})[^`]*$")
BULLET = re.compile(r"[ \t]*(?:[-*+•–]|\d{1,9}[.)])[ \t]+\S")
ROW = re.compile(r"[ \t]*[|+]|=+ +=")  # of a table
CLOSED = re.compile(r"[.!?…؟।。！？:][\"'”’»)\]」』）]*[ \t]*$")  # a line that ends a sentence
# A small letter behind a full stop is more likely an abbreviation's neighbour than the next sentence.
SENTENCE_END = re.compile(r"[.!?…؟।][\"'”’»)\]]*\s++(?=[^a-z])|[。！？][」』”’）]*")
LONGEST_NAME = 200  # characters of a heading that are kept
LONGEST_LINE = 1000  # characters; a line that is longer is no heading, fence or item


def prose_outline(text: str) -> Outline:
    """Outline of `text`, whose lines end in newlines."""
    reader = _Reader(text.split("\n"))
    for number, line in enumerate(reader.lines):
        if line.strip():
            reader.read(number, line[:LONGEST_LINE])
        reader.place += len(line) + 1
    return Outline(list(_with_sentences(text, reader.cuts, reader.verbatim)), reader.trail.sections)


class _Reader:
    """Goes through the lines once, looking one back and two ahead."""

    def __init__(self, lines: list[str]) -> None:
        self.lines = lines
        self.place = 0  # where the line begins
        self.cuts: list[tuple[int, int]] = []
        self.verbatim: list[bool] = []  # of each cut: the line is of a table or code, where sentences mean nothing
        self.trail = Trail()
        self.styles: dict[str, int] = {}  # levels of underlined headings, by first appearance
        self.fence = ""  # what the open block of code began with
        self.heading_until = 0  # number of the line that follows the heading being read
        self.below_heading = False  # nothing but headings since the last heading

    def read(self, number: int, line: str) -> None:
        """Add the cut before this line, which is not blank."""
        if number < self.heading_until:
            self._add(LINE, verbatim=True)
        elif self.fence:
            self._fenced(number, line)
        elif match := FENCE.match(line):
            self.fence = match[1]
            self._body(BLOCK, verbatim=True)
        elif match := HASHED.match(line):
            self._heading(len(match[1]), match[2].rstrip("# \t"))
        elif self._is_alone(number) and (mark := self._rule(number)):
            self.heading_until = number + len(mark) + 1
            self._heading(self.styles.setdefault(mark, len(self.styles) + 1), self.lines[number + len(mark) - 1])
        else:
            self._text(number, line)

    def _fenced(self, number: int, line: str) -> None:
        self._add(ITEM if self._is_alone(number) else SENTENCE, verbatim=True)
        mark = line.strip()
        if mark.startswith(self.fence) and not mark.strip(self.fence[0]):
            self.fence = ""

    def _text(self, number: int, line: str) -> None:
        is_row = ROW.match(line) is not None
        if self._is_alone(number):
            level = BLOCK
        elif is_row or BULLET.match(line):
            level = ITEM
        else:
            level = SENTENCE if CLOSED.search(self.lines[number - 1][-LONGEST_NAME:]) else LINE
        self._body(level, verbatim=is_row)

    def _is_alone(self, number: int) -> bool:
        """Whether nothing stands right above."""
        return number in (0, self.heading_until) or not self.lines[number - 1].strip()

    def _rule(self, number: int) -> str:
        """The mark under this line, twice if it is this line's too and the heading is the next; or none."""
        line, second, third = (part.rstrip() for part in [*self.lines[number : number + 3], "", ""][:3])
        above, under, last = map(RULE.match, (line, second, third))
        if above and not under and second.strip() and last and last[1] == above[1]:
            return above[1] * 2
        if above or not under or (under[1] not in "=-" and len(second) < len(line)):
            return ""
        return under[1]

    def _heading(self, level: int, name: str) -> None:
        self.trail.open(self.place, level, name.strip()[:LONGEST_NAME])
        self._add(SENTENCE if self.below_heading else min(level, DEEPEST), verbatim=True)
        self.below_heading = True

    def _body(self, level: int, *, verbatim: bool) -> None:
        self._add(SENTENCE if self.below_heading else level, verbatim=verbatim)  # what is below a heading stays with it
        self.below_heading = False

    def _add(self, level: int, *, verbatim: bool) -> None:
        self.cuts.append((self.place, level))
        self.verbatim.append(verbatim)


def _with_sentences(text: str, cuts: list[tuple[int, int]], verbatim: list[bool]) -> Iterator[tuple[int, int]]:
    """Yield the cuts before lines, and in between those at ends of sentences."""
    ends = [*(place for place, _ in cuts), len(text)][1:]
    for (place, level), end, as_is in zip(cuts, ends, verbatim, strict=True):
        yield place, level
        if not as_is:
            found = (match.end() for match in SENTENCE_END.finditer(text, place, end))
            yield from ((place, SENTENCE) for place in found if place < end)
