"""Hostile folders are refused in one line, and nothing of theirs runs."""

import shutil

import pytest
from case import CANARY, put_pickle
from index_cases import CASES as INDEXES
from model_cases import CASES as MODELS

MOST_S, MOST_KB = 5, 600_000
STARTS = {"reranker": "reranker", "multi": "multi", "sparse": "sparse", "config": "config", "unpickled": "bare"}


@pytest.fixture(scope="module")
def before(good, watcher):
    """What each kind of good folder gives."""
    known = {}

    def given(opens, start):
        if (opens, start) not in known:
            known[opens, start] = watcher.ask({"opens": opens, "folder": str(good / start)})
        return known[opens, start]

    return given


@pytest.mark.parametrize("case", [*MODELS, *INDEXES], ids=lambda case: case.name)
def test_nothing_runs(case, good, watcher, before, tmp_path):
    opens, _, start = case.opens.partition(":")
    start = start or STARTS.get(opens, "run")
    folder = shutil.copytree(good / start, tmp_path / "hostile")
    case.make(folder)
    expected = before(opens, start) if case.comes == "as before" else {}
    done = watcher.ask({"opens": opens, "folder": str(folder)})
    assert not (tmp_path / CANARY).exists(), "the payload ran"
    assert done["seen"] == []
    assert done["seconds"] < MOST_S
    assert done["grown_kb"] < MOST_KB
    if case.comes == "opened":
        assert done["code"] == 0, done["err"]
        return
    if case.comes == "as before":
        assert (done["code"], done["out"]) == (0, expected["out"]), done["err"]
        return
    assert done["code"] == 2, done["err"]
    assert done["err"].startswith("nearfar: ")
    assert len(done["err"].strip().splitlines()) == 1
    assert len(done["err"]) < 800


def test_what_is_watched_for_would_be_seen(good, watcher, tmp_path):
    folder = shutil.copytree(good / "bare", tmp_path / "hostile")
    put_pickle("pytorch_model.bin")(folder)
    done = watcher.ask({"opens": "unpickled", "folder": str(folder)})
    assert (tmp_path / CANARY).exists()
    assert [one.split()[0] for one in done["seen"]] == ["open", "pickle.find_class", "os.system"]
