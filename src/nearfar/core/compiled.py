"""Loops compiled by numba, with bits that do not depend on where in memory their arrays lie."""

# mypy: disable-error-code="misc, no-untyped-call"
from __future__ import annotations

from functools import partial
from typing import Any

from numba import njit
from numba.core.compiler import Compiler


class Apart(Compiler):
    """Take it that no two arrays given to a function overlap.

    Otherwise a loop first compares addresses, and where arrays lie close together it goes element by element instead
    of a vector at a time: sums in another order, and reciprocals that are rounded otherwise.
    """

    def __init__(self, *arguments: Any) -> None:
        super().__init__(*arguments)
        self.state.flags.noalias = True


compiled = partial(njit, nogil=True, cache=True, error_model="numpy", pipeline_class=Apart)
