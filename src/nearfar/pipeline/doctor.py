"""`diagnose`: everything the rules of the five failures look at, gathered from a run, its data and its base."""

from __future__ import annotations

import os
import time
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from nearfar.core.errors import BadInput, excerpt
from nearfar.data.config import DataConfig
from nearfar.data.dataset import Dataset, Judged, Pairs
from nearfar.data.live import LiveLog, read_live
from nearfar.data.llm import KEY, Rewriter
from nearfar.data.read import as_dataset
from nearfar.data.split import QUERIES_NEEDED, ensure_splits
from nearfar.diagnose import drift
from nearfar.diagnose.evidence import Course, Evidence, Subject, Vectors
from nearfar.diagnose.finding import Finding, unknown
from nearfar.diagnose.registry import FAILURES
from nearfar.encoder.encode import open_store
from nearfar.encoder.load import FRESH, load_encoder, near_folder
from nearfar.encoder.precision import Policy, choose_policy
from nearfar.evaluate.run import Run as Ranking
from nearfar.index.exact import top_k
from nearfar.pipeline.config import FitConfig
from nearfar.pipeline.doctor_elsewhere import Source, at_home, contrasts, ndcg_of, read_elsewhere
from nearfar.pipeline.doctor_paraphrases import with_paraphrases
from nearfar.pipeline.doctor_probe import probed
from nearfar.pipeline.doctor_texts import MOST_TRAINING, gathered, queries_of
from nearfar.pipeline.evaluate import Space, with_split
from nearfar.pipeline.place import Place
from nearfar.pipeline.progress import Reporter, Silent
from nearfar.pipeline.run import RECORD, Run
from nearfar.pipeline.session import STARTED
from nearfar.pipeline.stages import TrainStage
from nearfar.pipeline.stored import Model, name_of, stored_of, stored_of_run
from nearfar.report.notebook import diagnosis_html


@dataclass(frozen=True)
class Diagnosis:
    """All findings, in the order of the registry, and what they were made from."""

    subject: str
    findings: tuple[Finding, ...]
    evidence: Evidence

    @property
    def failed(self) -> bool:
        """Whether any failure was found."""
        return any(finding.verdict == "fail" for finding in self.findings)

    def _repr_html_(self) -> str:
        """In a notebook."""
        return diagnosis_html(self.subject, self.findings)

    def record(self) -> dict[str, Any]:
        """The findings as JSON."""
        return {"subject": self.subject, "findings": [asdict(finding) for finding in self.findings]}


def diagnose(  # noqa: PLR0913  # all but the model by keyword
    model: Model | None = None,
    *,
    data: Any = None,
    base: str | Path | None = None,
    index: str | Path | None = None,
    config: DataConfig | None = None,
    live: str | Path | None = None,
    elsewhere: Source | Sequence[Source] = (),
    paraphrases: str | None = None,
    paraphrase_model: str | None = None,
    probe: bool = False,
    reporter: Reporter | None = None,
) -> Diagnosis:
    """Look for the five failures of contrastive training in a model, its data, or both; or for drift in an index.

    Args:
        model: a run, a model folder, a base's or a hub name, or a loaded SentenceTransformer, which is left as it is;
            without one, the data alone are looked at.
        data: a data set as `fit` takes it; left out, the run's own.
        base: what training started from; left out, what the run says.
        live: lines of {"query": text, "clicked": ids of documents} as users asked them.
        elsewhere: other retrieval sets, which the model was not trained on: BEIR folders, or files with a test split;
            whether it has lost there what its base could do. Columns have their usual names.
        index: a run or an index folder that the model is to ask; nothing but drift is looked for then.
        paraphrases: address of an OpenAI-compatible server, whose model says up to 100 test queries in other words, in
            the place of rules; it gets these queries, and the key in the environment's OPENAI_API_KEY if there is one.
        paraphrase_model: the name of that model, where the server has several.
        probe: train shortly with small and large batches, to see whether larger ones still help.

    Raises:
        BadInput: there is nothing to look at, or it cannot be read.
    """
    reporter = reporter or Silent()
    if model is not None and not isinstance(model, Model):
        raise BadInput.at("model", expected="a run, a model folder, a name or a SentenceTransformer",
                          found=type(model).__name__, do="give one of these")  # fmt: skip
    if model is None and (elsewhere or paraphrases):
        raise BadInput.at("elsewhere" if elsewhere else "paraphrases", expected="a model to look at with them",
                          found="none", do="name one")  # fmt: skip
    if paraphrase_model and not paraphrases:
        raise BadInput.at("paraphrase_model", expected="the address of its server", found="none", do="give paraphrases")
    if index is None:
        rewriter = Rewriter.of(paraphrases, paraphrase_model, os.environ.get(KEY, "")) if paraphrases else None
        return _of_model(model, data, base, config, _Looks(live, elsewhere, rewriter, probe, reporter))
    if live or probe or base or elsewhere or paraphrases:
        raise BadInput.at("index", expected="no live, elsewhere, paraphrases, probe or base beside it", found="one",
                          do="diagnose the model for these")  # fmt: skip
    return _of_index(Place.of(index), model, data, config, reporter)


