"""An index is added to and asked with its own model alone, whatever that is called."""

import json
import shutil

import pytest

from nearfar import Index
from nearfar.core.errors import FingerprintMismatch
from nearfar.encoder.load import load_encoder
from nearfar.encoder.prompts import PromptsConfig, set_prompts
from nearfar.encoder.save import save_encoder
from nearfar.index.generation import open_index
from nearfar.pipeline import indexing
from tiny_models import sentences, tiny_static


@pytest.fixture(scope="module")
def model(tmp_path_factory):
    folder = tmp_path_factory.mktemp("models") / "own"
    save_encoder(tiny_static(), folder, card="")
    return folder


@pytest.fixture
def index(model, tmp_path):
    indexing.build(str(_written(tmp_path / "first.jsonl", 0)), model, tmp_path / "index")
    return tmp_path / "index"


def _written(path, start):
    rows = [{"_id": f"d{start + i}", "text": text} for i, text in enumerate(sentences(20, start))]
    path.write_text("".join(f"{json.dumps(row)}\n" for row in rows))
    return path


def _of_another_seed(encoder):
    return tiny_static(1)


def _with_a_query_prompt(encoder):
    set_prompts(encoder.model, PromptsConfig(query="query: "))
    return encoder


def _with_a_document_prompt(encoder):
    set_prompts(encoder.model, PromptsConfig(document="text: "))
    return encoder


@pytest.mark.parametrize("change", [_of_another_seed, _with_a_query_prompt, _with_a_document_prompt])
def test_another_model_of_the_same_dimension_is_refused(model, index, tmp_path, change):
    other = tmp_path / "other"
    save_encoder(change(load_encoder(model)), other, card="")
    assert load_encoder(other).model.get_embedding_dimension() == open_index(index).table.dimension
    new = str(_written(tmp_path / "new.jsonl", 100))
    for work in (
        lambda: indexing.add(index, new, other),
        lambda: indexing.update(index, str(_changed(tmp_path / "changed.jsonl")), other),
        lambda: Index.open(index, other).search("open the file"),
    ):
        with pytest.raises(FingerprintMismatch) as caught:
            work()
        assert "\n" not in str(caught.value)
    assert sorted(open_index(index).ids) == sorted(f"d{i}" for i in range(20))
    assert len(Index.open(index, model).search("open the file", 3)) == 3


def _changed(path):
    path.write_text(json.dumps({"_id": "d3", "text": "another text"}))
    return path


def test_the_same_model_under_another_name_is_accepted(model, index, tmp_path):
    copied = shutil.copytree(model, tmp_path / "renamed")
    done = indexing.add(index, str(_written(tmp_path / "new.jsonl", 100)), copied)
    assert (done.added, done.documents) == (20, 40)
    text = sentences(20, 100)[7]
    for named in (model, copied):
        assert Index.open(index, named).search(text, 1)[0].id == "d107"
