"""The outline of source code: statements by depth, with the names of classes and functions as headings."""

from __future__ import annotations

import ast
import re
import warnings
from collections.abc import Iterator, Mapping

from nearfar.text.outline import BLOCK, DEEPEST, LINE, Outline, Trail

PARSED = 1 << 20  # characters; a longer file is generated, and parsing it takes memory and, where it is wrong, minutes
TAB = 4
# Lines that belong to the one above: closing brackets, and the other arms of a statement.
CLOSER = re.compile(r"[)\]}]|(?:end|else|elif|elsif|except|rescue|catch|finally|ensure|done|fi|esac)\b")
NOTE = re.compile(r"//|/\*|\*|#|--|@")  # comments and decorators, which belong to the line below
_MODIFIER = (
    r"(?:export|default|pub(?:\([\w: ]+\))?|public|private|protected|internal|static|final|abstract|async|unsafe)"
)
_NAMED = r"class|def|func|function|fn|struct|interface|enum|trait|impl|module|namespace|object|protocol"
DEFINITION = re.compile(rf"(?:{_MODIFIER}[ \t]+)*(?:{_NAMED})[ \t]+(?:\([^)]*\)[ \t]*)?([^\W\d][\w.:]*)")
LONGEST_LINE = 1000  # characters that are looked at


def python_outline(text: str) -> Outline | None:
    """Outline of Python by its syntax tree; None where it is no valid Python, or too long."""
    tree = _parsed(text)
    if tree is None:
        return None
    marks: dict[int, int] = {}
    trail = Trail()
    _mark(tree, line_starts(text), marks, trail)
    return Outline(list(line_cuts(text, marks)), trail.sections)


def indented_outline(text: str) -> Outline:
    """Outline of code in any language by its indentation and blank lines."""
    cuts: list[tuple[int, int]] = []
    trail = Trail()
    above, blank_above, note_above = 0, True, False
    for place, line in zip(line_starts(text), text.split("\n"), strict=True):
        code = line.lstrip()
        if not code:
            blank_above = True
            continue
        indent = min(len(line[: len(line) - len(code)].expandtabs(TAB)) // 2, DEEPEST // 2)
        joined = bool(indent > above or CLOSER.match(code) or (note_above and not blank_above))
        cuts.append((place, LINE if joined and cuts else 2 * indent + (not blank_above)))
        if not CLOSER.match(code):
            _follow(trail, place, indent, code[:LONGEST_LINE])
        above, blank_above, note_above = indent, False, NOTE.match(code) is not None
    return Outline(cuts, trail.sections)


def _follow(trail: Trail, place: int, indent: int, code: str) -> None:
    if match := DEFINITION.match(code):
        trail.open(place, indent, match[1])
    else:
        trail.close(place, indent)


def line_starts(text: str) -> list[int]:
    """Where each line begins; for a blank one where the next other does."""
    starts = [0, *(match.end() for match in re.finditer("\n", text))]
    lines = text.split("\n")
    for number in range(len(lines) - 2, -1, -1):
        if not lines[number].strip():
            starts[number] = starts[number + 1]
    return starts


def line_cuts(text: str, marks: Mapping[int, int]) -> Iterator[tuple[int, int]]:
    """Yield the cut before every line that is not blank.

    Args:
        marks: level of the cut before a line, by its number from 0; that of a blank line counts for the next other.
    """
    place, level = 0, LINE
    for number, line in enumerate(text.split("\n")):
        level = min(level, marks.get(number, LINE))
        if line.strip():
            yield place, level
            level = LINE
        else:
            level = min(level, BLOCK)
        place += len(line) + 1


def _parsed(text: str) -> ast.Module | None:
    if len(text) > PARSED:
        return None
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # invalid escapes are not the reader's to mend
            return ast.parse(text.removeprefix("\ufeff"))
    except (SyntaxError, ValueError, RecursionError, MemoryError):  # the last two from expressions nested too deep
        return None


def _mark(tree: ast.Module, starts: list[int], marks: dict[int, int], trail: Trail) -> None:
    """Mark the lines that begin statements, by depth, and open the names.

    A statement begins below the one before, with the comments above it; the first of a body stays with its header.
    """
    waiting = [*_statements(tree, 0)][::-1]  # a stack and no recursion: `elif` nests as deep as it is long
    while waiting:
        statement, above, depth = waiting.pop()
        first = min(part.lineno for part in [statement, *getattr(statement, "decorator_list", ())]) - 1
        if above and above.end_lineno and above.end_lineno <= first:
            first = above.end_lineno
            marks[first] = min(depth, marks.get(first, LINE))
        if isinstance(statement, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef):
            trail.open(starts[first], depth, statement.name)
        else:
            trail.close(starts[first], depth)
        waiting.extend([*_statements(statement, min(depth + 1, DEEPEST))][::-1])


def _statements(node: ast.AST, depth: int) -> Iterator[tuple[ast.stmt, ast.stmt | None, int]]:
    """Yield the statements right below a node, each with the one above it in the same body, and `depth`."""
    fields = [getattr(node, name, []) for name in ("body", "handlers", "cases", "orelse", "finalbody")]
    body, handlers, cases, orelse, finalbody = fields
    for block in (body, *(arm.body for arm in [*handlers, *cases]), orelse, finalbody):
        for above, statement in zip([None, *block], block, strict=False):
            yield statement, above, depth
