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
        weights, tokenizers = ([path.stat().st_size for path in folder.rglob(name)] for name in ("*.safetensors", TOKENIZER))
        return cls(sum(weights), sum(tokenizers))


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
        sizes = {f"{name}_bytes{when}": getattr(size, name) for when, size in (("_before", self.before), ("", self.after))
                 for name in ("weights", "tokenizer")}  # fmt: skip
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
    budget = _budget(megabytes, bench.encoder, table.shape, method)
    judged = bench.judged("test")
    before, *_ = evaluate_space(bench.space, bench.dataset, judged, METRICS)
    if not before.metrics[MAIN_METRIC]:
        raise BadInput.at(bench.dataset.name, expected="test queries that the model answers",
                          found=f"{MAIN_METRIC} 0", do="measure on others with --data")  # fmt: skip
    coded = compressed(table, token_weights(_texts(bench), len(table)), budget, method)
    encoder = _with_first(bench.encoder, CompressedTable(cast(Tokenizer, bench.encoder.tokenizer), coded))
    after, *_ = evaluate_space(replace(bench.space, encoder=encoder), bench.dataset, judged, METRICS)
    kept = share(after.per_query[MAIN_METRIC], before.per_query[MAIN_METRIC])
    queries, size = len(judged.queries), coded.size_bytes / MEGABYTE
    card = CARD.format(method=method, run=Path(run).name, size=size, queries=queries, kept=100 * kept.value)
    fingerprint = save_encoder(encoder, path, card=card, overwrite=overwrite)
    return CompressedModel(path, fingerprint, method, Size.of(Path(run) / "model"), Size.of(path),
                           int((coded.bits == 0).sum()), len(table), queries, dict(before.metrics),
                           dict(after.metrics), kept)  # fmt: skip


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
                          found=f"a {type(first).__name__}", do="make its vectors small with nearfar compress")  # fmt: skip
    table: NDArray[np.float32] = first.embedding.weight.detach().cpu().float().numpy()
    return table


def _budget(megabytes: float, encoder: Encoder, shape: tuple[int, int], method: str) -> int:
    """Bytes that are left for the table.

    Raises:
        BadInput: too few; the least that would do is given, rounded up.
    """
    after = [module for module in encoder.model if module is not encoder.model[0]]
    others = sum(_bytes(module) for module in after)
    least = others + HEADER_BYTES + smallest_bytes(*shape, method)
    budget = int(megabytes * MEGABYTE) if np.isfinite(megabytes) else 0
    if budget < least:
        up = np.ceil(least / 1e4) / 100
        raise BadInput.at("--megabytes", expected=f"{up:.2f} or more for {shape[0]:,} rows of {shape[1]} by '{method}'",
                          found=f"{megabytes:g}", do=f"give {up:.2f}, or train with a smaller --static.vocabulary")  # fmt: skip
    return budget - others - HEADER_BYTES


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
    model = encoder.model
    made = SentenceTransformer(
        modules=[first, *list(model)[1:]],
        device=str(model.device),
        prompts=dict(model.prompts),
        default_prompt_name=model.default_prompt_name,
        similarity_fn_name=model.similarity_fn_name,
    )
    return Encoder(made, encoder.examples)
