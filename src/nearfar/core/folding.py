"""When two texts count as the same: equal but for case and white space."""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np
from numpy.typing import NDArray


def folded(text: str) -> str:
    """`text` without differences of case and white space."""
    return " ".join(text.casefold().split())


def numbered(keys: Iterable[str]) -> NDArray[np.int64]:
    """A number for each key, the same for equal ones, in order of first appearance."""
    seen: dict[str, int] = {}
    return np.fromiter((seen.setdefault(key, len(seen)) for key in keys), np.int64)
