"""`nearfar tune`: what is chosen, what is written, what is kept, and that no test query is looked at."""

import json
import os
import signal

import numpy as np
import pytest
import yaml

import nearfar as package
from command_line import SMALL, nearfar, write_pairs
from nearfar.core.config import merged
from nearfar.core.errors import Interrupted
from nearfar.data.dataset import Dataset
from nearfar.pipeline.config import FitConfig
from nearfar.pipeline.halving import SHARES
from nearfar.pipeline.probe import Probe, Prober, ProbeStore
from nearfar.pipeline.progress import Silent
from nearfar.pipeline.session import open_session
from nearfar.pipeline.tune import axes_of, seconds_of
from nearfar.train.distributed import Workers
from tiny_models import pairs

BUDGET = "4s"
CONFIG = """\
base: static  # nothing pretrained
static: {dimension: 32, vocabulary: 400}

train:
  # eight at a time
  batch_size: 16
  precision: fp32
eval: {dev_documents: 50}
"""


class Clock:
    """Every probe takes a quarter of a second, however busy the machine is."""

    now = 0.0

    def perf_counter(self):
        self.now += 0.25
        return self.now


@pytest.fixture(scope="module", autouse=True)
def clock():
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("nearfar.pipeline.tune.time", Clock())
        yield


@pytest.fixture(scope="module")
def data(tmp_path_factory):
    return write_pairs(tmp_path_factory.mktemp("data") / "pairs.jsonl", 240)


@pytest.fixture(scope="module")
def made(data, tmp_path_factory):
    """A folder with a configuration, and what one call made there."""
    folder = tmp_path_factory.mktemp("tune")
    (folder / "mine.yaml").write_text(CONFIG)
    return folder, tuned(folder, data)


def tuned(folder, data, budget=BUDGET, **more):
    arguments = [part for key, value in more.items() for part in (f"--{key}", value)]
    done = nearfar("tune", "--config", folder / "mine.yaml", "--data", data, "--budget", budget, "--out",
                   folder / "tuned.yaml", "--json", *arguments)  # fmt: skip
    assert done.code == 0, done.err
    return json.loads(done.out)


def test_it_chooses_and_says_why(made, data):
    folder, record = made
    given = {"learning_rate": 0.005, "temperature": 0.05, "batch_size": 16, "loss": "info_nce"}
    assert record["given"] == given
    assert record["chosen"].keys() == given.keys()
    assert record["fresh"] == len(record["probes"]) > 3
    assert record["seconds"] == 0.25 * len(record["probes"]) <= 4
    text = (folder / "tuned.yaml").read_text()
    kept = [line for line in text.splitlines() if "# tuned:" not in line]
    assert [line for line in CONFIG.splitlines() if "batch_size" not in line and line not in kept] == []
    values = yaml.safe_load(text)
    assert values == merged(yaml.safe_load(CONFIG), {"data.source": str(data), "train": record["chosen"]})
    for name, lines in record["why"].items():
        place = text.index(f"  {name.removeprefix('train.')}: ")
        assert text[:place].endswith("".join(f"  # tuned: {line}\n" for line in lines))
    assert any(line.startswith("against ") for line in record["why"]["train.learning_rate"])
    assert record["verdict"] in text


def test_the_probes_are_better_where_it_says_so(made):
    _, record = made
    top = max(probe["share"] for probe in record["probes"])
    found = {json.dumps(probe["settings"]): probe["ndcg@10"] for probe in record["probes"] if probe["share"] == top}
    assert found[json.dumps(record["chosen"])] == max(found.values())


def test_a_second_call_repeats_nothing_and_a_larger_budget_goes_on(made, data):
    folder, record = made
    before = (folder / "tuned.yaml").read_text()
    again = tuned(folder, data)
    assert again == record | {"fresh": 0}
    assert (folder / "tuned.yaml").read_text() == before
    more = tuned(folder, data, budget="8s")
    assert 0 < more["fresh"] < len(more["probes"])
    (store,) = (folder / ".nearfar" / "probes").iterdir()
    lines = store.read_text().splitlines()
    assert len(lines) == len({json.loads(line)["key"] for line in lines}) >= record["fresh"] + more["fresh"]