@dataclass(frozen=True)
class _Looks:
    """What is looked at beside model and data, and whom to tell."""

    live: str | Path | None
    elsewhere: Source | Sequence[Source]
    rewriter: Rewriter | None
    probe: bool
    reporter: Reporter

    def log(self, dataset: Dataset, config: DataConfig) -> LiveLog | None:
        """The log of live queries, if one was given."""
        if not self.live:
            return None
        log = read_live(Path(self.live), dataset.documents, config)
        for notice in log.notices:
            self.reporter.say(f"live: {notice}")
        return log


def _of_model(
    model: Model | None, data: Any, base: str | Path | None, config: DataConfig | None, looks: _Looks
) -> Diagnosis:
    record = _record_of(model)
    settings = FitConfig.parse(record["config"], "run") if record else None
    config = config or (settings.data if settings else DataConfig())
    dataset = _data(model, data, config)
    if data is not None and settings and str(data) != settings.data.source:  # the model was not trained on these
        dataset = replace(dataset, splits={**dataset.splits, "train": Pairs.of([])})
    evidence, sampled = gathered(dataset, looks.log(dataset, config))
    evidence = replace(evidence, near_duplicates_masked=config.mask_near_duplicates)
    elsewhere = read_elsewhere(looks.elsewhere, looks.reporter)
    if looks.rewriter:
        evidence = with_paraphrases(evidence, looks.rewriter, looks.reporter)
    if data is not None and (own := _own_queries(model, settings)):
        evidence = replace(evidence, training_queries=own)
    if settings and record:
        evidence = replace(evidence, course=_course(record), settings=_training(settings),
                           stages=[stage.model_dump(mode="json", exclude_unset=True) | {"kind": stage.kind}
                                   for stage in settings.plan],
                           has_teachers=bool(settings.teachers.models or settings.teachers.scores))  # fmt: skip
    base = base or (settings.base if settings else None)
    evidence = replace(evidence, is_fresh=base == FRESH)
    base = None if evidence.is_fresh else base  # a table of noise: nothing to compare with
    look = partial(_subject, evidence=evidence, judged=sampled, reporter=looks.reporter, policy=choose_policy())
    evidence = replace(evidence, model=None if model is None else look(model), base=look(base) if base else None)
    if elsewhere:
        evidence = replace(evidence, elsewhere=contrasts(elsewhere, evidence, looks.reporter),
                           at_home=at_home(dataset.name, evidence, sampled))  # fmt: skip
    if evidence.model and record:
        evidence = replace(evidence, stored=stored_of_run(Place.of(str(model)), evidence, evidence.model))
    if looks.probe:
        start = settings or FitConfig(data=config)
        evidence = replace(evidence, probes=probed(dataset, base or FRESH, start, looks.reporter))
    findings = tuple(failure.diagnose(evidence) for failure in FAILURES.values())
    return Diagnosis(dataset.name if model is None else name_of(model), findings, evidence)


def _course(record: Mapping[str, Any]) -> Course:
    return Course(record["steps"], record["best_step"], tuple(record["losses"]),
                  tuple((int(step), float(value)) for step, value in record["dev"]))  # fmt: skip


