"""What a call of `fit` works on: settings, data, encoder, run folder; all of it checked before anything is written."""

from __future__ import annotations

import copy
import json
import shutil
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any, Literal

import numpy as np
from sentence_transformers import SentenceTransformer
from tokenizers import Tokenizer

from nearfar.compress.codec import Codec
from nearfar.core.artifact import write_json
from nearfar.core.config import merged
from nearfar.core.errors import BadInput
from nearfar.core.fingerprint import digest
from nearfar.data.batches import BatchSource
from nearfar.data.beir import write_beir
from nearfar.data.dataset import Dataset
from nearfar.data.read import as_dataset
from nearfar.data.split import ensure_splits
from nearfar.data.training import training_pairs
from nearfar.encoder.config import EncoderConfig
from nearfar.encoder.encode import open_store
from nearfar.encoder.encoder import Encoder
from nearfar.encoder.examples import Examples
from nearfar.encoder.load import FRESH, load_encoder
from nearfar.encoder.precision import Policy, choose_policy
from nearfar.encoder.prompts import PromptsConfig, check_prompts, set_prompts
from nearfar.encoder.reshape import doubts, open_encoder, reshaped
from nearfar.encoder.static import StaticConfig, static_encoder, train_tokenizer
from nearfar.pipeline.config import FitConfig
from nearfar.pipeline.evaluate import Space
from nearfar.pipeline.plan import (
    check_alike,
    check_examples,
    check_recipe,
    check_train,
    ready,
    seen_texts,
    trains,
    with_one_stage,
)
from nearfar.pipeline.progress import Reporter
from nearfar.pipeline.run import RECORD
from nearfar.pipeline.teachers import supplies, teachers_identity
from nearfar.pipeline.through import codec_of, codes_identity
from nearfar.text.token_store import TokenStore
from nearfar.train.adapt import Adaptation
from nearfar.train.checkpoint import Checkpoint, Checkpoints
from nearfar.train.config import TrainConfig
from nearfar.train.data import sampler_of
from nearfar.train.distributed import Workers
from nearfar.train.memory import GIB, free_bytes
from nearfar.train.needs import check_needs
from nearfar.train.tracker import Tracker

STARTED = "started.json"  # in the run folder: the settings it was started with
IN_MEMORY = "a SentenceTransformer in memory"
Mode = Literal["new", "overwrite", "resume"]


@dataclass(frozen=True)
class Session:
    """One call of `fit`: its settings, data, encoder and where they are kept."""

    config: FitConfig
    dataset: Dataset
    source: BatchSource
    space: Space
    base: Callable[[], Encoder]  # opens the base model as it is, without what settings.encoder makes of it
    folder: Path
    identity: str
    workers: Workers
    adaptation: Adaptation
    notices: tuple[str, ...]  # about data and batches
    checkpoint: Checkpoint | None = None  # to go on from
    stage: str = ""  # name of the stage that it is a session of; "" where the run has but one
    tracker: Tracker | None = None  # of the training's curves
    codec: Codec | None = None  # to train through

    @property
    def checkpoints(self) -> Checkpoints:
        return Checkpoints(self.folder / "checkpoints" / self.stage)

    def instructed(self) -> Session:
        """The same with the prompts and examples of the configuration; before, the base has its own."""
        encoder = instructed(self.space.encoder, self.config.prompts, self.source)
        if shown := encoder.examples:
            self.space.reporter.say(f"examples: up to {shown.count} of {len(shown.pairs):,} queries before each query")
        return replace(self, space=replace(self.space, encoder=encoder))

    def resumed(self) -> Session:
        """The same, going on from the newest whole checkpoint where there is one.

        Raises:
            BadInput: all checkpoints are damaged, or made with other data, base or settings.
        """
        found = self.checkpoints.check(self.identity) if self.checkpoints.paths() else None
        return replace(self, checkpoint=found)

    def introduce(self) -> None:
        """Say what was found and chosen."""
        policy, say = self.space.policy, self.space.reporter.say
        for damaged in self.checkpoint.damaged if self.checkpoint else ():
            say(f"warning: {damaged.where}: found {damaged.found}; going on from the checkpoint before it")
        for notice in self.notices:
            say(f"data: {notice}")
        say(f"computing on {policy.device} in {policy.precision} ({policy.reason})")
        if line := self.adaptation.line():
            say(line)
        encoder = self.space.encoder
        for warning in [*self.config.train.warnings(static=encoder.is_static), *doubts(encoder, self.config.encoder)]:
            say(f"warning: {warning}")


