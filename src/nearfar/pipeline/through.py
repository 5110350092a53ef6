"""The codes that a run trains through: read and checked against its base, and written again when they have learnt."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from nearfar.compress.codec import Codec, Vectors
from nearfar.compress.learn.start import trainable
from nearfar.core.artifact import identity
from nearfar.core.errors import BadInput
from nearfar.encoder.encoder import Encoder
from nearfar.index.codes import KIND, CodedIndex, codes_path, open_codes, write_codes
from nearfar.index.generation import KIND as INDEX_KIND
from nearfar.pipeline.config import FitConfig
from nearfar.pipeline.stages import TrainStage
from nearfar.train.codes import Learnt
from nearfar.train.config import TrainConfig

JOINT = "trained"  # the key of codes that learnt with a model: 'compress' cannot make them again


def codec_of(settings: FitConfig, base: Callable[[], Encoder]) -> Codec | None:
    """The codec that the run trains through; None where it trains on vectors.

    Raises:
        BadInput: there are no such codes, they are of another model than the base, or cannot learn.
    """
    if settings.has_graph and any("codes" in stage.changes for stage in settings.plan if isinstance(stage, TrainStage)):
        raise BadInput.at("train.codes", expected="settings of the whole run", found="those of a stage",
                          do="leave it out of the stages")  # fmt: skip
    if settings.train.codes.path is None:
        return None
    if settings.has_graph:
        raise BadInput.at("train.codes.path", expected="a run of one stage of training", found="several stages",
                          do="train in stages first, and make this run of that one")  # fmt: skip
    path = Path(settings.train.codes.path)
    coded = open_codes(path)
    if (found := base().fingerprint()) != coded.fingerprint:
        do = "give the run that they are in as --base"
        raise BadInput.at("train.codes.path", expected=f"codes of the base model, {found}",
                          found=f"those of model {coded.fingerprint}", do=do)  # fmt: skip
    trainable(coded.codec)  # refuses what cannot learn
    return coded.codec


def codes_identity(train: TrainConfig) -> list[str]:
    """Digest of the codes that the weights after training depend on, if any."""
    return [identity(Path(train.codes.path), KIND)] if train.codes.path else []


def keep_codes(folder: Path, learnt: Learnt, vectors: Vectors, fingerprint: str, train: TrainConfig) -> None:
    """Write the codes of a run's index, of documents (D, d), by the codec that learnt with its model."""
    index, codes = folder / "index", learnt.codes(vectors)
    coded = CodedIndex(learnt.name, learnt.codec, codes, fingerprint, identity(index, INDEX_KIND))
    facts = {"key": JOINT, "fit_seconds": 0.0, "unlabelled": False, "sides": train.sides}
    write_codes(codes_path(index, codes.shape[1]), coded, facts, overwrite=True)
