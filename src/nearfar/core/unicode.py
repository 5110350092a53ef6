"""Text that can be written: bytes of another encoding come as halves of surrogate pairs, which no file takes."""

from __future__ import annotations

from collections.abc import Iterable

from nearfar.core.errors import BadInput


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
