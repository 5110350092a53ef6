"""A codec's folder: what it says, whom it refuses, what opening it costs. That codecs come back is theirs to show."""

import subprocess
import sys

import numpy as np
import pytest

from nearfar.compress.codec import Sample
from nearfar.compress.registry import fit
from nearfar.core.artifact import read_meta
from nearfar.core.errors import BadInput, FingerprintMismatch
from nearfar.index.codec_folder import KIND, open_codec, save_codec

VECTORS = np.random.default_rng(0).normal(size=(300, 16)).astype(np.float32)
OPENING = "import sys; from pathlib import Path; from nearfar.index.codec_folder import open_codec; \
print(open_codec(Path(sys.argv[1])).size_bytes, 'torch' in sys.modules)"


@pytest.fixture
def codec():
    return fit("pq", Sample(VECTORS, VECTORS[:0]), 4)


@pytest.fixture
def folder(codec, tmp_path):
    save_codec(tmp_path / "codec", "pq", codec, "f00d")
    return tmp_path / "codec"


def test_the_manifest_says_what_it_is(folder):
    assert read_meta(folder, KIND) == {"codec": "pq", "fingerprint": "f00d", "dimension": 16, "bytes": 4}


def test_another_model_is_refused(folder):
    with pytest.raises(FingerprintMismatch, match=r"expected vectors of model f00d, found those of model beef; .*fit"):
        open_codec(folder, "beef")
    assert open_codec(folder).dimension == 16


def test_a_damaged_folder_is_refused(folder):
    (folder / "state.npz").write_bytes(b"")
    with pytest.raises(BadInput, match=r"state\.npz: expected the bytes the manifest names"):
        open_codec(folder)


def test_what_exists_is_kept_unless_told(folder, codec):
    with pytest.raises(BadInput, match="one that exists"):
        save_codec(folder, "pq", codec, "beef")
    save_codec(folder, "pq", codec, "beef", overwrite=True)
    assert open_codec(folder, "beef").size_bytes == 4


def test_an_unknown_name_is_refused_before_writing(codec, tmp_path):
    with pytest.raises(BadInput, match="did you mean 'pq'"):
        save_codec(tmp_path / "codec", "pqq", codec, "f00d")
    assert not (tmp_path / "codec").exists()


def test_opening_needs_no_torch(folder):
    done = subprocess.run([sys.executable, "-c", OPENING, str(folder)], capture_output=True, text=True, check=True)
    assert done.stdout.split() == ["4", "False"]
