"""How long embeddings are before they are normalised."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
from sentence_transformers import SentenceTransformer
from sentence_transformers.sentence_transformer.modules import Normalize

from nearfar.encoder.encode import encode
from nearfar.encoder.encoder import Encoder, Role
from nearfar.encoder.precision import Policy


def raw_norm(encoder: Encoder, texts: Sequence[str], role: Role, policy: Policy) -> float:
    """Mean length of the texts' embeddings without normalisation; NaN of no texts."""
    if not texts:
        return float("nan")
    modules = [part for part in encoder.model if not isinstance(part, Normalize)]
    model = SentenceTransformer(modules=modules, device=policy.device, similarity_fn_name="dot")
    model.prompts, model.default_prompt_name = encoder.model.prompts, encoder.model.default_prompt_name
    vectors = encode(replace(encoder, model=model), texts, role, policy)
    return float(np.linalg.norm(vectors, axis=1).mean())
