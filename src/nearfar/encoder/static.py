"""A fresh static encoder: a table of token vectors, for users with no pretrained model at all."""

from __future__ import annotations

from collections.abc import Iterable

import torch
from sentence_transformers import SentenceTransformer
from sentence_transformers.sentence_transformer.modules import Normalize, StaticEmbedding
from tokenizers import Tokenizer, decoders, models, normalizers, pre_tokenizers, trainers

from nearfar.core.config import Config
from nearfar.encoder.encoder import Encoder

SPECIAL = ["[UNK]"]


class StaticConfig(Config):
    dimension: int = 384
    """Length of an embedding."""
    vocabulary: int = 30_000
    """Largest number of tokens learned from the corpus."""


def train_tokenizer(texts: Iterable[str], vocabulary: int) -> Tokenizer:
    """Learn a WordPiece vocabulary (Schuster and Nakajima, 2012) from texts; lower-cased, punctuation split off."""
    tokenizer = Tokenizer(models.WordPiece(unk_token=SPECIAL[0]))
    tokenizer.normalizer = normalizers.BertNormalizer(lowercase=True)
    tokenizer.pre_tokenizer = pre_tokenizers.Sequence(
        [pre_tokenizers.BertPreTokenizer(), pre_tokenizers.Digits(individual_digits=False)]
    )
    tokenizer.decoder = decoders.WordPiece()
    trainer = trainers.WordPieceTrainer(vocab_size=vocabulary, special_tokens=SPECIAL, show_progress=False)
    tokenizer.train_from_iterator(texts, trainer)
    return tokenizer


def static_encoder(tokenizer: Tokenizer, config: StaticConfig, seed: int, device: str = "cpu") -> Encoder:
    """A token table with small random vectors, to be trained; cosine similarity."""
    generator = torch.Generator().manual_seed(seed)
    rows = tokenizer.get_vocab_size()
    table = torch.randn(rows, config.dimension, generator=generator) / config.dimension**0.5
    modules: list[torch.nn.Module] = [StaticEmbedding(tokenizer, embedding_weights=table), Normalize()]
    return Encoder(SentenceTransformer(modules=modules, device=device, similarity_fn_name="cosine"))
