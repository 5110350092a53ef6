"""Stages of a run: what they are made of, what is not done twice, and what a stopped one goes on from."""

import json
import shutil
import signal
import subprocess
import sys

import pytest
from sentence_transformers import SentenceTransformer
from test_resume import assert_the_same, wait_for

import nearfar
from command_line import SMALL, finished, options, spawn, write_pairs
from command_line import nearfar as call
from nearfar.core.config import merged
from nearfar.core.errors import BadInput, NearfarError
from nearfar.data.batches import batch_source
from nearfar.data.config import DataConfig
from nearfar.data.read import as_dataset
from nearfar.data.split import ensure_splits
from nearfar.encoder.load import load_encoder
from nearfar.encoder.merge import delta_guided, uniform
from nearfar.encoder.precision import Policy
from nearfar.pipeline.config import FitConfig
from nearfar.pipeline.plan import trains, with_one_stage
from nearfar.pipeline.recipes import RECIPES
from nearfar.pipeline.session import base_encoder
from nearfar.pipeline.works import WORKS
from nearfar.train.config import STATIC_LEARNING_RATE, TRANSFORMER_LEARNING_RATE
from tiny_models import pairs, tiny_static

TRAIN = {"kind": "train", "epochs": 1}
STAGES = [TRAIN, {"kind": "mine", "relative_margin": 0.05}, {**TRAIN, "rate": 0.5, "hard_negatives": 2}]
QUIET = {"train.checkpoint_minutes": 0, "train.evaluations": 3}


class Lines:
    """A reporter that keeps what is said."""

    def __init__(self):
        self.lines = []

    def say(self, line):
        self.lines.append(line)

    def bar(self, title, total):
        from nearfar.pipeline.progress import Silent

        return Silent().bar(title, total)

    def made(self):
        """Numbers of the stages done in this call."""
        return [int(line.split()[1]) for line in self.lines if line.startswith("stage ") and " s" in line]

    def found(self):
        """Numbers of the stages that were there already."""
        return [int(line.split()[1]) for line in self.lines if line.endswith("made before")]


def fit(out, stages, *, mode="new", **changes):
    told = Lines()
    config = {**SMALL, **QUIET, "stages": stages, **{key.replace("__", "."): value for key, value in changes.items()}}
    run = nearfar.fit(pairs(80), base="static", out=out, config=config, mode=mode, reporter=told)
    return run, told


@pytest.fixture(scope="module")
def whole(tmp_path_factory):
    """A finished run of three stages."""
    return fit(tmp_path_factory.mktemp("whole") / "run", STAGES)


@pytest.fixture
def run(whole, tmp_path):
    """A copy of it, to change."""
    shutil.copytree(whole[0].path, tmp_path / "run")
    return tmp_path / "run"


def folders(run):
    return {path.name: path.stat().st_mtime_ns for path in (run / "stages").iterdir()}


def names(run):
    return [line["folder"] for line in run.record["stages"]]


def test_every_stage_has_a_folder_and_a_line(whole):
    run, told = whole
    assert told.made() == [1, 2, 3]
    assert [line["kind"] for line in run.record["stages"]] == ["train", "mine", "train"]
    assert sorted(names(run)) == sorted(folders(run.path))
    first, mined, last = run.record["stages"]
    assert first["seconds"] > 0
    assert (mined["dev_before"], mined["dev_after"]) == (None, None)
    assert last["dev_before"] == first["dev_after"]
    assert last["dev_after"] >= last["dev_before"]
    assert run.record["steps"] == len(run.record["losses"]) == 2 * 8
    assert run.record["dev"][0][1] == first["dev_before"]
    assert run.record["train_seconds"] == pytest.approx(sum(line["seconds"] for line in run.record["stages"]), abs=0.01)
    assert not (run.path / "checkpoints").exists()
    model = SentenceTransformer(str(run.path / "stages" / names(run)[0] / "model"))
    assert model.encode("stone").shape == (32,)
    report = (run.path / "report.html").read_text()
    assert f"; mine {mined['seconds']:.0f} s; train {last['seconds']:.0f} s, dev {last['dev_before']:.3f} to " in report


