"""Learned sparse encoders of each kind, made here of a tiny random BERT."""

from pathlib import Path

import numpy as np
import torch
from sentence_transformers import SparseEncoder
from sentence_transformers.sentence_transformer.modules import Router
from sentence_transformers.sparse_encoder.modules import SparseStaticEmbedding, SpladePooling, Transformer
from transformers import BertConfig, BertForMaskedLM

from nearfar.encoder.load import quiet
from tiny_models import tiny_tokenizer

KINDS = ("splade", "unicoil", "inference-free")
PROMPT = "open "  # of queries


def save_tiny_mlm(folder: Path, seed: int = 0, bias: float = -1.4) -> Path:
    """A masked language model; with this bias one token in ten has a weight in a text."""
    tokenizer = tiny_tokenizer()
    config = BertConfig(
        vocab_size=len(tokenizer),
        hidden_size=32,
        num_hidden_layers=2,
        num_attention_heads=4,
        intermediate_size=64,
        max_position_embeddings=64,
        pad_token_id=tokenizer.pad_token_id,
        initializer_range=0.1,
    )
    torch.manual_seed(seed)
    model = BertForMaskedLM(config)
    with torch.no_grad():
        model.cls.predictions.bias.add_(bias)
    with quiet():
        model.save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    return folder


def tiny_sparse(kind: str, folder: Path, seed: int = 0) -> SparseEncoder:
    """A sparse encoder of this kind, saved to `folder` too."""
    bias = 0 if kind == "unicoil" else -1.4
    with quiet():
        transformer = Transformer(str(save_tiny_mlm(folder / "mlm", seed, bias)), transformer_task="fill-mask")
        splade = [transformer, SpladePooling("max")]
        tokenizer, weight = transformer.tokenizer, torch.rand(len(transformer.tokenizer))
        if kind == "unicoil":  # the tokens of a text alone, each as its context says
            modules = [*splade, SparseStaticEmbedding(tokenizer, frozen=True)]
        elif kind == "inference-free":
            queries = [SparseStaticEmbedding(tokenizer, weight=weight)]
            modules = [Router.for_query_document(query_modules=queries, document_modules=splade)]
        else:
            modules = splade
        prompts = {"query": PROMPT} if kind == "splade" else {}
        model = SparseEncoder(modules=modules, device="cpu", prompts=prompts, similarity_fn_name="dot")
        model.save(str(folder / "model"), create_model_card=False)
    return model


class Own:
    """A model's own dense weights of texts, each computed once."""

    def __init__(self, model):
        self.model, self.known = model, {}

    def weights(self, role, texts):
        call = self.model.encode_query if role == "query" else self.model.encode_document
        new = [text for text in dict.fromkeys(texts) if (role, text) not in self.known]
        rows = call(new, convert_to_sparse_tensor=False).numpy().astype(np.float64) if new else ()
        self.known |= {(role, text): row for text, row in zip(new, rows, strict=True)}
        return np.stack([self.known[role, text] for text in texts])