def test_other_settings_data_and_seeds_have_probes_of_their_own(made, data):
    folder, _ = made
    other = tuned(folder, data, budget="2s", **{"train.epochs": 1})
    assert other["fresh"] == len(other["probes"])
    assert len(list((folder / ".nearfar" / "probes").iterdir())) == 2
    same = tuned(folder, data, budget="2s", **{"train.temperature": 0.07})  # only another place to start from
    assert same["given"]["temperature"] == 0.07
    assert len(list((folder / ".nearfar" / "probes").iterdir())) == 2


def test_what_is_written_is_what_fit_takes(made, data, tmp_path):
    folder, _ = made
    done = nearfar("fit", "--config", folder / "tuned.yaml", "--out", tmp_path / "run", "--json")
    assert done.code == 0, done.err
    config = json.loads(done.out)["config"]
    chosen = yaml.safe_load((folder / "tuned.yaml").read_text())["train"]
    assert {name: config["train"][name] for name in chosen} == chosen


def test_without_a_configuration_and_as_a_table(data, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    options = [part for key, value in SMALL.items() for part in (f"--{key}", value)]
    done = nearfar("tune", "--data", data, "--base", "static", "--budget", "2s", *options)
    assert done.code == 0, done.err
    assert "fit with: nearfar fit --config tuned.yaml" in done.out
    assert done.out.split()[0] == "pairs"
    assert yaml.safe_load((tmp_path / "tuned.yaml").read_text())["static"] == {"dimension": 32, "vocabulary": 400}


@pytest.mark.parametrize(
    ("arguments", "expected"),
    [
        (["--budget", "soon"], "budget: expected a time such as 90s, 20m or 2h, found 'soon'; write one"),
        (["--budget", "0m"], "budget: expected a time such as 90s, 20m or 2h, found '0m'; write one"),
        (["--budget", "0.0001s"], "for two of the shortest probes to compare, found 0.0001s; give more"),
        (["--out", "mine.yaml"], "expected a new file, or one that 'nearfar tune' wrote, found a file of your own"),
        (["--out", "."], "found a folder"),
        (["--budgt", "3s"], "did you mean"),
        (["--train.temprature", "3"], "did you mean 'temperature'?"),
    ],
)
def test_bad_input_is_one_line(arguments, expected, data, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "mine.yaml").write_text(CONFIG)
    done = nearfar("tune", "--config", "mine.yaml", "--data", data, *arguments)
    assert done.code == 2
    assert expected in done.lines[-1]
    assert (tmp_path / "mine.yaml").read_text() == CONFIG
    assert [path.name for path in tmp_path.iterdir()] == ["mine.yaml"]


def test_budgets():
    assert [seconds_of(text) for text in ("90s", "20m", "1.5h", "7", 3)] == [90, 1200, 5400, 7, 3]


class PressesCtrlC(Silent):
    """Presses Ctrl-C when so many probes have been told."""

    def __init__(self, after):
        self.after = after

    def say(self, line):
        self.after -= " of the pairs: " in line
        if self.after == 0:
            os.kill(os.getpid(), signal.SIGINT)


def test_ctrl_c_keeps_finished_probes(tmp_path):
    settings = {"config": SMALL, "base": "static", "out": tmp_path / "t.yaml", "budget": 600}
    with pytest.raises(Interrupted, match=r"interrupted; the 3 probes that are finished are kept"):
        package.tune(pairs(240), reporter=PressesCtrlC(3), **settings)
    assert not (tmp_path / "t.yaml").exists()
    (store,) = (tmp_path / ".nearfar" / "probes").iterdir()
    kept = len(store.read_text().splitlines())
    assert kept == 3
    found = package.tune(pairs(240), reporter=Silent(), **settings | {"budget": 3})
    assert sum(map(len, found.probes.values())) - found.fresh >= kept
    assert found.config.train.batch_size == found.settings["batch_size"]


def test_no_test_query_is_looked_at(monkeypatch):
    asked, judged = set(), Dataset.judged
    monkeypatch.setattr(Dataset, "judged", lambda self, split: asked.add(split) or judged(self, split))
    package.tune(pairs(240), config=SMALL, base="static", budget=1.5, reporter=Silent())
    assert asked == {"dev"}


@pytest.fixture(scope="module")
def prober():
    labelled = [{"query": q, "positive": d, "source": "few" if i % 40 == 0 else "many"}
                for i, (q, d) in enumerate(pairs(240))]  # fmt: skip
    from nearfar.data.read import from_records

    config = FitConfig.parse(merged({"base": "static"}, SMALL), "test")
    session = open_session(config, from_records(labelled), None, Silent(), Workers())
    return Prober(session, tuple(axis.name for axis in axes_of(session)))


def test_a_probe_of_all_pairs_is_the_run_that_fit_makes(prober, tmp_path):
    dataset = prober.session.dataset
    settings = {"learning_rate": 0.01, "batch_size": 16}
    probes = [prober.run(settings, share) for share in (1.0, SHARES[0], 1.0)]
    config = merged(prober.session.config.model_dump(exclude_unset=True), {"train": settings})
    record = package.fit(dataset, config=config, out=tmp_path / "run", reporter=Silent()).record
    assert probes[0] == probes[2]  # whatever was probed in between
    assert probes[0].mean == pytest.approx(max(metric for _, metric in record["dev"]))
    assert probes[0].steps == record["steps"]


def test_the_pairs_of_a_share_are_among_those_of_a_larger_one(prober):
    parts = [set(prober.pairs(share).tolist()) for share in SHARES]
    assert parts[0] < parts[1] == set(range(len(prober.session.source)))
    names, labels = prober.session.source.labels["source"]
    for share, part in zip(SHARES, parts, strict=True):
        counts = np.bincount(labels[sorted(part)], minlength=len(names))
        assert counts.tolist() == np.ceil(np.bincount(labels) * share).tolist()


def test_settings_that_cannot_be_served_are_told_and_left(prober):
    probe = prober.run({"temperature": -1.0}, SHARES[0])
    assert not probe.scores
    assert "temperature" in probe.problem


def test_a_line_cut_short_by_a_crash_costs_one_probe(tmp_path):
    store = ProbeStore(tmp_path / "probes.jsonl")
    probes = {name: Probe({"n": name}, 1.0, (0.5, 0.25), 1.5, 3) for name in "abc"}
    store.add("a", probes["a"])
    store.add("b", probes["b"])
    whole = store.path.read_bytes()
    store.path.write_bytes(whole[:-9])
    store = ProbeStore(store.path)
    assert store.known == {"a": probes["a"]}
    store.add("c", probes["c"])
    assert ProbeStore(store.path).known == {"a": probes["a"], "c": probes["c"]}


def test_negatives_and_losses_are_tried_where_the_data_can_feed_them(tmp_path, monkeypatch):
    from nearfar.core.errors import BadInput
    from nearfar.losses import LOSSES, Loss

    def starved(*_, **__):
        raise BadInput.at("loss needy", expected="teacher scores", found="none", do="run 'nearfar mine'")

    monkeypatch.setitem(LOSSES, "needy", Loss(starved, "nothing", "nowhere", separable=True))
    monkeypatch.setattr("nearfar.pipeline.tune.RANKING", ("info_nce", "needy"))
    found = pairs(240)
    rows = [(query, positive, found[i - 7][1], found[i - 9][1]) for i, (query, positive) in enumerate(found)]
    tuned = package.tune(rows, config=SMALL, base="static", budget=12, out=tmp_path / "t.yaml", reporter=Silent())
    tried = [settings for probes in tuned.probes.values() for settings in (p.settings for p in probes.values())]
    assert {settings["hard_negatives"] for settings in tried} >= {0, 1, 2}
    assert {settings["loss"] for settings in tried} == {"info_nce", "needy"}
    assert tuned.settings["loss"] == "info_nce"
    text = (tmp_path / "t.yaml").read_text()
    assert "# tuned: not needy: loss needy: expected teacher scores, found none; run 'nearfar mine'" in text


def test_a_model_in_memory_is_tuned_and_not_named(tmp_path, static):
    before = {name: tensor.clone() for name, tensor in static.model.state_dict().items()}
    tuned = package.tune(pairs(240), base=static.model, config={"train.batch_size": 8}, budget=2,
                         out=tmp_path / "t.yaml", reporter=Silent())  # fmt: skip
    assert yaml.safe_load((tmp_path / "t.yaml").read_text()) == {"train": tuned.settings}
    assert all(np.array_equal(tensor, before[name]) for name, tensor in static.model.state_dict().items())
