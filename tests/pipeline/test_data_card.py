"""The card of a run's data says what the data hold."""

import nearfar
from command_line import SMALL
from nearfar.data.config import DataConfig
from nearfar.data.dataset import Dataset, Pairs, Texts
from nearfar.pipeline.data_card import UNKNOWN, data_card
from tiny_models import pairs


def test_counts_and_leaks_are_those_of_the_data():
    queries = Texts(["a", "b", "c"], ["one", "two", "One"])
    documents = Texts(["x", "y", "z"], ["first", "second", "third"])
    splits = {"train": Pairs.of([(0, 0, 1.0), (1, 1, 1.0), (1, 2, -1.0)]), "test": Pairs.of([(2, 2, 1.0)])}
    card = data_card(Dataset("made", queries, documents, splits, ("left out 3 rows",)), DataConfig(licence="CC0"))
    assert "| train | 2 | 2 | 1 |" in card
    assert "queries in more than one split: 1" in card
    assert "licence: CC0" in card
    assert "left out 3 rows" in card


def test_a_run_has_one(tmp_path):
    run = nearfar.fit(pairs(60), base="static", out=tmp_path / "run", config=SMALL)
    card = (run.path / "data" / "CARD.md").read_text()
    assert "origin: given in memory" in card
    assert UNKNOWN in card
