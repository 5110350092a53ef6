"""Training through codes: losses see what the codes of documents stand for, and codebooks learn with the encoder."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from pydantic import Field
from torch import Tensor, nn

from nearfar.compress.codec import Codec, Codes, Vectors
from nearfar.compress.learn.start import NAMES, trainable
from nearfar.core.config import Config


class CodesConfig(Config):
    path: str | None = None
    """Train through these codes of the base (RUN/codes/16): losses see what documents' codes stand for; empty: not."""
    reconstruction: float = Field(default=1.0, ge=0)
    """Weight of the mean squared distance between vectors of documents and what their codes stand for."""
    rate: float = Field(default=1.0, gt=0)
    """Learning rates of codebooks and maps, as a share of those that 'nearfar compress' fits them with."""


@dataclass(frozen=True)
class Learnt:
    """A codec that has learnt together with an encoder."""

    name: str  # in the registry
    codec: Codec
    coder: Codec  # makes the codes: the codec itself, or that of the start where codes stay

    def codes(self, documents: Vectors) -> Codes:
        """Codes (n, size_bytes) of vectors (n, d)."""
        return self.coder.encode(documents)

    def standing(self, documents: Vectors) -> Vectors:
        """What the codes of these vectors (n, d) stand for, (n, d)."""
        return self.codec.decode(self.codes(documents))


class Through(nn.Module):
    """Documents (D, d) as what their codes stand for, with a gradient to them, to codebooks and to the map of queries.

    Straight through the quantizer, as RepCONC (Zhan et al., 2022). Where `fixed`, codes are those of the codec at the
    start, and only what they stand for learns, as in JPQ (Zhan et al., 2021).
    """

    def __init__(self, codec: Codec, config: CodesConfig, *, fixed: bool) -> None:
        super().__init__()
        self.books, self.config = trainable(codec), config
        self.start = codec if fixed else None
        for parameter in self.books.before() if fixed else ():  # of what leads to codes, which stay
            parameter.requires_grad = False

    def forward(self, documents: Tensor) -> tuple[Tensor, Tensor]:
        """What codes stand for, (D, d), and the weighted squared error of each, (D,)."""
        with torch.autocast(documents.device.type, enabled=False):
            documents = documents.float()
            standing, errors = self.books.quantised(documents, self._codes(documents.detach()))
            return standing @ self.books.query_map, self.config.reconstruction * errors

    @property
    def rates(self) -> list[tuple[nn.Parameter, float]]:
        """What learns, and its peak learning rate."""
        return [(p, self.config.rate * rate) for p, rate in self.books.groups() if p.requires_grad]

    def learnt(self) -> Learnt:
        """The codec as it is by now."""
        codec = self.books.codec()
        return Learnt(NAMES[type(self.books)], codec, self.start or codec)

    def _codes(self, documents: Tensor) -> Tensor:
        if self.start is None:
            return self.books.codes(documents)
        return torch.from_numpy(self.start.encode(documents.cpu().numpy())).long().to(documents.device)