def settings_of(config: FitConfig | Mapping[str, Any] | None, data: Any, base: Any, out: Any) -> FitConfig:
    values = config.model_dump(exclude_unset=True) if isinstance(config, FitConfig) else merged({}, config or {})
    named = {
        "out": out,
        "base": IN_MEMORY if isinstance(base, SentenceTransformer) else base,
        "data.source": data if isinstance(data, (str, Path)) else None,
    }
    changes = {key: str(value) for key, value in named.items() if value is not None}
    return FitConfig.parse(merged(values, changes), "configuration")


def refuse_existing(folder: Path) -> None:
    """Refuse a run folder that holds something."""
    if folder.exists() and (not folder.is_dir() or any(folder.iterdir())):
        found = "a finished run" if (folder / RECORD).exists() else "one that is not empty"
        raise BadInput.at(folder, expected="a new run folder", found=found,
                          do="choose another --out, go on with --resume, or replace it with --overwrite")  # fmt: skip


def refuse_to_replace(folder: Path, source: str | None) -> None:
    """Refuse to replace what is no run, and a run that holds the data."""
    if source is not None and Path(source).resolve().is_relative_to(folder.resolve()):
        raise BadInput.at(folder, expected="data outside the run to replace", found=source,
                          do="copy the data, or choose another --out")  # fmt: skip
    if not (folder / STARTED).exists():
        refuse_existing(folder)


def remove_run(folder: Path) -> None:
    """Remove an earlier run, if there is one."""
    if (folder / STARTED).exists():
        shutil.rmtree(folder)


def read_started(folder: Path) -> dict[str, Any]:
    try:
        values: dict[str, Any] = json.loads((folder / STARTED).read_text(encoding="utf-8"))
    except OSError as error:
        found = "none" if isinstance(error, FileNotFoundError | NotADirectoryError) else str(error.strerror)
        raise BadInput.at(folder, expected="a run to go on with", found=found,
                          do="start it without --resume") from None  # fmt: skip
    except ValueError as error:
        raise BadInput.at(folder / STARTED, expected="JSON", found=str(error), do="start the run again") from None
    return values


def open_session(settings: FitConfig, data: Any, base: Any, reporter: Reporter, workers: Workers) -> Session:
    """Read and check everything; nothing is written or said yet."""
    source = data if data is not None else settings.data.source
    if source is None:
        raise BadInput.at("data", expected="pairs to train on", found="none", do="give --data FILE_OR_FOLDER")
    dataset = ensure_splits(as_dataset(source, settings.data), settings.data)
    batches = training_pairs(dataset, settings.data, settings.train.needs)
    policy = _policy(settings.train, workers)
    encoder = base_encoder(base, settings, batches, policy)
    check_recipe(settings, encoder)
    settings = with_one_stage(settings, encoder)
    for train in trains(settings, encoder):
        check_train(train, encoder, len(batches), workers)
    check_prompts(encoder.model, settings.prompts, dataset.queries.tasks)
    check_examples(settings, encoder)
    if not settings.has_graph:  # a stage may yet make what a loss needs
        check_needs(batches, settings.train, supplies(settings))
    made = () if settings.has_graph else sampler_of(batches, settings.train).notices()
    notices = (*dataset.notices, *batches.notices, *made)
    identity = identity_of(settings, encoder, dataset, policy)  # without adapters: they differ by machines' rounding
    check_alike(workers, identity)
    space = Space(encoder, policy, open_store(encoder), reporter)
    original = partial(unchanged, encoder, base, settings, policy)
    codec = codec_of(settings, original)
    adaptation = ready(settings, encoder, batches, policy, workers)
    return Session(settings, dataset, batches, space, original, Path(settings.out), identity, workers, adaptation,
                   notices, codec=codec)  # fmt: skip


def identity_of(settings: FitConfig, encoder: Encoder, dataset: Dataset, policy: Policy) -> str:
    """Digest of everything that the weights after training depend on."""
    return digest([encoder.fingerprint(), dataset.digest(), settings.train.model_dump_json(exclude=UNSEEN),
                   settings.eval.model_dump_json(), settings.data.rules(),
                   settings.prompts.model_dump_json(),
                   policy.device.split(":")[0], policy.precision, str(policy.budget_tokens),
                   *teachers_identity(settings), *codes_identity(settings.train)])  # fmt: skip


