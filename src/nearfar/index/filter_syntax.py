"""The filter language as text: an expression becomes a tree of conditions, which knows no columns yet."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass, replace

from nearfar.core.errors import BadInput, excerpt

NESTED = 10  # parentheses inside one another; Lance's parser gives up at about 16
CONDITIONS = 2_000  # Lance takes a chain by recursion: 50,000 end the process, 10,000 a thread with a small stack
VALUES = 100_000
SIGNS = ("=", "==", "!=", "<", "<=", ">", ">=")
RESERVED = ("and", "or", "not")
ESCAPED = {"\\": "\\", "'": "'", '"': '"', "n": "\n", "t": "\t"}
OPERATORS = "=, !=, <, <=, >, >=, in, contains, starts with, has, is missing, is present"
QUOTES = "put text and dates in quotes, and a name with odd signs in `backticks`"
TOKEN = re.compile(
    r"""(?P<space>\s+)
    | (?P<text>"[^"\\]*(?:\\.[^"\\]*)*" | '[^'\\]*(?:\\.[^'\\]*)*')
    | (?P<name>`[^`]*`)
    | (?P<number>[+-]?(?:[0-9]+\.?[0-9]*|\.[0-9]+)(?:[eE][+-]?[0-9]+)?)
    | (?P<word>[^\W\d][\w.]*)
    | (?P<sign>[=!<>]=|[=<>(),])""",
    re.VERBOSE | re.DOTALL,
)
NO_LETTER = re.compile("[\ud800-\udfff]")  # half of a pair, which no UTF-8 can hold


@dataclass(frozen=True)
class Token:
    """A piece of the expression: what it stands for, without quotes and escapes, and where it begins."""

    kind: str  # text, name, number, word, sign or end
    value: str
    at: int  # the first character is 1

    @property
    def plain(self) -> str:
        """The word or sign in small letters; empty for what stands in quotes."""
        return self.value.lower() if self.kind in {"word", "sign"} else ""

    def wrong(self, expected: str, do: str) -> BadInput:
        """The error that something else was expected here."""
        quoted = excerpt(self.value)
        found = {"text": f"the text {quoted}", "number": f"the number {self.value[:60]}", "end": "the end"}
        return BadInput.at(f"filter, character {self.at}", expected=expected, found=found.get(self.kind, quoted), do=do)


@dataclass(frozen=True)
class Condition:
    """What is asked of a field: = < <= > >= in, contains, starts with, has, has any, has all, is missing."""

    field: Token
    operator: str
    sign: Token  # the operator as it was written
    values: tuple[Token, ...] = ()


@dataclass(frozen=True)
class Not:
    """The complement of a part."""

    part: Node


@dataclass(frozen=True)
class Chain:
    """Parts joined by `and` or `or`."""

    word: str
    parts: tuple[Node, ...]


Node = Condition | Not | Chain


def parsed(expression: str) -> Node:
    """The tree of a filter; `!=`, `not in` and `is present` are complements (`Not`) of `=`, `in` and `is missing`.

    Raises:
        BadInput: the expression is no filter, or is beyond the limits above; names the character.
    """
    return _Parser(_tokens(expression)).whole()


def _tokens(expression: str) -> list[Token]:
    if half := NO_LETTER.search(expression):
        raise Token("sign", half[0], half.start() + 1).wrong("text in Unicode", "take that character away")
    tokens, place = [], 0
    while place < len(expression):
        match = TOKEN.match(expression, place)
        if match is None:
            raise _unreadable(expression[place], place + 1)
        kind = str(match.lastgroup)
        if kind != "space":
            tokens.append(Token(kind, _meant(kind, match[0], place + 1), place + 1))
        place = match.end()
    return [*tokens, Token("end", "", place + 1)]


def _unreadable(letter: str, at: int) -> BadInput:
    found = Token("sign", letter, at)
    if letter in "\"'":
        return found.wrong(f"a second {letter}", rf"close the quotes; inside them, write {letter} as \{letter}")
    return (
        found.wrong("a second `", "close the backticks")
        if letter == "`"
        else found.wrong("a field, an operator or a value", QUOTES)
    )


def _meant(kind: str, written: str, at: int) -> str:
    if kind not in {"text", "name"}:
        return "=" if written == "==" else written
    inside = written[1:-1]
    if kind == "name" or "\\" not in inside:
        return inside

    def letter(escape: re.Match[str]) -> str:
        if escape[1] in ESCAPED:
            return ESCAPED[escape[1]]
        here = Token("sign", escape[0], at + 1 + escape.start())
        raise here.wrong(r"one of \\ \' \" \n \t", r"write \\ for a backslash")

    return re.sub(r"\\(.)", letter, inside, flags=re.DOTALL)


class _Parser:
    """Recursive descent: `or` joins `and` joins `not` joins conditions and parentheses."""

    def __init__(self, tokens: list[Token]) -> None:
        self._tokens, self._place, self._conditions, self._values_read = tokens, 0, 0, 0

    def whole(self) -> Node:
        tree = self._either(0)
        if self._next.kind != "end":
            raise self._next.wrong("'and', 'or' or the end of the filter", QUOTES)
        return tree

    @property
    def _next(self) -> Token:
        return self._tokens[self._place]

    def _passed(self) -> Token:
        self._place += 1
        return self._tokens[self._place - 1]

    def _took(self, *words: str) -> str:
        """The next token where it is one of `words`, and is passed; empty otherwise."""
        return self._passed().plain if self._next.plain in words else ""

    def _expect(self, *words: str, do: str) -> str:
        if self._next.plain not in words:
            raise self._next.wrong(" or ".join(map(repr, words)), do)
        return self._passed().plain

    def _either(self, depth: int) -> Node:
        return self._chain("or", lambda: self._chain("and", lambda: self._part(depth)))

    def _chain(self, word: str, part: Callable[[], Node]) -> Node:
        parts = [part()]
        while self._took(word):
            parts.append(part())
        return parts[0] if len(parts) == 1 else Chain(word, tuple(parts))

    def _part(self, depth: int) -> Node:
        negated = False
        while self._took("not"):
            negated = not negated
        part = self._group(depth + 1) if self._next.plain == "(" else self._condition()
        return Not(part) if negated else part

    def _group(self, depth: int) -> Node:
        opening = self._passed()
        if depth > NESTED:
            raise opening.wrong(f"at most {NESTED} parentheses inside one another", "write the filter flatter")
        tree = self._either(depth)
        self._expect(")", do=f"close the parenthesis of character {opening.at}")
        return tree

    def _condition(self) -> Node:
        field, sign = self._field(), self._next
        if symbol := self._took(*SIGNS):
            equal = Condition(field, "=" if symbol == "!=" else symbol, sign, (self._value(),))
            return Not(equal) if symbol == "!=" else equal
        if self._took("is"):
            negated = bool(self._took("not"))
            present = self._expect("missing", "present", do="write 'is missing' or 'is present'") == "present"
            missing = Condition(field, "is missing", sign)
            return Not(missing) if negated != present else missing
        negated = bool(self._took("not"))
        operator, values = self._worded()
        condition = Condition(field, operator, replace(sign, value=operator), values)
        return Not(condition) if negated else condition

    def _field(self) -> Token:
        if self._next.kind == "name" or (self._next.kind == "word" and self._next.plain not in RESERVED):
            self._conditions += 1
            if self._conditions > CONDITIONS:
                raise self._next.wrong(f"at most {CONDITIONS:,} conditions", "put the values of one field in 'in (…)'")
            return self._passed()
        raise self._next.wrong("a field's name", f"a condition is a field, an operator and a value; {QUOTES}")

    def _worded(self) -> tuple[str, tuple[Token, ...]]:
        word = self._took("in", "contains", "starts", "has")
        if not word:
            raise self._next.wrong("an operator", f"write one of {OPERATORS}")
        if word == "starts":
            self._expect("with", do="write 'starts with'")
            return "starts with", (self._value(),)
        if word == "has":
            many = self._took("any", "all")
            return (f"has {many}", self._values()) if many else ("has", (self._value(),))
        return word, self._values() if word == "in" else (self._value(),)

    def _values(self) -> tuple[Token, ...]:
        self._expect("(", do="put the values in parentheses, with commas between them")
        values = [self._value()]
        while self._expect(",", ")", do="put a comma between values, and a parenthesis after the last") == ",":
            values.append(self._value())
        return tuple(values)

    def _value(self) -> Token:
        if self._next.kind not in {"text", "number"} and self._next.plain not in {"true", "false"}:
            raise self._next.wrong("a value", "text and dates are in quotes; a number, true or false is not")
        self._values_read += 1
        if self._values_read > VALUES:
            raise self._next.wrong(f"at most {VALUES:,} values", "ask in parts")
        return self._passed()
