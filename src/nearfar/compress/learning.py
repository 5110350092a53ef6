"""How codebooks learn."""

from __future__ import annotations

from pydantic import Field

from nearfar.core.config import Config


class Learning(Config):
    steps: int | None = Field(default=None, ge=0)
    """Steps of the optimizer, of 256 queries each; left empty: 200, or what suits the codec."""
    temperature: float = Field(default=0.05, gt=0)
    """Divides scores before the softmax, those of full precision and those of codes."""
    reconstruction: float | None = Field(default=None, ge=0)
    """Weight of the squared error of what codes stand for, beside that of the scores; left empty: 10, of bits 0."""
    contrast: float | None = Field(default=None, ge=0)
    """Weight of the contrastive loss on the scores of codes, for known answers; left empty: 0, of key_value 0.1."""
    mined: bool = False
    """Take half of the negatives from what the codes rank first, not from what full vectors do."""
    balance: float = Field(default=0.0, ge=0, le=1)
    """Even use of the centroids while learning, by Sinkhorn's iteration: the smaller above 0, the nearer to none."""
    revive: bool = False
    """Move centroids that no document uses to places where documents are."""
    affine: bool = False
    """Move the centroids of a codebook together too: by a scale and a shift, which learn."""
    alternate: bool = False
    """Every second step follows the squared error alone, those between it the scores alone."""
    frozen: int = Field(default=0, ge=0)
    """Codebooks, from the first, that stay as clustering made them."""


DEFAULT = Learning()
OF_CENTROIDS = frozenset({"balance", "revive", "affine", "frozen"})
ALL = frozenset(Learning.model_fields)