def _policy(train: TrainConfig, workers: Workers) -> Policy:
    """Chosen by the first process, so that all compute alike; each on its own device."""
    chosen = workers.first(lambda: asdict(choose_policy(train.device, train.precision, train.budget_tokens)))
    return Policy(**{**chosen, "device": workers.device(chosen["device"])})


def begin(session: Session) -> Session:
    """Make the run folder: settings, token store and, where it has no file of its own, the data to go on from."""
    config, folder = session.config, session.folder
    try:
        (folder / "data").mkdir(parents=True, exist_ok=True)
        (folder / RECORD).unlink(missing_ok=True)  # of other stages: what it says is no longer so
        if config.data.source is None:
            beir = folder / "data" / "beir"
            write_beir(session.dataset, beir)
            config = FitConfig.parse(merged(config.model_dump(), {"data.source": str(beir)}), "configuration")
    except OSError as error:
        raise BadInput.at(folder, expected="a place to write to", found=str(error.strerror or error),
                          do="free some space or choose another --out") from None  # fmt: skip
    precision = {"train.precision": session.space.policy.precision}  # as resolved: a resumed run must not probe anew
    write_json(folder / STARTED, merged(config.model_dump(mode="json"), precision))
    encoder = session.space.encoder
    store = TokenStore.open(encoder.tokenizer, encoder.max_tokens, folder / "data")
    return replace(session, config=config, space=replace(session.space, store=store))


# Settings that the weights do not depend on, or that enter the identity as what they were resolved to.
UNSEEN = {"monitor", "shard", "keep_gib", "checkpoint_minutes", "device", "precision", "budget_tokens"}


def unchanged(encoder: Encoder, base: Any, settings: FitConfig, policy: Policy) -> Encoder:
    """The base model without what `settings.encoder` makes of it: what a trained model is compared with."""
    if settings.encoder == EncoderConfig():
        return encoder
    return load_encoder(base if isinstance(base, SentenceTransformer) else settings.base, policy.device)


def base_encoder(base: Any, settings: FitConfig, batches: BatchSource, policy: Policy) -> Encoder:
    """The model in memory, a fresh token table, or the model that the settings name, made as they ask for."""
    seed = settings.train.seed
    if isinstance(base, SentenceTransformer) or settings.base != FRESH:
        named = base if isinstance(base, SentenceTransformer) else settings.base
        if settings.has_graph and settings.prompts != PromptsConfig():  # its stages train copies, and leave it alone
            named = copy.deepcopy(named)
        return open_encoder(named, settings.encoder, policy.device, seed)
    tokenizer = _static_tokenizer(settings.static, batches)
    _check_table(tokenizer.get_vocab_size(), settings.static.dimension, policy.device)
    fresh = static_encoder(tokenizer, settings.static, seed, policy.device)
    return fresh if settings.encoder == EncoderConfig() else reshaped(fresh, settings.encoder)  # refuses it


def _static_tokenizer(config: StaticConfig, batches: BatchSource) -> Tokenizer:
    if config.tokenizer != "corpus":
        return Tokenizer.from_str(load_encoder(config.tokenizer).tokenizer.to_str())
    return train_tokenizer(seen_texts(batches), config.vocabulary)


def instructed(encoder: Encoder, config: PromptsConfig, batches: BatchSource) -> Encoder:
    """The encoder with the prompts of the configuration, and with examples out of the training pairs if it asks so."""
    set_prompts(encoder.model, config)
    if config.examples is None:
        return encoder
    pairs = [(batches.texts[query], tuple(batches.texts[answer] for answer in batches.relevant[query]))
             for query in np.unique(batches.queries).tolist()]  # fmt: skip
    shown = Examples(tuple(pairs), config.examples, config.example_words) if config.examples else None
    return replace(encoder, examples=shown)


def _check_table(rows: int, dimension: int, device: str) -> None:
    """Refuse a token table that the free memory cannot hold twice: as it is drawn, and scaled."""
    size, room = 2 * 4 * rows * dimension, free_bytes(device)
    if room and size > room:
        raise BadInput.at("static.dimension", expected=f"a token table for {room / GIB:.2f} GiB of free memory",
                          found=f"{rows} rows of {dimension} numbers, {size / GIB:.2f} GiB while they are made",
                          do="lower static.dimension or static.vocabulary")  # fmt: skip