def test_the_stages_are_what_they_are_made_of_by_hand(whole, tmp_path):
    """Train, mine with that model, train again: three calls of their own give the same weights."""
    first = nearfar.fit(pairs(80), base="static", out=tmp_path / "first",
                        config={**SMALL, **QUIET, "train.epochs": 1})  # fmt: skip
    mined = nearfar.mine(str(first.path), str(first.path / "data" / "beir"), out=tmp_path / "mined",
                         config={"relative_margin": 0.05, "precision": "fp32"})  # fmt: skip
    rate = STATIC_LEARNING_RATE / 2
    last = nearfar.fit(str(mined.path), base=str(first.path), out=tmp_path / "last",
                       config={**SMALL, **QUIET, "train.epochs": 1, "train.hard_negatives": 2,
                               "train.learning_rate": rate})  # fmt: skip
    assert last.record["fingerprint"] == whole[0].record["fingerprint"]
    assert last.record["metrics"]["model"] == whole[0].record["metrics"]["model"]
    assert mined.record["negatives"] > 0


def test_a_changed_stage_does_not_redo_those_before_it(run, whole):
    before = folders(run)
    changed, told = fit(run, [*STAGES[:2], {**STAGES[2], "rate": 0.25}], mode="resume")
    assert (told.found(), told.made()) == ([1, 2], [3])
    kept = names(whole[0])[:2]
    assert names(changed)[:2] == kept
    after = folders(run)
    assert {name: after[name] for name in kept} == {name: before[name] for name in kept}
    assert changed.record["fingerprint"] != whole[0].record["fingerprint"]
    assert changed.record["config"]["stages"][2]["rate"] == 0.25
    back, told = fit(run, STAGES, mode="resume")
    assert (told.found(), told.made()) == ([1, 2, 3], [])
    assert back.record["fingerprint"] == whole[0].record["fingerprint"]
    assert back.record["metrics"] == whole[0].record["metrics"]


@pytest.mark.parametrize(
    ("change", "made"), [({"train__temperature": 0.1}, [1, 2, 3]), ({"train__checkpoint_minutes": 5}, [])]
)
def test_what_a_stage_depends_on_makes_it_anew(run, change, made):
    _, told = fit(run, STAGES, mode="resume", **change)
    assert told.made() == made


def test_a_finished_run_is_left_alone(run):
    before = {path: path.stat().st_mtime_ns for path in run.rglob("*")}
    done = call("fit", "--out", run, "--resume")
    assert done.err == f"{run} is finished already\n"
    assert {path: path.stat().st_mtime_ns for path in run.rglob("*")} == before


def test_a_damaged_output_is_made_again(run, whole):
    folder = run / "stages" / names(whole[0])[1]
    (folder / "train.npz").write_bytes(b"x")
    again, told = fit(run, [*STAGES[:2], {**STAGES[2], "rate": 0.25}], mode="resume")
    assert (told.found(), told.made()) == ([1], [2, 3])
    assert any("found other bytes; made again" in line for line in told.lines)
    assert names(again)[:2] == names(whole[0])[:2]


def test_mined_negatives_take_the_place_of_earlier_ones(tmp_path):
    mine = {"kind": "mine", "model": "bm25", "negatives": 1}
    twice, _ = fit(tmp_path / "twice", [mine, {**mine, "negatives": 2}, TRAIN])
    once, _ = fit(tmp_path / "once", [{**mine, "negatives": 2}, TRAIN])
    assert twice.record["fingerprint"] == once.record["fingerprint"]


def test_a_failing_stage_keeps_those_before_it(run, whole, monkeypatch):
    before = folders(run)

    def fails(*_):
        raise BadInput.at("mine", expected="luck", found="none", do="try again")

    monkeypatch.setattr(WORKS["mine"], "make", fails)
    stages = [STAGES[0], {**STAGES[1], "negatives": 2}, STAGES[2]]
    with pytest.raises(NearfarError) as error:
        fit(run, stages, mode="resume")
    assert str(error.value) == (
        "stage 2 (mine): mine: expected luck, found none; try again; what the 1 before it made is kept; "
        "go on with --resume"
    )
    assert folders(run) == before
    assert not (run / "run.json").exists()
    monkeypatch.undo()
    _, told = fit(run, stages, mode="resume")
    assert (told.found(), told.made()) == ([1], [2, 3])


