"""Fixed texts whose vectors are kept with an index, so that a model can be held against it without its data."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from nearfar.core.plain_arrays import archived_arrays

FILE = "canaries.npz"
TEXTS = (
    "How do I change the password of my account?",
    "Open Settings, choose Network, then hold the button for ten seconds to restart the router.",
    "The patient was given 20 mg twice a day; the pain went away within a week.",
    "find . -name '*.log' -mtime +7 -delete",
    "def area(radius): return 3.14159 * radius ** 2",
    "SELECT name, total FROM orders WHERE day >= '2021-03-01' ORDER BY total DESC",
    "The heat flow through a thin plate in a fast stream of air was measured at several speeds.",
    "My card was charged twice and I want the money back.",
    "water",
    "invoice 48213 of 14 May 2019",
    "Die Bahn fährt am Sonntag nur einmal in der Stunde.",
    "El museo está cerrado los lunes, pero el jardín queda abierto.",
    "The committee postponed its decision because two of the members were ill.",
    "TypeError: unsupported operand type(s) for +: 'int' and 'str'",
    "A contract ends when both sides agree, or one month after either of them says so in writing.",
    "Mix flour, butter and sugar, let it rest in the cold, and bake it for forty minutes.",
)


@dataclass(frozen=True)
class Canaries:
    """Texts, and the vectors that the model of an index made of them as documents."""

    texts: tuple[str, ...]
    vectors: NDArray[np.float32]  # (texts, d)

    def save(self, folder: Path) -> None:
        """Write them into an index folder."""
        np.savez(folder / FILE, texts=np.array(self.texts), vectors=self.vectors)

    @classmethod
    def load(cls, folder: Path) -> Canaries | None:
        """Read them from an index folder; None where it was written without any."""
        if not (folder / FILE).exists():
            return None
        kept = archived_arrays(folder / FILE)
        return cls(tuple(map(str, kept["texts"])), kept["vectors"])
