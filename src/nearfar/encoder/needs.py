"""How a saved model is opened elsewhere, and what it needs there: parts of its card."""

from __future__ import annotations

from collections.abc import Iterator

from torch import nn

from nearfar.encoder.encoder import Encoder
from nearfar.encoder.poolings import module_type

HEADING = "## What it needs"
OURS = """It holds {names}, which sentence-transformers does not have. Open it with
`nearfar.encoder.load.load_encoder`, which runs no code from the folder; its `.model` is a SentenceTransformer.{first}
Where the package is installed, `SentenceTransformer` opens it with `trust_remote_code=True`, too."""
FIRST = " Import {modules} before, which registers the pooling."
BOTH_WAYS = """Its decoder attends in both directions: `"is_causal": false` in config.json, which transformers reads
from version 5.2 on. Earlier versions, and servers with model code of their own, compute other vectors in silence."""
TWO = """Queries and documents have an encoder each, behind sentence-transformers' Router (version 6): call
`model.encode_query` and `model.encode_document`; `model.encode` takes every text for a document."""
LAYERS = """Its pooling reads the outputs of all layers, which text-embeddings-inference does not pass on: do not
serve it there."""
SHOWN = """Queries were preceded by examples in training. nearfar puts those of the folder `examples` before them; with
Sentence Transformers alone that is left to the caller."""


def needs(encoder: Encoder) -> str:
    """Markdown that follows a card; "" for a model that every reader of Sentence Transformers folders opens alike."""
    parts = list(_needs(encoder))
    return f"\n{HEADING}\n\n" + "\n\n".join(parts) + "\n" if parts else ""


def opening(encoder: Encoder) -> str:
    """Lines of Python that open a saved folder and embed a question."""
    foreign = _foreign(encoder)
    imports = [f"import {name}" for name in _homes(foreign)]
    ours = ("from nearfar.encoder.load import load_encoder", 'load_encoder("path/of/this/folder").model')
    plain = ("from sentence_transformers import SentenceTransformer", 'SentenceTransformer("path/of/this/folder")')
    found, opened = ours if foreign else plain
    return "\n".join([*imports, found, "", f"model = {opened}", 'vectors = model.encode_query(["a question"])'])


def _needs(encoder: Encoder) -> Iterator[str]:
    if foreign := _foreign(encoder):
        homes = " and ".join(f"`{name}`" for name in _homes(foreign))
        names = " and ".join(f"`{module_type(kind)}`" for kind in foreign)
        yield OURS.format(names=names, first=FIRST.format(modules=homes) if homes else "")
    if any(getattr(model.config, "is_causal", None) is False for model in encoder.transformers):
        yield BOTH_WAYS
    if not encoder.is_shared:
        yield TWO
    if any(model.config.output_hidden_states for model in encoder.transformers):
        yield LAYERS
    if encoder.examples:
        yield SHOWN


def _foreign(encoder: Encoder) -> list[type[nn.Module]]:
    """Classes of modules that sentence-transformers does not have."""
    kinds = {type(module) for module in encoder.route("query")}
    return sorted((k for k in kinds if not module_type(k).startswith("sentence_transformers.")), key=module_type)


def _homes(kinds: list[type[nn.Module]]) -> list[str]:
    """Modules of Python that register a pooling from outside."""
    return sorted({kind.__module__ for kind in kinds if not kind.__module__.startswith("nearfar.")})