def _of_index(place: Place, model: Model | None, data: Any, config: DataConfig | None, reporter: Reporter) -> Diagnosis:
    if model is None:
        raise BadInput.at("model", expected="the model that is to ask the index", found="none", do="give --model M")
    config = config or DataConfig()
    dataset = own_data(place, reporter) if data is None else with_split(as_dataset(data, config), "test", config)
    stored = stored_of(place, model, dataset, reporter)
    evidence = Evidence(stored.texts, stored=stored)
    elsewhere = "more than an index: nearfar doctor model looks for this"
    findings = tuple(failure.diagnose(evidence) if name == drift.NAME else unknown(name, elsewhere)
                     for name, failure in FAILURES.items())  # fmt: skip
    return Diagnosis(str(place.run or place.index), findings, evidence)


def own_data(place: Place, reporter: Reporter) -> Dataset | None:
    """The data of the run that an index lies in; None where it is in none, or, as is then told, they cannot be read."""
    if place.run is None:
        return None
    try:
        config = FitConfig.parse((_record_of(place.run) or {}).get("config", {}), "run").data
        return _data(place.run, None, config)
    except BadInput as error:
        reporter.say(f"data: those of the run cannot be read: {error}")
        return None


def _record_of(model: Model | None) -> dict[str, Any] | None:
    """The record of a run; None of a model that is none.

    Raises:
        BadInput: it is a run that is damaged, or was not finished.
    """
    if not isinstance(model, str | Path) or not any((Path(model) / name).exists() for name in (RECORD, STARTED)):
        return None
    record = Run.open(model).record
    if missing := [name for name in ("config", "steps", "best_step", "losses", "dev") if name not in record]:
        raise BadInput.at(Path(model) / RECORD, expected="the record of a finished run",
                          found=f"one without {', '.join(missing)}", do="run again")  # fmt: skip
    return record


def _training(settings: FitConfig) -> dict[str, Any]:
    """Settings of training, of the last stage where there are several."""
    stages = [stage for stage in settings.plan if isinstance(stage, TrainStage)]
    train = settings.train_of(stages[-1]) if stages else settings.train
    return train.model_dump(mode="json")


def _data(model: Model | None, data: Any, config: DataConfig) -> Dataset:
    if data is None and isinstance(model, str | Path) and (own := Path(model) / "data" / "beir").exists():
        data = own
    source = data if data is not None else config.source
    if source is None:
        name = "data" if model is None else name_of(model)
        near = near_folder(model) if isinstance(model, str) else None
        raise BadInput.at(name, expected="a run, or a data set to look at the model with", found="neither",
                          do=near or "check the path, or give --data FILE_OR_FOLDER")  # fmt: skip
    dataset = as_dataset(source, config)
    none = Pairs.of([])  # of a set to measure on, or of one too small for a split: the rules say what they need
    if "train" in dataset.splits and len(dataset.judged("train").queries) >= QUERIES_NEEDED:
        dataset = ensure_splits(dataset, config)
    return replace(dataset, splits={"train": none, "test": none, **dataset.splits})


def _own_queries(model: Model | None, settings: FitConfig | None) -> Sequence[str]:
    """What a run was trained on, when its data can still be read: the data at hand may be others."""
    if model is None or settings is None:
        return ()
    try:
        return queries_of(_data(model, None, settings.data), "train", MOST_TRAINING)
    except BadInput:
        return ()


def _subject(model: Model, *, evidence: Evidence, judged: Judged, reporter: Reporter, policy: Policy) -> Subject:
    """A model over the evidence's texts."""
    encoder, name = load_encoder(model, policy.device), name_of(model)
    space = Space(encoder, policy, open_store(encoder), reporter)

    def encode(texts: Sequence[str], role: Any, title: str = "encoding") -> Vectors:
        found = space.vectors(list(texts), role, title)
        if len(bad := np.flatnonzero(~np.isfinite(found).all(axis=1))):
            raise BadInput.at(f"{role} {excerpt(texts[bad[0]])}", expected="a finite vector",
                              found="NaN or infinity", do="check the model")  # fmt: skip
        return found

    start = time.perf_counter()
    documents = encode(evidence.documents, "document", f"documents by {name}")
    seconds = time.perf_counter() - start
    test, train = encode(evidence.test.queries, "query"), encode(evidence.train.queries, "query")
    ranking = Ranking.ranked(*top_k(test, documents, 10))
    ndcg = ndcg_of(ranking, judged)
    return Subject(name, test, train, documents, ndcg, encode, encoder.fingerprint(), seconds, encoder.is_static)
