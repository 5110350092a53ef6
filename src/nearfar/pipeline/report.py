"""From measured systems to what the report, the model card and the last line of a run say."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from nearfar.core.errors import NearfarError
from nearfar.data.dataset import Dataset, Judged
from nearfar.evaluate.statistics import Comparison, decide
from nearfar.pipeline.config import MAIN_METRIC, FitConfig
from nearfar.pipeline.evaluate import Evaluation, estimates
from nearfar.report.contents import Curve, Example, Hit, ReportData, Similarities
from nearfar.train.progress import Progress

EXAMPLES = 5
SHOWN_HITS = 3
SAMPLED_SIMILARITIES = 4000
NAMES = {"bm25": "BM25", "base": "base model", "model": "trained model"}


@dataclass(frozen=True)
class Measured:
    """An evaluated system, with the vectors of the test queries and of all documents when it has any."""

    evaluation: Evaluation
    query_vectors: NDArray[np.float32] | None = None  # (Q, d)
    document_vectors: NDArray[np.float32] | None = None  # (D, d)

    def vectors(self) -> NDArray[np.float32]:
        """The documents' vectors; an error for a system without any."""
        if self.document_vectors is None:
            raise NearfarError("this system has no vectors")
        return self.document_vectors


def verdict_of(comparisons: Mapping[str, Comparison]) -> str:
    """Say in one sentence whether the model is better than its base, and than BM25."""
    base, bm25 = comparisons["base"], comparisons["bm25"]
    return (
        f"The trained model is {_standing(base)} its base model (nDCG@10 {base.mean_a:.3f} against {_figures(base)}) "
        f"and {_standing(bm25)} BM25 ({_figures(bm25)})."
    )


def _standing(comparison: Comparison) -> str:
    answer = decide(comparison)
    return "not shown to differ from" if answer == "cannot tell" else f"{answer} than"


def _figures(c: Comparison) -> str:
    p_value = "p < 0.001" if c.p_value < 0.001 else f"p = {c.p_value:.3f}"
    return f"{c.mean_b:.3f}, {c.difference:+.3f}, 95 % interval {c.low:+.3f} to {c.high:+.3f}, {p_value}"


def report_data(
    dataset: Dataset, systems: Mapping[str, Measured], progress: Progress, record: Mapping[str, Any]
) -> ReportData:
    """Assemble the report of a run."""
    before = systems["base"].evaluation.per_query[MAIN_METRIC]
    after = systems["model"].evaluation.per_query[MAIN_METRIC]
    order = np.argsort(after - before, kind="stable")
    steps = range(1, progress.step + 1)
    return ReportData(
        title=f"{dataset.name}: {record['config']['base']} fine-tuned",
        verdict=record["verdict"],
        systems={NAMES[name]: estimates(measured.evaluation.per_query) for name, measured in systems.items()},
        curve=Curve(tuple(zip(steps, progress.losses, progress.learning_rates, strict=True)), progress.dev),
        before=before,
        after=after,
        similarities=_similarities(dataset.judged("test"), systems),
        won=_examples(dataset, systems, [int(i) for i in order[::-1][:EXAMPLES] if after[i] > before[i]]),
        lost=_examples(dataset, systems, [int(i) for i in order[:EXAMPLES] if after[i] < before[i]]),
        facts=facts_of(record),
        notices=tuple(record["data"]["notices"]),
    )


def card(config: FitConfig, systems: Mapping[str, Measured], sentence: str, opening: str) -> str:
    """Text of the model folder's README.md; `opening` is the Python that opens it."""
    metrics = list(config.eval.metrics)
    rows = [
        f"| {NAMES[name]} | " + " | ".join(f"{measured.evaluation.metrics[m]:.3f}" for m in metrics) + " |"
        for name, measured in systems.items()
    ]
    head = f"| | {' | '.join(metrics)} |\n|---|{'---|' * len(metrics)}"
    table = "\n".join([head, *rows])
    return f"# Fine-tuned from {config.base}\n\n{sentence}\n\n{table}\n\n```python\n{opening}\n```\n"


def facts_of(record: Mapping[str, Any]) -> dict[str, str]:
    """What a run was made of and with, in words."""
    queries = record["data"]["queries"]
    train = record["config"]["train"]
    return {
        "base model": str(record["config"]["base"]),
        "fingerprint": record["fingerprint"],
        "documents": f"{record['data']['documents']:,}",
        "queries": ", ".join(f"{name} {count:,}" for name, count in queries.items()),
        "training": f"{record['train_seconds']:.0f} s, {record['steps']} steps, best after {record['best_step']}",
        **(
            {"stages": "; ".join(map(_stage, record["stages"]))}
            if record.get("stages")
            else {"batch size": str(train["batch_size"]), "temperature": str(train["temperature"])}
        ),
        "computed on": f"{record['policy']['device']} in {record['policy']['precision']}",
        "versions": ", ".join(f"{name} {number}" for name, number in record["versions"].items()),
    }


def _stage(line: Mapping[str, Any]) -> str:
    dev = "" if line["dev_after"] is None else f", dev {line['dev_before']:.3f} to {line['dev_after']:.3f}"
    return f"{line['kind']} {line['seconds']:.0f} s{dev}"


def _similarities(judged: Judged, systems: Mapping[str, Measured]) -> Similarities:
    generator = np.random.default_rng(0)
    queries = judged.documents.row_of_value()
    pick = generator.permutation(len(queries))[:SAMPLED_SIMILARITIES]
    rows, positives = queries[pick], judged.documents.values[pick]
    others = generator.integers(len(systems["model"].vectors()), size=len(rows))
    negatives = np.where(others == positives, (others + 1) % len(systems["model"].vectors()), others)
    return Similarities(
        positives_before=_dots(systems["base"], rows, positives),
        negatives_before=_dots(systems["base"], rows, negatives),
        positives_after=_dots(systems["model"], rows, positives),
        negatives_after=_dots(systems["model"], rows, negatives),
    )


def _dots(measured: Measured, queries: NDArray[Any], documents: NDArray[Any]) -> NDArray[np.float32]:
    if measured.query_vectors is None:
        raise NearfarError("this system has no vectors")
    products: NDArray[np.float32] = (measured.query_vectors[queries] * measured.vectors()[documents]).sum(axis=1)
    return products


def _examples(dataset: Dataset, systems: Mapping[str, Measured], rows: list[int]) -> tuple[Example, ...]:
    base, model = systems["base"].evaluation, systems["model"].evaluation
    judged = dataset.judged("test")

    def hits(evaluation: Evaluation, row: int) -> tuple[Hit, ...]:
        found = evaluation.run.documents[row, :SHOWN_HITS]
        return tuple(Hit(dataset.documents.texts[d], d in judged.documents[row]) for d in found if d >= 0)

    return tuple(
        Example(
            query=dataset.queries.texts[judged.queries[row]],
            before=hits(base, row),
            after=hits(model, row),
            score_before=float(base.per_query[MAIN_METRIC][row]),
            score_after=float(model.per_query[MAIN_METRIC][row]),
        )
        for row in rows
    )
