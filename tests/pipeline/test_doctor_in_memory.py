"""The doctor over a model that is loaded already."""

import numpy as np
import pytest
from sentence_transformers import SentenceTransformer

from nearfar.core.errors import BadInput
from nearfar.pipeline.doctor import diagnose
from nearfar.pipeline.fit import fit
from nearfar.pipeline.progress import Silent
from tiny_models import pairs

SETTINGS = {"static.dimension": 32, "static.vocabulary": 300, "train.epochs": 1, "train.batch_size": 64}


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    out = tmp_path_factory.mktemp("memory") / "run"
    return fit(pairs(200), base="static", out=out, config=SETTINGS, reporter=Silent()).path


def test_it_has_the_findings_of_its_folder(run):
    model = SentenceTransformer(str(run / "model"), device="cpu")
    before = {name: value.clone() for name, value in model.state_dict().items()}
    found, of_folder = (diagnose(one, data=pairs(300, seed=3)) for one in (model, run / "model"))
    assert found.findings == of_folder.findings
    assert found.subject == found.evidence.model.name == "a SentenceTransformer in memory"
    assert {name for name, value in model.state_dict().items() if (value != before[name]).any()} == set()


def test_it_may_ask_an_index(run):
    model = SentenceTransformer(str(run / "model"), device="cpu")
    *_, drift = diagnose(model, index=run).findings
    assert (drift.verdict, drift.figures["fingerprints_differ"]) == ("ok", 0)
    assert np.isclose(drift.figures["cosine"], 1)


def test_without_data_it_says_what_is_missing(run):
    with pytest.raises(BadInput, match="in memory: expected a run, or a data set to look at the model with"):
        diagnose(SentenceTransformer(str(run / "model"), device="cpu"))


def test_what_is_no_model_is_refused():
    with pytest.raises(
        BadInput, match="model: expected a run, a model folder, a name or a SentenceTransformer, found int"
    ):
        diagnose(42, data=pairs(30))
