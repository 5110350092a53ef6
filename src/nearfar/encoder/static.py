"""A fresh static encoder: a table of token vectors, for users with no pretrained model at all."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from itertools import chain

import torch
from pydantic import Field
from sentence_transformers import SentenceTransformer
from sentence_transformers.sentence_transformer.modules import Normalize, StaticEmbedding
from tokenizers import Tokenizer, decoders, models, normalizers, pre_tokenizers, trainers

from nearfar.core.config import Config
from nearfar.encoder.encoder import Encoder

SPECIAL = ["[UNK]"]
INNER = "##"  # before a piece that does not begin a word
LETTERS = 1000  # characters kept; the rarer ones are unknown
NORMALIZER = normalizers.BertNormalizer(lowercase=True)


class StaticConfig(Config):
    dimension: int = Field(default=384, ge=1)
    """Length of an embedding."""
    vocabulary: int = Field(default=30_000, ge=1)
    """Largest number of tokens learned from the corpus."""
    tokenizer: str = "corpus"
    """Learn the tokens from the training texts (corpus), or take those of a model: minilm, a folder, a hub name."""


def train_tokenizer(texts: Iterable[str], vocabulary: int) -> Tokenizer:
    """Learn a WordPiece vocabulary (Schuster and Nakajima, 2012) from texts; lower-cased, punctuation split off.

    The same texts give the same vocabulary in every process.
    """
    corpus = list(texts)
    letters = _letters(corpus)
    # The trainer numbers the letters inside words in the order of a hash table with a seed of its own, and settles ties
    # by these numbers; known beforehand, they are always the same.
    inner = sorted(piece for piece in _learned(corpus, 0, letters, SPECIAL) if piece.startswith(INNER))
    tokenizer = _tokenizer(_learned(corpus, vocabulary, letters, [*SPECIAL, *inner]))
    tokenizer.add_special_tokens(SPECIAL)
    return tokenizer


def _letters(texts: Sequence[str]) -> list[str]:
    """The most frequent characters, ties by code point: the trainer's own choice among ties is random."""
    counts = Counter(chain.from_iterable(map(NORMALIZER.normalize_str, texts)))
    frequent = sorted(counts, key=lambda letter: (-counts[letter], letter))
    return [letter for letter in frequent if not letter.isspace()][:LETTERS]


def _learned(texts: Sequence[str], vocabulary: int, letters: list[str], first: list[str]) -> dict[str, int]:
    tokenizer = _tokenizer({})
    trainer = trainers.WordPieceTrainer(vocab_size=vocabulary, special_tokens=first, initial_alphabet=letters,
                                        limit_alphabet=len(letters), show_progress=False)  # fmt: skip
    tokenizer.train_from_iterator(texts, trainer)
    return tokenizer.get_vocab()


def _tokenizer(vocabulary: dict[str, int]) -> Tokenizer:
    tokenizer = Tokenizer(models.WordPiece(vocabulary, unk_token=SPECIAL[0]))
    tokenizer.normalizer = NORMALIZER
    tokenizer.pre_tokenizer = pre_tokenizers.Sequence(
        [pre_tokenizers.BertPreTokenizer(), pre_tokenizers.Digits(individual_digits=False)]
    )
    tokenizer.decoder = decoders.WordPiece()
    return tokenizer


def static_encoder(tokenizer: Tokenizer, config: StaticConfig, seed: int, device: str = "cpu") -> Encoder:
    """A token table with small random vectors, to be trained; cosine similarity."""
    generator = torch.Generator().manual_seed(seed)
    rows = tokenizer.get_vocab_size()
    table = torch.randn(rows, config.dimension, generator=generator) / config.dimension**0.5
    modules: list[torch.nn.Module] = [StaticEmbedding(tokenizer, embedding_weights=table), Normalize()]
    return Encoder(SentenceTransformer(modules=modules, device=device, similarity_fn_name="cosine"))
