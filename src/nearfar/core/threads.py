"""Work on rows by several threads, so that the result does not depend on how many there are or which is first."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray


def in_slices(work: Callable[[int, int], None], offsets: NDArray[np.int64], threads: int) -> None:
    """Call `work(start, stop)` for one slice of rows a thread, of about the same number of values each.

    Args:
        work: computes each of its rows by itself, outside the interpreter's lock.
        offsets: (rows + 1,) as in `Ragged`.
    """
    inner = np.searchsorted(offsets, offsets[-1] * np.arange(1, threads) // threads)
    bounds = [0, *inner.tolist(), len(offsets) - 1]
    if threads == 1:
        work(*bounds)
        return
    with ThreadPoolExecutor(threads - 1) as pool:  # none is kept: threads do not survive a fork
        others = [pool.submit(work, *ends) for ends in pairwise(bounds[1:])]
        work(*bounds[:2])
        for other in others:
            other.result()
