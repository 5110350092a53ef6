"""What kind a text is, by its name or its looks, and the outline of that kind."""

from __future__ import annotations

import re
from pathlib import PurePosixPath

from nearfar.core.config import nearest
from nearfar.core.errors import BadInput
from nearfar.text.code_outline import indented_outline, python_outline
from nearfar.text.outline import Outline
from nearfar.text.prose_outline import prose_outline
from nearfar.text.syntax_outline import GRAMMARS, syntax_outline

PROSE, PYTHON, CODE = "prose", "python", "code"  # code: of any language, by its indentation
SUFFIXES = {
    PROSE: "md markdown mdx rst txt text adoc org",
    PYTHON: "py pyi pyw",
    "c": "c h",
    "cpp": "cc cpp cxx hh hpp hxx",
    "go": "go",
    "java": "java",
    "javascript": "js jsx mjs cjs",
    "rust": "rs",
    "typescript": "ts mts cts",
    "tsx": "tsx",
    CODE: "cs rb php kt kts swift scala sh bash pl lua r jl ex exs hs ml dart m mm sql css scss json yaml yml toml xml",
}
KIND_OF_SUFFIX = {suffix: kind for kind, suffixes in SUFFIXES.items() for suffix in suffixes.split()}
LOOKED_AT = 20_000  # characters
LONGEST_LINE = 200  # characters at its end
DEFINITION = re.compile(r"[ \t]*(?:async[ \t]+)?(?:def[ \t]+\w+[ \t]*\(|class[ \t]+\w+.*:[ \t]*$)")
STATEMENT = re.compile(r"[;{}][ \t]*$")
MUCH = 0.3  # of the lines of code in many languages end so


def kind_of(name: str) -> str | None:
    """Kind of a text by the suffix of its file name or id; None where it has none that is known."""
    return KIND_OF_SUFFIX.get(PurePosixPath(name).suffix[1:].lower())


def outline_of(text: str, kind: str | None) -> Outline:
    """Outline of a text whose lines end in newlines, by its looks where no kind is given.

    Raises:
        BadInput: there is no such kind.
    """
    match kind or _looks_like(text):
        case "prose":
            return prose_outline(text)
        case "python":
            return python_outline(text) or (indented_outline(text) if kind else prose_outline(text))
        case "code":
            return indented_outline(text)
        case language if language in GRAMMARS:
            return syntax_outline(text, language) or indented_outline(text)
        case unknown:
            raise BadInput.at("kind of text", expected="one that is known", found=f"'{unknown}'",
                              do=nearest(unknown, list(SUFFIXES)))  # fmt: skip


def _looks_like(text: str) -> str:
    """Kind by the first lines; what looks like Python may still be a page with Python in it."""
    lines = [line[-LONGEST_LINE:] for line in text[:LOOKED_AT].split("\n") if line.strip()]
    if sum(STATEMENT.search(line) is not None for line in lines) > MUCH * len(lines):
        return CODE
    return PYTHON if any(map(DEFINITION.match, lines)) else PROSE
