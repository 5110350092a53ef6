"""The configured loss: shares of a batch, and prefixes that work in sentence-transformers."""

from itertools import count

import numpy as np
import pytest
import torch
from batches_of_tokens import objective
from sentence_transformers import SentenceTransformer
from test_loop import trainer
from torch.nn import functional

from nearfar.core.ragged import Ragged
from nearfar.core.targets import Targets
from nearfar.encoder.save import save_encoder
from nearfar.losses import Share, info_nce
from nearfar.train.config import TrainConfig
from nearfar.train.objective import TrainObjective
from tiny_models import pairs


def vectors(rows, seed):
    return functional.normalize(torch.randn(rows, 16, generator=torch.Generator().manual_seed(seed)), dim=-1)


@pytest.mark.parametrize("settings", [{}, {"matryoshka": [4, 8], "matryoshka_weights": [1, 0.5]}])
def test_shares_add_up(settings):
    loss = objective(learn_temperature=True, directions=["query_to_document", "document_to_document"], **settings)
    queries, documents = vectors(6, 1), vectors(9, 2)
    targets = Targets.of(Ragged.of([[q, q + 3] for q in range(6)]), documents=9)
    halves = [Share(slice(0, 2), slice(0, 5)), Share(slice(2, 6), slice(5, 9))]
    parts = [loss(queries, documents, targets, share) for share in halves]
    assert sum(parts).item() == pytest.approx(loss(queries, documents, targets).item(), rel=1e-6)


@pytest.mark.parametrize("unit", [True, False])
def test_prefixes_are_normalised_where_vectors_are(unit):
    loss = TrainObjective(TrainConfig(matryoshka=(4,)), unit=unit)
    queries, documents, targets = vectors(5, 1), vectors(5, 2), Targets.diagonal(5)
    cut = [functional.normalize(x[:, :4], dim=1) if unit else x[:, :4] for x in (queries, documents)]
    expected = (info_nce(queries, documents, targets) + info_nce(*cut, targets)) / 2
    assert loss(queries, documents, targets).item() == pytest.approx(expected.item(), rel=1e-6)


def test_trained_prefixes_work_in_sentence_transformers(tmp_path):
    """The loss of the first 4 of 32 dimensions, as sentence-transformers cuts them, is lower when they are trained."""
    queries, documents = zip(*pairs(48), strict=True)
    losses = {}
    for name, settings in {"whole": {}, "prefixes": {"matryoshka": [4]}}.items():
        rising = map(float, count())  # the last weights are the best
        run = trainer(
            tmp_path / name / "checkpoints",
            on_eval=lambda _, scores=rising: next(scores),
            epochs=8,
            learning_rate=0.02,
            **settings,
        )
        run.run()
        save_encoder(run.encoder, tmp_path / name / "model", card="")
        whole = SentenceTransformer(str(tmp_path / name / "model"), device="cpu")
        short = SentenceTransformer(str(tmp_path / name / "model"), device="cpu", truncate_dim=4)
        both = [short.encode(list(texts), normalize_embeddings=True) for texts in (queries, documents)]
        np.testing.assert_allclose(short.encode(queries[0]), whole.encode(queries[0])[:4], rtol=1e-6)
        losses[name] = info_nce(*map(torch.from_numpy, both), Targets.diagonal(48)).item()
    assert losses["prefixes"] < 0.9 * losses["whole"]
