"""Tasks of the Massive Text Embedding Benchmark, run by its own package `mteb` on nearfar's encoder."""

from __future__ import annotations

import importlib
import logging
import warnings
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from nearfar.core.errors import BadInput, MissingExtra, excerpt
from nearfar.data.beir import is_beir
from nearfar.data.config import DataConfig
from nearfar.data.dataset import Dataset
from nearfar.data.read import as_dataset
from nearfar.pipeline.evaluate import Space, judged_queries
from nearfar.pipeline.probes import Model, open_space
from nearfar.pipeline.progress import Reporter, Silent

BATCH_TEXTS = 1024  # handed over at a time; nearfar packs all of them by tokens
LOCAL = {
    "type": "Retrieval",
    "description": "A BEIR folder of one's own.",
    "eval_langs": ["eng-Latn"],  # mteb wants a language, and none of its figures follow from it
    "main_score": "ndcg_at_10",
}


@dataclass(frozen=True)
class MtebResult:
    """What `mteb` measured: every score of every split and subset, and the one that the task is ranked by."""

    task: str
    kind: str  # mteb's type of the task: Retrieval, STS, Classification, …
    main_metric: str
    main_score: float  # the mean over splits and subsets
    scores: Mapping[str, Mapping[str, Mapping[str, float]]]  # split → subset → metric → value
    version: str  # of mteb

    def record(self) -> dict[str, Any]:
        """For JSON."""
        return {"metrics": {self.main_metric: self.main_score}, **asdict(self)}


class MtebEncoder:
    """nearfar's encoder in the form of mteb's EncoderProtocol: with nearfar's prompts, pooling and packing.

    mteb calls documents documents; everything else is encoded as a query, with the prompt that the model has for the
    task where it has one of the task's name.
    """

    def __init__(self, space: Space) -> None:
        self._space = space
        named = {"name": "nearfar/model", "revision": space.encoder.fingerprint()}
        self.mteb_model_meta = _mteb(".models").ModelMeta.create_empty(named)

    def encode(
        self,
        inputs: Iterable[Mapping[str, Any]],
        *,
        task_metadata: Any,
        hf_split: str,  # noqa: ARG002 -- mteb's protocol
        hf_subset: str,  # noqa: ARG002
        prompt_type: str | None = None,
        **options: Any,  # noqa: ARG002 -- batch sizes and the like, which nearfar chooses itself
    ) -> NDArray[np.float32]:
        """Vectors (n, d) of the texts of all batches, normalised when the similarity is cosine."""
        texts = [text for batch in inputs for text in batch["text"]]
        if prompt_type == "document":
            return self._space.vectors(texts, "document", "encoding documents")
        return self._space.vectors(texts, "query", "encoding", [task_metadata.name] * len(texts))

    def similarity(self, first: NDArray[np.float32] | Tensor, second: NDArray[np.float32] | Tensor) -> Tensor:
        """The model's similarity of all pairs, (n, m)."""
        return torch.as_tensor(first) @ torch.as_tensor(second).T

    def similarity_pairwise(self, first: NDArray[np.float32] | Tensor, second: NDArray[np.float32] | Tensor) -> Tensor:
        """The model's similarity of the vectors of each row, (n,)."""
        return (torch.as_tensor(first) * torch.as_tensor(second)).sum(dim=-1)


def evaluate_mteb(
    model: Model,
    data: str | Path,
    *,
    split: str | None = None,
    config: DataConfig | None = None,
    layers: int | None = None,
    reporter: Reporter | None = None,
) -> MtebResult:
    """Run one task of MTEB on a model (Muennighoff et al., 2023).

    Args:
        data: the name of a task, whose data are those of the hub or of its cache; a folder with the name of a task and
            its files (train.jsonl, test.jsonl … with the task's columns); or a BEIR folder, which becomes a retrieval
            task. With folders nothing is downloaded.
        split: to measure on; the task's own when left out, and test of a BEIR folder.
        layers: of the model's layers to use, counted from the first; all when left out.

    Raises:
        MissingExtra: the package `mteb` is not installed.
        BadInput: there is no such task, its data cannot be had, it has no such split, or it is not one of texts.
    """
    mteb = _mteb()
    with _quiet():
        task = _task(mteb, data, split, config or DataConfig())
    space = open_space(model, layers, reporter or Silent())
    options = {"batch_size": BATCH_TEXTS, "show_progress_bar": False}
    with _quiet():
        result = mteb.evaluate(MtebEncoder(space), task, co2_tracker=False, cache=None, show_progress_bar=False,
                               encode_kwargs=options).task_results[0]  # fmt: skip
    scores = {split: {one["hf_subset"]: _numbers(one) for one in found} for split, found in result.scores.items()}
    known = task.metadata
    return MtebResult(known.name, known.type, known.main_score, float(result.get_score()), scores, mteb.__version__)


