"""The outline of code by the syntax trees of tree-sitter, where the extra `code` is installed."""

from __future__ import annotations

import importlib
import re
from collections.abc import Iterator
from dataclasses import dataclass
from functools import lru_cache
from typing import TYPE_CHECKING

from nearfar.text.code_outline import PARSED, line_cuts, line_starts
from nearfar.text.outline import DEEPEST, LINE, Outline, Trail

if TYPE_CHECKING:
    from tree_sitter import Node, Parser

GRAMMARS = {  # language: package, function in it
    "c": ("tree_sitter_c", "language"),
    "cpp": ("tree_sitter_cpp", "language"),
    "go": ("tree_sitter_go", "language"),
    "java": ("tree_sitter_java", "language"),
    "javascript": ("tree_sitter_javascript", "language"),
    "rust": ("tree_sitter_rust", "language"),
    "tsx": ("tree_sitter_typescript", "language_tsx"),
    "typescript": ("tree_sitter_typescript", "language_typescript"),
}
NAMED = re.compile(
    "(?:function|method|class|struct|interface|enum|trait|impl|mod|namespace|constructor|record|type)_"
    "(?:declaration|definition|item|specifier|spec)$|variable_declarator$"
)
NAME_FIELDS = ("name", "declarator", "type")  # the second in C, the third in Rust's impl
NOTE = re.compile("comment|attribute|decorator|annotation")  # belongs to what is right below
LONGEST_NAME = 200  # characters of a name that are kept


def syntax_outline(text: str, language: str) -> Outline | None:
    """Outline of a text whose lines end in newlines; None without the extra, or where the text is too long."""
    parser = _parser(language)
    if parser is None or len(text) > PARSED:
        return None
    tree = parser.parse(text.encode("utf-8", "replace"))  # lines stay where they are
    starts = line_starts(text)
    marks: dict[int, int] = {}
    trail = Trail()
    waiting = [(child, 0) for child in _children(tree.root_node, 0)][::-1]  # a stack and no recursion: code nests deep
    while waiting:
        child, depth = waiting.pop()
        if child.is_cut:
            marks[child.line] = min(depth, marks.get(child.line, LINE))
        is_long = child.node.end_point.row > child.node.start_point.row
        if is_long and NAMED.search(child.node.type) and (name := _name(child.node)):
            trail.open(starts[child.line], depth, name)
        else:
            trail.close(starts[child.line], depth)
        if is_long:
            waiting.extend([(inner, min(depth + 1, DEEPEST)) for inner in _children(child.node, child.line)][::-1])
    return Outline(list(line_cuts(text, marks)), trail.sections)


@dataclass(frozen=True, slots=True)
class _Child:
    node: Node
    line: int  # where it begins, with the comments above it
    is_cut: bool  # that line is a place to cut at


def _children(node: Node, line: int) -> Iterator[_Child]:
    """Yield the named children of a node that begins at `line` with the comments above it.

    A cut is before those that are one of many, and not before a part such as a body.
    """
    cursor = node.walk()
    above = node.start_point.row  # last line of the child before, or of the node's beginning
    begin, was_note, is_first = line, False, True
    goes_on = cursor.goto_first_child()
    while goes_on:
        child = cursor.node
        if child is not None and child.is_named:
            first, last = child.start_point.row, child.end_point.row - (child.end_point.column == 0)
            joined = was_note and first <= above + 1
            if not joined and not (is_first and first == above):
                begin = first if is_first or first <= above else above + 1
            is_cut = not joined and not is_first and begin > above and cursor.field_name is None
            yield _Child(child, begin, is_cut)
            above, was_note, is_first = max(first, last), NOTE.search(child.type) is not None, False
        goes_on = cursor.goto_next_sibling()


def _name(node: Node) -> str:
    found = next((part for field in NAME_FIELDS if (part := node.child_by_field_name(field))), None)
    while found is not None and (inner := found.child_by_field_name("declarator")):
        found = inner
    return (found.text or b"").decode("utf-8", "replace")[:LONGEST_NAME] if found else ""


@lru_cache
def _parser(language: str) -> Parser | None:
    module, function = GRAMMARS[language]
    try:
        library, grammar = importlib.import_module("tree_sitter"), importlib.import_module(module)
    except ModuleNotFoundError:
        return None
    parser: Parser = library.Parser(library.Language(getattr(grammar, function)()))
    return parser
