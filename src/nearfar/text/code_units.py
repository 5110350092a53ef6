"""Functions of Python source trees, each as its docstring's first paragraph and its code."""

from __future__ import annotations

import ast
import re
import tokenize
import warnings
from collections.abc import Collection, Iterator
from dataclasses import dataclass
from pathlib import Path

Function = ast.FunctionDef | ast.AsyncFunctionDef


@dataclass(frozen=True, slots=True)
class CodeUnit:
    """A function or method that says what it does."""

    name: str  # module.qualname
    summary: str  # first paragraph of the docstring, white space collapsed
    code: str  # dedented, without the docstring
    trivial: bool  # the body does nothing: pass, …, NotImplementedError, or the return of a name or constant


def python_files(root: Path, skip: Collection[str]) -> Iterator[tuple[Path, str]]:
    """Yield (file, dotted module name) below `root` in a fixed order, without folders or files named in `skip`."""
    paths = (path.relative_to(root) for path in root.rglob("*.py"))
    for path in sorted(paths, key=lambda path: path.as_posix()):
        parts = path.with_suffix("").parts
        if not set(parts) & set(skip):
            yield root / path, ".".join(parts).removesuffix(".__init__")


def code_units(path: Path, module: str) -> Iterator[CodeUnit]:
    """Yield the functions of one file that have a docstring; none when the file is no valid Python.

    Raises:
        OSError: the file cannot be read.
    """
    try:
        with tokenize.open(path) as file:
            source = file.read()
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # invalid escapes are not the reader's to mend
            tree = ast.parse(source)
    except (SyntaxError, ValueError):
        return
    # bytes: ast counts columns in UTF-8, and str.splitlines would break at form feeds too
    lines = source.encode("utf-8", "surrogatepass").splitlines(keepends=True)
    for name, function in _functions(tree, module):
        if docstring := ast.get_docstring(function):
            code = _code(function, lines)
            yield CodeUnit(name, _first_paragraph(docstring), code, all(map(_does_nothing, function.body[1:])))


def _functions(node: ast.AST, prefix: str) -> Iterator[tuple[str, Function]]:
    for child in ast.iter_child_nodes(node):
        if isinstance(child, Function | ast.ClassDef):
            name = f"{prefix}.{child.name}"
            if not isinstance(child, ast.ClassDef):
                yield name, child
            yield from _functions(child, name)
        elif isinstance(child, ast.stmt | ast.ExceptHandler | ast.match_case):  # functions inside if, try, with, …
            yield from _functions(child, prefix)


def _first_paragraph(docstring: str) -> str:
    paragraph = re.split(r"\n\s*\n", docstring.strip())[0]
    # half surrogate pairs and NULs, from escapes in the docstring, are no text
    return " ".join(paragraph.encode("utf-8", "replace").decode().replace("\0", " ").split())


def _code(function: Function, lines: list[bytes]) -> str:
    # decorators stay: @property or @contextmanager is part of what the function is, and people search for it
    first = min([function.lineno, *(decorator.lineno for decorator in function.decorator_list)]) - 1
    docstring = function.body[0]
    start, stop = docstring.lineno - 1, docstring.end_lineno or docstring.lineno
    head, tail = lines[start][: docstring.col_offset], lines[stop - 1][docstring.end_col_offset :]
    joint = head.rstrip() + b" " + tail.lstrip(b" ;") if head.strip() or tail.strip() else b""
    parts = [*lines[first:start], joint, *lines[stop : function.end_lineno]]
    # not textwrap.dedent: a string with text at the left edge would keep the whole function indented
    code = b"".join(_outdented(part, function.col_offset) for part in parts)
    return code.decode("utf-8", "replace").strip("\n").rstrip()


def _outdented(line: bytes, columns: int) -> bytes:
    return line[columns:] if not line[:columns].strip() else line


def _does_nothing(statement: ast.stmt) -> bool:
    match statement:
        case ast.Pass() | ast.Expr(ast.Constant()) | ast.Return(None | ast.Constant() | ast.Name()):
            return True
        case ast.Raise(ast.Name("NotImplementedError") | ast.Call(ast.Name("NotImplementedError"))):
            return True
    return False
