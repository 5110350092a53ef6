"""Texts in, vectors out: length-sorted, packed by tokens, in the chosen precision."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np
from numpy.typing import NDArray

from nearfar.encoder.encoder import Encoder, Role
from nearfar.encoder.packing import pack
from nearfar.encoder.precision import Policy
from nearfar.text.token_store import TokenStore

INFERENCE_BUDGET = 4  # without a backward, this many times the training tokens fit the same cache


def encode(
    encoder: Encoder,
    texts: Sequence[str],
    role: Role,
    policy: Policy,
    *,
    store: TokenStore | None = None,
    on_progress: Callable[[int], None] | None = None,
) -> NDArray[np.float32]:
    """Embed texts as queries or documents, with the model's own prompt; (len(texts), d), in the given order.

    Vectors are normalised when the model's similarity is cosine.

    Args:
        store: token store to read from and add to; one in memory is made when none is given.
        on_progress: called with the number of texts done since the last call.
    """
    store = open_store(encoder) if store is None else store  # an empty store is false
    prompt = encoder.prompt(role)
    rows = store.rows([prompt + text for text in texts] if prompt else texts)
    framed = [encoder.framed(store[row], encoder.max_tokens) for row in rows]
    vectors = np.empty((len(texts), encoder.dimension), np.float32)
    packing = pack(np.fromiter(map(len, framed), np.int64, len(framed)), INFERENCE_BUDGET * policy.budget_tokens)
    with encoder.inference(policy):
        for micro_batch in packing.micro_batches:
            embedded = encoder.embed([framed[i] for i in micro_batch], role, policy)
            vectors[micro_batch] = embedded.cpu().numpy()
            if on_progress:
                on_progress(len(micro_batch))
    return vectors


def open_store(encoder: Encoder) -> TokenStore:
    """Token store in memory for one encoder."""
    return TokenStore.open(encoder.tokenizer, encoder.max_tokens)