def _mteb(part: str = "") -> Any:
    """The package, or a module of it; typed as nothing, so that types can be checked without it."""
    try:
        return importlib.import_module(f"mteb{part}")
    except ImportError:
        raise MissingExtra.of("a task of MTEB", "mteb") from None


@contextmanager
def _quiet() -> Iterator[None]:
    """Keep the progress bars, warnings and log lines of mteb and datasets off standard error inside the block."""
    from datasets.utils import (  # noqa: PLC0415 -- comes with mteb
        are_progress_bars_disabled,
        disable_progress_bars,
        enable_progress_bars,
    )

    logger, silent = logging.getLogger("mteb"), are_progress_bars_disabled()
    level = logger.level
    disable_progress_bars()
    logger.setLevel(logging.ERROR)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    finally:
        logger.setLevel(level)
        if not silent:
            enable_progress_bars()


def _task(mteb: Any, data: str | Path, split: str | None, config: DataConfig) -> Any:
    folder = Path(data).expanduser()
    if folder.is_dir() and is_beir(folder):
        return _retrieval(folder, split or "test", config)
    task = _named(mteb, folder.resolve().name if folder.is_dir() else str(data))
    if set(task.metadata.modalities) != {"text"}:
        found = ", ".join(task.metadata.modalities)
        raise BadInput.at(task.metadata.name, expected="a task of texts", found=f"one of {found}", do="choose another")
    if folder.is_dir():
        own = {"path": str(folder.resolve()), "revision": "local"}
        task.metadata = task.metadata.model_copy(update={"dataset": own})
    _choose(task, split)
    _load(task, data)
    return task


def _named(mteb: Any, name: str) -> Any:
    try:
        return mteb.get_task(name)
    except KeyError as error:
        hint = str(error.args[0]).partition("not found")[2].strip(" .") or "see mteb.get_tasks()"
        raise BadInput.at(excerpt(name), expected="a task of mteb, a folder named as one, or a BEIR folder",
                          found="none", do=hint) from None  # fmt: skip


def _choose(task: Any, split: str | None) -> None:
    if split and split not in task.metadata.eval_splits:
        raise BadInput.at(task.metadata.name, expected=f"a split '{split}'", found=", ".join(task.metadata.eval_splits),
                          do="choose another with --split")  # fmt: skip
    if split:
        task.filter_eval_splits(eval_splits=[split])


def _load(task: Any, data: str | Path) -> None:
    try:
        task.load_data()
    except Exception as error:  # whatever datasets, the hub and their network raise, the user needs one line
        reason = (str(error).splitlines() or [type(error).__name__])[0]
        raise BadInput.at(data, expected=f"the data of the task {task.metadata.name}", found=f"none ({reason[:200]})",
                          do="check the network, or give a folder of that name with its files") from None  # fmt: skip


def _retrieval(folder: Path, split: str, config: DataConfig) -> Any:
    """A retrieval task of mteb whose data are those that nearfar reads."""
    dataset = as_dataset(folder, config)
    own = {"path": str(folder.resolve()), "revision": "local"}
    metadata = _mteb().TaskMetadata(name=folder.resolve().name, dataset=own, eval_splits=[split], **LOCAL)
    kind = type("LocalRetrieval", (_mteb(".abstasks").AbsTaskRetrieval,), {"metadata": metadata})
    task: Any = kind()
    task.dataset = {"default": {split: _split_of(dataset, split)}}
    task.data_loaded = True
    return task


def _split_of(dataset: Dataset, split: str) -> dict[str, Any]:
    from datasets import Dataset as Table  # noqa: PLC0415 -- comes with mteb

    judged = judged_queries(dataset, split)
    texts, ids = dataset.queries.texts, dataset.queries.ids
    wanted = {"id": [ids[row] for row in judged.queries], "text": [texts[row] for row in judged.queries]}
    relevant: dict[str, dict[str, int]] = {name: {} for name in wanted["id"]}
    pairs = zip(judged.documents.row_of_value(), judged.documents.values, judged.gains, strict=True)
    for row, document, gain in pairs:
        if gain != int(gain):
            raise BadInput.at(dataset.name, expected="whole numbers as scores, as mteb reads no others",
                              found=f"{gain:g}", do="round them, or measure without mteb")  # fmt: skip
        relevant[wanted["id"][row]][dataset.documents.ids[document]] = int(gain)
    corpus = {"id": list(dataset.documents.ids), "text": list(dataset.documents.texts)}
    return {"corpus": Table.from_dict(corpus), "queries": Table.from_dict(wanted), "relevant_docs": relevant,
            "top_ranked": None}  # fmt: skip


def _numbers(scores: Mapping[str, Any]) -> dict[str, float]:
    return {name: float(value) for name, value in scores.items() if isinstance(value, (int, float))}
