"""`compress-table`: the token table of a run's model in a few megabytes, and what that costs on its test set."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, cast

import numpy as np
from numpy.typing import NDArray
from sentence_transformers import SentenceTransformer
from sentence_transformers.sentence_transformer.modules import StaticEmbedding
from tokenizers import Tokenizer
from torch import nn

from nearfar.compress.tables import compressed, method_of, smallest_bytes, token_weights
from nearfar.core.artifact import check_place, is_artifact
from nearfar.core.errors import BadInput
from nearfar.core.ragged import Ragged
from nearfar.data.dataset import Dataset
from nearfar.data.read import Item
from nearfar.encoder.compressed_table import TOKENIZER, CompressedTable
from nearfar.encoder.encoder import Encoder, Role
from nearfar.encoder.save import save_encoder
from nearfar.evaluate.statistics import Share, share
from nearfar.pipeline.coding import METRICS, Bench
from nearfar.pipeline.config import MAIN_METRIC
from nearfar.pipeline.evaluate import evaluate_space, tasks_of, texts_of
from nearfar.pipeline.progress import Reporter, Silent

METHOD = "mixed"
MEGABYTES = 4.0
MEGABYTE = 1_000_000
HEADER_BYTES = 4096  # of a weights file: names and places of its arrays, which are fewer than twenty
CARD = """# Compressed ({method})

The token table of `{run}` in {size:.2f} MB. On {queries} test queries {kept:.1f} % of nDCG@10 is kept.
"""


@dataclass(frozen=True)
class Size:
    """Bytes of a model folder."""

    weights: int
    tokenizer: int

    @classmethod
    def of(cls, folder: Path) -> Size:
        """What is there."""
        weights, tokenizers = folder.rglob("*.safetensors"), folder.rglob(TOKENIZER)
        return cls(*(sum(path.stat().st_size for path in paths) for paths in (weights, tokenizers)))


@dataclass(frozen=True)
class CompressedModel:
    """A model with a compressed table on disk, and the model it stands for."""

    path: Path
    fingerprint: str
    method: str
    before: Size
    after: Size
    dropped: int  # rows of the table that are zero now
    rows: int
    queries: int  # of the test set
    metrics_before: dict[str, float]
    metrics: dict[str, float]
    kept: Share  # of the main metric

    def record(self) -> dict[str, Any]:
        """As JSON."""
        sizes = {"weights_bytes_before": self.before.weights, "weights_bytes": self.after.weights,
                 "tokenizer_bytes": self.after.tokenizer}  # fmt: skip
        return {"path": str(self.path), "fingerprint": self.fingerprint, "method": self.method, **sizes,
                "rows": self.rows, "dropped": self.dropped, "queries": self.queries, "metrics": self.metrics,
                "metrics_before": self.metrics_before, f"retained_{MAIN_METRIC}": self.kept.value,
                "interval": [self.kept.low, self.kept.high]}  # fmt: skip


def compress_table(
    run: str | Path,
    out: str | Path,
    megabytes: float = MEGABYTES,
    method: str = METHOD,
    *,
    data: Dataset | str | Path | Sequence[Item] | None = None,
    overwrite: bool = False,
    reporter: Reporter | None = None,
) -> CompressedModel:
    """Write the model of a run, a token table, as a model folder with weights of at most so many megabytes.

    Both models are measured on the test set. The documents and the training queries say how much each token weighs;
    no test query does.

    Args:
        megabytes: of 10^6 bytes, for all weights on disk; the tokenizer comes on top.
        method: "mixed" (bits by a token's weight in these texts) or "even" (by a row's length alone).
        data: as `fit` takes it; left out, the run's own.

    Raises:
        BadInput: the run's model is no token table, the budget is too small, or `out` exists.
    """
    method_of(method)
    path = Path(out)
    _check_out(path, overwrite=overwrite)
    bench = Bench.open(run, data, reporter or Silent())
    table = _table(bench.encoder, run)
    budget = _budget(megabytes, bench.encoder, table, method)
    measured = _Measured.of(bench, bench.encoder)
    coded = compressed(table, token_weights(_texts(bench), len(table)), budget, method)
    encoder = _with_first(bench.encoder, CompressedTable(cast(Tokenizer, bench.encoder.tokenizer), coded))
    after = _Measured.of(bench, encoder)
    kept, queries = share(after.per_query, measured.per_query), len(after.per_query)
    size = coded.size_bytes / MEGABYTE
    card = CARD.format(method=method, run=Path(run).name, size=size, queries=queries, kept=100 * kept.value)
    fingerprint = save_encoder(encoder, path, card=card, overwrite=overwrite)
    dropped = int((coded.bits == 0).sum())
    return CompressedModel(path, fingerprint, method, Size.of(Path(run) / "model"), Size.of(path), dropped,
                           len(table), queries, measured.metrics, after.metrics, kept)  # fmt: skip


@dataclass(frozen=True)
class _Measured:
    """A model on the test set."""

    metrics: dict[str, float]
    per_query: NDArray[np.float64]  # (Q,) of the main metric

    @classmethod
    def of(cls, bench: Bench, encoder: Encoder) -> _Measured:
        """Encode documents and test queries, and rank.

        Raises:
            BadInput: there are no test queries, or it answers none.
        """
        space = replace(bench.space, encoder=encoder)
        found, *_ = evaluate_space(space, bench.dataset, bench.judged("test"), METRICS)
        if encoder is bench.encoder and not found.metrics[MAIN_METRIC]:
            raise BadInput.at(bench.dataset.name, expected="test queries that the model answers",
                              found=f"{MAIN_METRIC} 0", do="measure on others with --data")  # fmt: skip
        return cls(dict(found.metrics), found.per_query[MAIN_METRIC])


def _check_out(path: Path, *, overwrite: bool) -> None:
    """Refuse, before any work, a place that holds something else than a model to replace."""
    check_place(path)
    if path.exists() and not (overwrite and is_artifact(path, "model")):
        do = "choose another --out" if overwrite else "choose another --out, or replace a model with --overwrite"
        raise BadInput.at(path, expected="a new folder", found="one that exists", do=do)


def _table(encoder: Encoder, run: str | Path) -> NDArray[np.float32]:
    """The token vectors (V, d) of a model that has nothing else to read tokens with."""
    first = encoder.model[0]
    if not isinstance(first, StaticEmbedding):
        raise BadInput.at(run, expected="a model that is a token table, of nearfar fit --base static",
                          found=f"a {type(first).__name__}", do="compress its vectors: nearfar compress")  # fmt: skip
    table: NDArray[np.float32] = first.embedding.weight.detach().cpu().float().numpy()
    return table


def _budget(megabytes: float, encoder: Encoder, table: NDArray[np.float32], method: str) -> int:
    """Bytes that are left for the table.

    Raises:
        BadInput: too few; the least that would do is given, rounded up.
    """
    rows, dimension = table.shape
    others = HEADER_BYTES + sum(_bytes(module) for module in list(encoder.model)[1:])
    least = others + smallest_bytes(rows, dimension, method)
    budget = int(megabytes * MEGABYTE) if np.isfinite(megabytes) else 0
    if budget < least:
        up = f"{np.ceil(least / 1e4) / 100:.2f}"
        raise BadInput.at("--megabytes", expected=f"{up} or more for {rows:,} rows of {dimension} by '{method}'",
                          found=f"{megabytes:g}", do=f"give {up}, or train with fewer --static.vocabulary")  # fmt: skip
    return budget - others


def _bytes(module: nn.Module) -> int:
    """Bytes of a module's weights file."""
    tensors = [tensor.nbytes for tensor in module.state_dict().values()]
    return sum(tensors) + HEADER_BYTES if tensors else 0


