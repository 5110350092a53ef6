"""Documents of earlier batches as further negatives: a queue of vectors, of this model or of a slower one."""

from __future__ import annotations

from collections.abc import Callable
from copy import deepcopy

import numpy as np
import torch
from pydantic import Field, ValidationInfo, field_validator
from torch import Tensor, nn

from nearfar.core.config import Config
from nearfar.core.targets import Targets
from nearfar.data.batches import BatchSource, Ids
from nearfar.encoder.encoder import Encoder, Rows
from nearfar.encoder.precision import Policy
from nearfar.train.step import partition

Tokens = Callable[[Ids], Rows]  # framed token ids of documents by the numbers of their texts


class QueueConfig(Config):
    size: int = Field(default=0, ge=0)
    """Documents of earlier batches that are negatives too; 0 for none."""
    momentum: float = Field(default=0.0, ge=0, lt=1)
    """Embed them with a moving average of the model, which keeps this share a step (0.99 to 0.9999); 0: with itself."""

    @field_validator("momentum")
    @classmethod
    def _of_a_queue(cls, value: float, others: ValidationInfo) -> float:
        if value and not others.data.get("size"):
            raise ValueError("0 without train.queue.size, or a size above 0")
        return value


class NegativeQueue(nn.Module):
    """The last `size` documents as columns without gradients, with the identity of their texts.

    With a momentum it is the queue of MoCo (He et al., 2020) and CoCoSoDa (Shi et al., 2023), whose vectors come from a
    moving average of the encoder; without, cross-batch memory (Wang et al., 2020), which costs no second encoding. All
    state is in buffers and weights, so that a checkpoint of this module holds it.
    """

    vectors: Tensor  # (size, d)
    texts: Tensor  # (size,), −1 where nothing is yet; on the CPU, as identities are
    end: Tensor  # where the next document goes

    def __init__(self, config: QueueConfig, encoder: Encoder, source: BatchSource, tokens: Tokens) -> None:
        super().__init__()
        self.momentum, self._source, self._tokens = config.momentum, source, tokens
        self.average = deepcopy(encoder.model).requires_grad_(False).eval() if config.momentum else None  # noqa: FBT003
        device = next(encoder.model.parameters()).device
        self.register_buffer("vectors", torch.zeros(config.size, encoder.dimension, device=device))
        self.register_buffer("texts", torch.full((config.size,), -1))
        self.register_buffer("end", torch.tensor(0))
        self._latest: list[tuple[Ids, Tensor]] = []  # texts and vectors of the batches since the last update

    def forward(self, _queries: Tensor, documents: Tensor, targets: Targets) -> tuple[Tensor, Targets]:
        """The documents (D, d) and those of the queue whose texts are not among them, with their targets."""
        if not len(self.texts):
            return documents, targets
        self._latest.append((targets.document_texts, documents.detach()))
        texts: Ids = self.texts.numpy()
        kept = np.flatnonzero((texts >= 0) & ~np.isin(texts, targets.document_texts))
        earlier = self.vectors[torch.from_numpy(kept).to(documents.device)]
        return torch.cat([documents, earlier]), self._source.extended(targets, texts[kept])

    def advance(self, model: nn.Module, policy: Policy) -> None:
        """After an update of `model`: take in the documents of its batches; the oldest ones drop out."""
        if self.average is not None:
            _follow(self.average, model, self.momentum)
        for texts, vectors in self._latest:
            slow = None if self.average is None else _embedded(Encoder(self.average), self._tokens(texts), policy)
            self._push(torch.from_numpy(texts), vectors if slow is None else slow)
        self._latest = []

    def _push(self, texts: Tensor, vectors: Tensor) -> None:
        size = len(self.texts)
        texts, vectors = texts[-size:], vectors[-size:]
        places = (self.end + torch.arange(len(texts))) % size
        self.texts[places] = texts
        self.vectors[places.to(vectors.device)] = vectors
        self.end.copy_((self.end + len(texts)) % size)


@torch.no_grad()
def _follow(average: nn.Module, model: nn.Module, momentum: float) -> None:
    """θ' ← m θ' + (1 − m) θ."""
    for slow, fast in zip(average.parameters(), model.parameters(), strict=True):
        slow.lerp_(fast, 1 - momentum)


def _embedded(encoder: Encoder, rows: Rows, policy: Policy) -> Tensor:
    """Vectors of documents in their order, (D, d)."""
    parts = partition("document", rows, 0, policy.budget_tokens)
    with encoder.inference(policy):
        vectors = torch.cat([encoder.embed(part.rows, "document", policy) for part in parts])
    place = torch.cat([torch.from_numpy(part.index) for part in parts])
    return vectors[torch.argsort(place).to(vectors.device)]
