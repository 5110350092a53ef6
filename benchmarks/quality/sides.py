"""Both sides' training, from pairs in memory and a loaded model to the last step."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from exam import Curve, Exam

from nearfar.data.batches import batch_source
from nearfar.data.dataset import Dataset
from nearfar.encoder.encode import open_store
from nearfar.encoder.load import load_encoder
from nearfar.encoder.precision import choose_policy
from nearfar.train.checkpoint import Checkpoints
from nearfar.train.config import TrainConfig
from nearfar.train.data import training_data
from nearfar.train.estimate import with_kept_memory
from nearfar.train.loop import Callbacks, Trainer

WARM_UP = 0.1  # of the steps


@dataclass(frozen=True)
class Settings:
    """What both sides have in common; the peer's rate can be set apart."""

    batch_size: int
    epochs: int
    points: int  # of a curve, after the one before training
    learning_rate: float = 5e-5  # nearfar's default, and that of the peer's trainer
    peer_learning_rate: float = 5e-5
    seed: int = 0


def nearfar(dataset: Dataset, exam: Exam, settings: Settings) -> Curve:
    """Train with nearfar's defaults but for the settings."""
    encoder = load_encoder("minilm")
    curve = Curve("nearfar", exam)
    config = TrainConfig(
        batch_size=settings.batch_size,
        epochs=settings.epochs,
        learning_rate=settings.learning_rate,
        evaluations=settings.points,
        patience=settings.points + 1,  # to the end, as the peer
        warmup=WARM_UP,
        seed=settings.seed,
    )
    policy = with_kept_memory(choose_policy("cpu"), config)
    data = training_data(batch_source(dataset), encoder, open_store(encoder), config)
    callbacks = Callbacks(on_eval=lambda trained: curve.measure(trained.model))
    with TemporaryDirectory() as folder:
        Trainer(encoder, data, config, policy, Checkpoints(Path(folder)), "", callbacks).run()
    return curve


def peer(dataset: Dataset, exam: Exam, settings: Settings) -> Curve:
    """Train with SentenceTransformerTrainer and its cached loss, as its documentation recommends."""
    from datasets import Dataset as Rows
    from sentence_transformers import SentenceTransformerTrainer, SentenceTransformerTrainingArguments
    from sentence_transformers.sentence_transformer.losses import CachedMultipleNegativesRankingLoss
    from sentence_transformers.sentence_transformer.training_args import BatchSamplers

    model = load_encoder("minilm").model
    curve = Curve("peer", exam)
    train = dataset.splits["train"]
    rows = {"query": [dataset.queries.texts[i] for i in train.queries],
            "positive": [dataset.documents.texts[i] for i in train.documents]}  # fmt: skip
    with TemporaryDirectory() as folder:
        arguments = SentenceTransformerTrainingArguments(
            output_dir=folder,
            num_train_epochs=settings.epochs,
            per_device_train_batch_size=settings.batch_size,
            learning_rate=settings.peer_learning_rate,
            warmup_steps=WARM_UP,
            batch_sampler=BatchSamplers.NO_DUPLICATES,
            seed=settings.seed,
            use_cpu=True,
            save_strategy="no",
            logging_strategy="no",
            report_to="none",
            disable_tqdm=True,
        )
        SentenceTransformerTrainer(
            model=model,
            args=arguments,
            train_dataset=Rows.from_dict(rows),
            loss=CachedMultipleNegativesRankingLoss(model),
            callbacks=[_observer(lambda: curve.measure(model), settings.points)],
        ).train()
    return curve


def _observer(measure: Callable[[], float], points: int) -> Any:
    """A callback of its trainer that measures before training and at equal distances, the last time at the end."""
    from transformers import TrainerCallback

    class Observer(TrainerCallback):
        def on_train_begin(self, *_: Any, **__: Any) -> None:
            measure()

        def on_step_end(self, _args: Any, state: Any, _control: Any, **_: Any) -> None:
            count = min(points, state.max_steps)
            if state.global_step * count // state.max_steps > (state.global_step - 1) * count // state.max_steps:
                measure()

    return Observer()