def _texts(bench: Bench) -> Ragged:
    """Tokens of all documents and of the training queries, where there are any."""
    found = _tokens(bench, bench.dataset.documents.texts, "document")
    if "train" not in bench.dataset.splits or not len(bench.dataset.splits["train"].relevant):
        return found
    rows = bench.dataset.judged("train").queries
    queries = bench.dataset.queries
    return found.followed_by(_tokens(bench, texts_of(queries, rows), "query", tasks_of(queries, rows)))


def _tokens(bench: Bench, texts: Sequence[str], role: Role, tasks: Sequence[str] = ()) -> Ragged:
    space, store = bench.space, bench.space.store
    prefixes = space.encoder.prefixes(texts, role, tasks)
    rows = store.rows([prefix + text for prefix, text in zip(prefixes, texts, strict=True)])
    return store.take(rows, space.encoder.max_tokens)


def _with_first(encoder: Encoder, first: nn.Module) -> Encoder:
    """The encoder with another first module; the given one keeps its own."""
    old = encoder.model
    prompts = {name: prompt for name, prompt in old.prompts.items() if prompt is not None}
    made = SentenceTransformer(modules=[first, *list(old)[1:]], device=str(old.device), prompts=prompts,
                               default_prompt_name=old.default_prompt_name, truncate_dim=old.truncate_dim,
                               similarity_fn_name=old.similarity_fn_name)  # fmt: skip
    return replace(encoder, model=made)
