"""An index's documents, encoded again by another model."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from nearfar.encoder.encode import open_store
from nearfar.encoder.load import load_encoder
from nearfar.encoder.precision import choose_policy
from nearfar.index.canaries import TEXTS, Canaries
from nearfar.index.exact import KIND, Documents, open_index, write_index
from nearfar.pipeline.evaluate import Space
from nearfar.pipeline.place import check_made
from nearfar.pipeline.progress import Reporter, Silent
from nearfar.pipeline.stored import Place


@dataclass(frozen=True)
class Built:
    """What was written."""

    path: str
    documents: int
    dimension: int
    fingerprint: str


def reembed(
    source: str | Path, model: str | Path, out: Path, *, overwrite: bool = False, reporter: Reporter | None = None
) -> Built:
    """Write an index of the same ids and texts as another one, with the vectors of `model`.

    Args:
        source: a run, or an index folder.

    Raises:
        BadInput: index or model cannot be read, or `out` exists and is not to be replaced.
    """
    check_made(out, KIND, "an index", overwrite=overwrite)
    old = open_index(Place.of(source).index)
    policy = choose_policy()
    encoder = load_encoder(model, policy.device)
    space = Space(encoder, policy, open_store(encoder), reporter or Silent())
    vectors = space.vectors(old.texts, "document", "encoding documents")
    canaries = Canaries(TEXTS, space.vectors(TEXTS, "document", "encoding canaries"))
    fingerprint = encoder.fingerprint()
    write_index(out, Documents(old.ids, old.texts, vectors, canaries), fingerprint=fingerprint,
                similarity=encoder.similarity, overwrite=overwrite)  # fmt: skip
    return Built(str(out), len(vectors), encoder.dimension, fingerprint)
