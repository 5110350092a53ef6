"""Texts in, vectors out: length-sorted, packed by tokens, in the chosen precision."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence

import numpy as np
from numpy.typing import NDArray

from nearfar.core.ragged import Ragged
from nearfar.encoder.encoder import Encoder, Role, Rows
from nearfar.encoder.packed import PackedLayers
from nearfar.encoder.packing import PADDING, pack
from nearfar.encoder.precision import Policy
from nearfar.text.token_store import TokenStore

STATIC_TEXTS = 1024  # pooled at a time: their vectors are still in the cache when they are normalised and copied
UNSEEN_PADDING = 0.85  # where layers skip it: fewer, larger products are worth more (LOG.md)
INFERENCE_BUDGET = 4  # without a backward, this many times the training tokens fit the same cache


def encode(
    encoder: Encoder,
    texts: Sequence[str],
    role: Role,
    policy: Policy,
    *,
    tasks: Sequence[str] = (),
    store: TokenStore | None = None,
    on_progress: Callable[[int], None] | None = None,
) -> NDArray[np.float32]:
    """Embed texts as queries or documents, with the model's own prompts; (len(texts), d), in the given order.

    Vectors are normalised when the model's similarity is cosine.

    Args:
        tasks: of each query; those that the model has a prompt for get that one.
        store: token store to read from and add to; one in memory is made when none is given.
        on_progress: called with the number of texts done since the last call.
    """
    store = open_store(encoder) if store is None else store  # an empty store is false
    rows, tokens = _tokenised(encoder, store, texts, role, tasks)
    return encode_rows(encoder, store, rows, role, policy, prefix_tokens=tokens, on_progress=on_progress)


def encode_inside(
    encoder: Encoder, texts: Sequence[str], role: Role, policy: Policy, *, tasks: Sequence[str] = ()
) -> tuple[NDArray[np.float32], NDArray[np.int64]]:
    """The same inside a block of `encoder.inference(policy)`, which lays out the weights: for many small calls.

    Returns:
        Vectors (len(texts), d), and how many tokens of each text with its prompt were read, (len(texts),).
    """
    store = open_store(encoder)
    rows, prefix_tokens = _tokenised(encoder, store, texts, role, tasks)
    return _embedded(encoder, store, rows, role, policy, prefix_tokens, lambda _: None), _lengths(encoder, store, rows)


def encode_ids_inside(
    encoder: Encoder, ids: Sequence[Sequence[int]], role: Role, policy: Policy
) -> tuple[NDArray[np.float32], NDArray[np.int64]]:
    """The same of texts that are token ids already, without special tokens and without the prompt."""
    store, prompt = open_store(encoder), encoder.prompt(role)
    before = store[int(store.rows([prompt])[0])]
    texts = Ragged.of([np.concatenate([before, np.array(one, np.int32)]) for one in ids])
    limit = encoder.max_tokens
    store = TokenStore(encoder.tokenizer, limit, None, texts.values, texts.offsets, texts.lengths)
    rows = np.arange(len(ids))
    prefix_tokens = encoder.prefix_tokens(open_store(encoder), [prompt] * len(ids))
    return _embedded(encoder, store, rows, role, policy, prefix_tokens, lambda _: None), _lengths(encoder, store, rows)


def _lengths(encoder: Encoder, store: TokenStore, rows: NDArray[np.int64]) -> NDArray[np.int64]:
    special: int = sum(map(len, encoder.framing))
    return np.minimum(store.full_lengths[rows] + special, encoder.max_tokens)


def _tokenised(
    encoder: Encoder, store: TokenStore, texts: Sequence[str], role: Role, tasks: Sequence[str]
) -> tuple[NDArray[np.int64], NDArray[np.int64] | None]:
    """Rows of the texts with their prompts in the store, and the tokens of each prompt where the model needs them."""
    prefixes = encoder.prefixes(texts, role, tasks)
    rows = store.rows([prefix + text for prefix, text in zip(prefixes, texts, strict=True)])
    return rows, encoder.prefix_tokens(store, prefixes)


def encode_rows(
    encoder: Encoder,
    store: TokenStore,
    rows: NDArray[np.int64],
    role: Role,
    policy: Policy,
    *,
    prefix_tokens: NDArray[np.int64] | None = None,
    on_progress: Callable[[int], None] | None = None,
) -> NDArray[np.float32]:
    """Embed texts that are rows of a token store already, the prompt included; (len(rows), d), in the given order."""
    with encoder.inference(policy):
        return _embedded(encoder, store, rows, role, policy, prefix_tokens, on_progress or (lambda _: None))


def _embedded(
    encoder: Encoder, store: TokenStore, rows: NDArray[np.int64], role: Role, policy: Policy,
    prefix_tokens: NDArray[np.int64] | None, on_progress: Callable[[int], None],
) -> NDArray[np.float32]:  # fmt: skip
    vectors = np.empty((len(rows), encoder.dimension), np.float32)
    batches = _pooled(encoder, store, rows) if encoder.is_static else _packed(encoder, store, rows, policy)
    for index, tokens in batches:
        left_out = None if prefix_tokens is None else prefix_tokens[index]
        vectors[index] = encoder.embed(tokens, role, policy, prefix_tokens=left_out).cpu().numpy()
        on_progress(len(tokens))
    return vectors


def _pooled(encoder: Encoder, store: TokenStore, rows: NDArray[np.int64]) -> Iterator[tuple[slice, Rows]]:
    """In the given order: a token table has no padding to save."""
    for start in range(0, len(rows), STATIC_TEXTS):
        part = slice(start, start + STATIC_TEXTS)
        yield part, store.take(rows[part], encoder.max_tokens)


def _packed(
    encoder: Encoder, store: TokenStore, rows: NDArray[np.int64], policy: Policy
) -> Iterator[tuple[NDArray[np.int64], Rows]]:
    framed = [encoder.framed(store[row], encoder.max_tokens) for row in rows]
    lengths = np.fromiter(map(len, framed), np.int64, len(framed))
    padding = UNSEEN_PADDING if _skips_padding(encoder) else PADDING
    packing = pack(lengths, INFERENCE_BUDGET * policy.budget_tokens, padding)
    for index in packing.micro_batches:
        yield index, [framed[i] for i in index]


def _skips_padding(encoder: Encoder) -> bool:
    """Whether the layers see the real tokens alone, which they do inside `encoder.inference` on a CPU."""
    return any(isinstance(module, PackedLayers) for model in encoder.transformers for module in model.modules())


def open_store(encoder: Encoder) -> TokenStore:
    """Token store in memory for one encoder."""
    return TokenStore.open(encoder.tokenizer, encoder.max_tokens)