def test_a_merge_of_the_models_so_far(run, whole):
    """Added as a fourth stage: the first three stay, and it is the soup of their two models made by hand."""
    merged_, told = fit(run, [*STAGES, {"kind": "merge", "method": "uniform"}], mode="resume")
    assert (told.found(), told.made()) == ([1, 2, 3], [4])
    models = [load_encoder(run / "stages" / names(whole[0])[number] / "model") for number in (0, 2)]
    assert merged_.record["fingerprint"] == uniform(models).encoder.fingerprint()
    line, before = merged_.record["stages"][3], merged_.record["stages"][2]
    assert line["dev_before"] == pytest.approx(before["dev_after"])
    again, told = fit(run, [*STAGES, {"kind": "merge", "method": "greedy", "with_base": True}], mode="resume")
    assert (told.found(), told.made()) == ([1, 2, 3], [4])
    assert again.record["stages"][3]["dev_after"] >= max(before["dev_after"], before["dev_before"])


def test_a_delta_guided_merge_starts_from_the_base(run, whole, tmp_path):
    found, _ = fit(run, [*STAGES, {"kind": "merge", "method": "delta"}], mode="resume")
    dataset = as_dataset(pairs(80))
    settings = FitConfig.parse(merged({"base": "static"}, SMALL), "options")
    base = base_encoder(None, settings, batch_source(ensure_splits(dataset, DataConfig())), Policy())
    models = [load_encoder(run / "stages" / names(whole[0])[number] / "model") for number in (0, 2)]
    assert found.record["fingerprint"] == delta_guided(models, base).encoder.fingerprint()


@pytest.fixture(scope="module")
def data(tmp_path_factory):
    return write_pairs(tmp_path_factory.mktemp("data") / "pairs.jsonl")


ARGUMENTS = ["--stages", json.dumps([{**TRAIN, "epochs": 2}, STAGES[1], {**TRAIN, "epochs": 2}]),
             *options(**QUIET)]  # fmt: skip


def inside(run, stage, step):
    """Whether the checkpoint of this step, or a later one, of the stage is there."""
    return any(int(path.name[5:]) >= step for path in run.glob(f"checkpoints/{stage}-*/step-*"))


def test_a_stopped_run_goes_on_inside_its_stage(data, tmp_path):
    """Ctrl-C in the first stage, kill -9 in the third: the weights of a run that was left alone."""
    fit_ = ["fit", "--base", "static", "--data", data, *ARGUMENTS]
    done = finished(spawn(*fit_, "--out", tmp_path / "whole"))
    assert done.code == 0, done.err
    run = tmp_path / "run"
    process = spawn(*fit_, "--out", run)
    for stage, sent, code in ((1, signal.SIGINT, 130), (3, signal.SIGKILL, -signal.SIGKILL)):
        wait_for(lambda stage=stage: inside(run, stage, 4), process)
        process.send_signal(sent)
        stopped = finished(process)
        assert stopped.code == code, stopped.err
        process = spawn("fit", "--out", run, "--resume")
    done = finished(process)
    assert done.code == 0, done.err
    assert [line for line in done.err.splitlines() if line.endswith("made before")] == [
        "stage 1 of 3, train: made before", "stage 2 of 3, mine: made before"
    ]  # fmt: skip
    assert "resumed after step " in done.err
    assert_the_same(run, tmp_path / "whole")
    assert not (run / "checkpoints").exists()
    assert names(nearfar.Run.open(run)) == names(nearfar.Run.open(tmp_path / "whole"))


@pytest.mark.parametrize("name", RECIPES)
def test_every_recipe_runs(name, tmp_path, tiny_folder):
    recipe = RECIPES[name]
    assert recipe.purpose and recipe.source  # noqa: PT018
    config = {**SMALL, "recipe": name, "train.epochs": 1, "eval.dev_documents": 30, "rerank.base": str(tiny_folder),
              "rerank.evaluations": 1, "rerank.depth": 10}  # fmt: skip
    run = nearfar.fit(pairs(60), base="static", out=tmp_path / "run", config=config, reporter=Lines())
    assert run.record["config"]["recipe"] == name
    stages = run.record.get("stages", [])
    kinds = [stage.kind for stage in recipe.stages]
    assert [line["kind"] for line in stages] == (kinds if len(kinds) > 1 else [])
    assert all("batch_size" not in line["settings"] for line in stages)  # as given here


