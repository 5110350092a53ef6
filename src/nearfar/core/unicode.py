"""Text that can be written, and shown: halves of surrogate pairs no file takes, and control codes a terminal obeys."""

from __future__ import annotations

from collections.abc import Iterable

from nearfar.core.errors import BadInput

OVERRIDES = (*range(0x202A, 0x202F), *range(0x2066, 0x206A))  # of the direction of writing
KEPT = {ord("\t"), ord("\n")}
SIGNS = {
    **{code: 0x2400 + code for code in range(0x20) if code not in KEPT}, 0x7F: 0x2421,  # pictures of control codes
    **dict.fromkeys((*range(0x80, 0xA0), *OVERRIDES, *range(0xD800, 0xE000)), 0xFFFD),
}  # fmt: skip
ESCAPES = {code: f"\\u{code:04x}" for code in (0x7F, *range(0x80, 0xA0), *OVERRIDES, *range(0xD800, 0xE000))}


def visible(text: str) -> str:
    """A text as a terminal may show it: what would move its cursor or turn it round is seen, not obeyed."""
    return text.translate(SIGNS)


def escaped(line: str) -> str:
    """A line of JSON with the same value, of which a terminal obeys nothing."""
    return line.translate(ESCAPES)


def encodable(text: str) -> bool:
    """Whether a text can be written as UTF-8."""
    if text.isascii():
        return True
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return True


def check_encodable(texts: Iterable[str], where: str) -> None:
    """Refuse texts of which one cannot be written as UTF-8.

    Args:
        where: what they are.

    Raises:
        BadInput: so.
    """
    if not all(map(encodable, texts)):
        raise BadInput.at(where, expected="UTF-8 text", found="other bytes", do="write it in UTF-8")