def test_a_record_makes_the_same_run(tmp_path):
    for recipe in ("quick", "balanced"):
        config = {**SMALL, "recipe": recipe, "train.epochs": 3, "data.source": str(write_pairs(tmp_path / "p.jsonl"))}
        settings = FitConfig.parse(merged({}, config), "options")
        static = with_one_stage(settings, tiny_static())
        again = FitConfig.parse(json.loads(static.model_dump_json()), "run.json")
        assert trains(again, tiny_static()) == trains(static, tiny_static()) == trains(settings, tiny_static())
        assert again.recipe == recipe


def test_more_hard_negatives_as_the_model_improves():
    for name in ("balanced", "strong"):
        trained = [stage.changes["hard_negatives"] for stage in RECIPES[name].stages if stage.kind == "train"]
        assert trained == sorted(set(trained))
        assert set(trained) <= {1, 2, 3}


def test_one_stage_of_training_is_a_plain_run(tmp_path):
    config = {**SMALL, **QUIET, "recipe": "quick", "train.batch_size": 16, "train.epochs": 3}
    run = nearfar.fit(pairs(80), base="static", out=tmp_path / "run", config=config, reporter=Lines())
    plain = {**config, "recipe": None, "train.learning_rate": 2 * STATIC_LEARNING_RATE}
    same = nearfar.fit(pairs(80), base="static", out=tmp_path / "same", config=plain, reporter=Lines())
    assert run.record["fingerprint"] == same.record["fingerprint"]
    assert run.record["config"] == {**same.record["config"], "recipe": "quick", "out": str(run.path),
                                    "data": run.record["config"]["data"]}  # fmt: skip
    assert not (run.path / "stages").exists()


def settings_of(**values):
    return FitConfig.parse(merged({}, {key.replace("__", "."): value for key, value in values.items()}), "options")


def test_what_the_user_says_goes_before_the_recipe():
    settings = settings_of(recipe="balanced", train__hard_negatives=3)
    assert [stage.changes for stage in settings.plan if stage.kind == "train"] == [{"epochs": 2}, {"epochs": 1}]
    assert [one.hard_negatives for one in trains(settings, tiny_static())] == [3, 3]
    assert [one.hard_negatives for one in trains(settings_of(recipe="balanced"), tiny_static())] == [1, 2]


def test_rates_are_shares_of_what_suits_the_encoder(static, tiny):
    quick = settings_of(recipe="quick")
    assert trains(quick, static)[0].learning_rate == 2 * STATIC_LEARNING_RATE
    assert trains(quick, tiny)[0].learning_rate == 2 * TRANSFORMER_LEARNING_RATE == 1e-4
    assert trains(settings_of(recipe="quick", train__learning_rate=3e-5), tiny)[0].learning_rate == 3e-5
    given = trains(settings_of(recipe="balanced", train__learning_rate=3e-5), tiny)
    assert [one.learning_rate for one in given] == [3e-5, 1.5e-5]


def test_a_recipe_for_token_tables_refuses_a_transformer(tiny_folder, data, tmp_path):
    done = call("fit", "--base", tiny_folder, "--data", data, "--out", tmp_path / "run", "--recipe", "static")
    assert done.code == 2
    assert len(done.lines) == 1
    assert done.lines[0] == (
        f"nearfar: recipe static: expected a static encoder, found the base {tiny_folder}; "
        "give --base static, or take another recipe"
    )
    assert not (tmp_path / "run").exists()


def test_names_of_recipes_need_no_torch():
    code = "import sys, nearfar.pipeline.recipes\nprint('torch' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout == "False\n"


def test_queries_rewritten_in_their_place_are_what_dev_asks_too(tmp_path, monkeypatch):
    from nearfar.pipeline import graph

    asked = []
    plain = graph.dev_set
    monkeypatch.setattr(graph, "dev_set", lambda dataset, *rest: asked.append(dataset) or plain(dataset, *rest))
    numbered = [(f"{query} {100 + row}", f"{answer} {100 + row}") for row, (query, answer) in enumerate(pairs(80))]
    rewrite = {"kind": "augment", "kinds": ["numbers"], "share": 1.0, "replace": True}
    told = Lines()
    nearfar.fit(numbered, base="static", out=tmp_path / "run", reporter=told,
                config={**SMALL, **QUIET, "stages": [rewrite, TRAIN]})  # fmt: skip
    judged = asked[-1].judged("dev")
    texts = [asked[-1].queries.texts[row] for row in judged.queries]
    assert texts
    assert not any(text.split()[-1].isdigit() for text in texts)
    assert any("training queries and" in line and line.endswith("dev queries") for line in told.lines)
