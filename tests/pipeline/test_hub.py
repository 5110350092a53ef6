"""A model goes to the hub and comes back whole; no text of the user's goes along, and nothing comes that runs code."""

import json
import re
from pathlib import Path

import numpy as np
import pytest
import yaml
from huggingface_hub import ModelCard, constants

import nearfar
from command_line import SMALL, assert_refused, tree
from command_line import nearfar as command
from hub_server import READ, WRITE, Repo, hub
from nearfar.core.artifact import read_whole, sealed, write_json
from nearfar.core.errors import BadInput
from nearfar.data.read import as_dataset
from nearfar.encoder.load import load_encoder
from nearfar.evaluate.statistics import interval
from nearfar.pipeline.doctor import diagnose
from nearfar.pipeline.doctor_page import keep
from nearfar.pipeline.settings_text import without_path
from nearfar.report.kept import FINDINGS
from nearfar.search.index import Index
from tiny_models import pairs, save_tiny_bert

NAME = "acme/tiny-search"
PLACE = "secret-place"
BROKEN = "a row that nobody else may read"


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    """A run whose data are a file with a broken row, and what the doctor says of it."""
    folder = tmp_path_factory.mktemp(PLACE)
    rows = [json.dumps({"query": q, "positive": d, "source": "wiki|<b>"}) for q, d in pairs(120)]
    (folder / "pairs.jsonl").write_text("\n".join([*rows, json.dumps({"query": "", "positive": BROKEN})]) + "\n")
    config = {**SMALL, "data.skip_bad_rows": True, "data.licence": "CC0"}
    done = nearfar.fit(folder / "pairs.jsonl", base="static", out=folder / "run", config=config)
    keep(diagnose(done.path), done.path)
    return done


@pytest.fixture
def server(monkeypatch):
    """A hub that the client talks to, with the token of somebody who may write."""
    with hub() as state:
        monkeypatch.setattr(constants, "ENDPOINT", state.url)
        template = f"{state.url}/{{repo_id}}/resolve/{{revision}}/{{filename}}"
        monkeypatch.setattr(constants, "HUGGINGFACE_CO_URL_TEMPLATE", template)
        monkeypatch.setattr(constants, "HF_HUB_OFFLINE", False)
        monkeypatch.setattr(constants, "HF_HUB_DISABLE_XET", True)
        monkeypatch.setenv("HF_TOKEN", WRITE)
        monkeypatch.delenv("HF_TOKEN_PATH", raising=False)
        yield state


@pytest.fixture(scope="module")
def written(run, tmp_path_factory):
    """What a push with the index would send."""
    out = tmp_path_factory.mktemp("out") / "written"
    done = command("push", run.path, NAME, "--dry-run", "--out", out, "--with-index", "--language", "en",
                   "--licence", "mit", "--json")  # fmt: skip
    assert done.code == 0, done.err
    assert json.loads(done.out)["url"] == ""
    return out


def holding(files) -> Repo:
    repo = Repo()
    repo.change({**repo.files, **files})
    return repo


def files_of(folder: Path) -> dict[str, bytes]:
    return {str(file.relative_to(folder)): file.read_bytes() for file in folder.rglob("*") if file.is_file()}


def section(card: str, title: str) -> str:
    return card.partition(f"## {title}\n")[2].partition("\n## ")[0]


def test_the_card_says_what_the_run_says(run, written):
    card = ModelCard.load(written / "README.md")
    told = card.data
    assert (told.library_name, told.language, told.license, told.base_model) == (
        "sentence-transformers", ["en"], "mit", None)  # fmt: skip
    assert {one.metric_name: one.metric_value for one in told.eval_results} == {
        name: round(value, 4) for name, value in run.metrics["model"].items()
    }
    assert {(one.dataset_name, one.dataset_split) for one in told.eval_results} == {("pairs", "test")}
    values = np.load(run.path / "data" / "per_query.npz")["base/ndcg@10"]
    low, high = interval(values, seed=0, resamples=999)
    assert f"| base model | {values.mean():.3f} ({low:.3f} to {high:.3f}) |" in section(card.text, "Quality")
    found = json.loads((run.path / FINDINGS).read_text())["findings"]
    shown = section(card.text, "What the doctor found")
    assert re.findall(r"^\| ([\w ]+) \| (\w+) \|", shown, re.MULTILINE)[1:] == [
        (one["failure"].replace("_", " "), one["verdict"]) for one in found
    ]
    settings = yaml.safe_load(section(card.text, "Settings").partition("```yaml\n")[2].partition("```")[0])
    assert settings["train"] == {"batch_size": 8, "patience": 9, "precision": "fp32"}
    assert settings["data"]["source"] == "pairs.jsonl"
    assert r"| wiki\|\<b\> | 120 | 120 | 0 |" in section(card.text, "Data")
    assert "| vLLM | no |" in section(card.text, "Where it runs")


def test_the_code_on_the_card_opens_the_model(written):
    card = (written / "README.md").read_text()
    code = section(card, "Use it").partition("```python\n")[2].partition("```")[0]
    assert f'SentenceTransformer("{NAME}")' in code
    scope = {}
    exec(code.replace(NAME, str(written)), scope)
    assert scope["vectors"].shape == (1, 32)


def test_no_text_and_no_path_goes_along(run, written):
    dataset = as_dataset(run.path.parent / "pairs.jsonl", nearfar.FitConfig.parse(run.record["config"], "run").data)
    texts = [text.encode() for text in (*dataset.queries.texts, *dataset.documents.texts, BROKEN)]
    sent = {place: data for place, data in files_of(written).items() if not place.startswith("index/")}
    assert "model.safetensors" in sent
    for place, data in files_of(written).items():
        assert PLACE.encode() not in data, place
    for place, data in sent.items():
        assert not any(text in data for text in texts), place


def test_examples_go_along_when_asked_for(run, tmp_path):
    found = json.loads((run.path / FINDINGS).read_text())
    shown = [{"query": "``` <b>", "document": "another\nline"}, {"score": 0.5}]
    changed = {**found, "findings": [{**one, "examples": shown} for one in found["findings"]]}
    kept = (run.path / FINDINGS).read_text()
    write_json(run.path / FINDINGS, changed)
    try:
        plain = nearfar.push(run.path, NAME, out=tmp_path / "plain")
        nearfar.push(run.path, NAME, out=tmp_path / "full", with_examples=True)
    finally:
        (run.path / FINDINGS).write_text(kept)
    assert plain.findings
    assert "another\nline" not in (tmp_path / "plain" / "README.md").read_text()
    card = (tmp_path / "full" / "README.md").read_text()
    assert "````\nquery: ``` <b>\ndocument: another\nline\n````" in card
    assert BROKEN not in (tmp_path / "plain" / "README.md").read_text()
    assert "skipped 1 bad rows" in card


def test_findings_of_another_model_are_not_its(run, tmp_path):
    kept = (run.path / FINDINGS).read_text()
    write_json(run.path / FINDINGS, {**json.loads(kept), "fingerprint": "of another"})
    done = nearfar.push(run.path, NAME, out=tmp_path / "out")
    (run.path / FINDINGS).write_text(kept)
    assert not done.findings
    assert "It was not asked about this model." in (tmp_path / "out" / "README.md").read_text()


def test_what_is_pushed_can_be_pulled_and_searched(run, written, server, tmp_path):
    done = command("push", run.path, NAME, "--private", "--with-index", "--language", "en", "--licence", "mit")
    assert done.code == 0, done.err
    repo = server.repos[NAME]
    assert repo.private
    assert {place: data for place, data in repo.files.items() if place != ".gitattributes"} == files_of(written)
    assert server.calls("PUT", "/store/") >= 2  # the weights, and arrays of the index
    assert WRITE not in done.out + done.err
    fetched = command("pull", NAME, "--out", tmp_path / "run", "--json")
    assert fetched.code == 0, fetched.err
    said = json.loads(fetched.out)
    assert (said["commit"], said["index"], said["left_out"]) == (repo.commit, True, [".gitattributes"])
    assert said["fingerprint"] == run.record["fingerprint"] == load_encoder(tmp_path / "run" / "model").fingerprint()
    assert {path.name for path in (tmp_path / "run").iterdir()} == {"model", "index"}
    question = pairs(3)[2][0]
    mine, theirs = (Index.open(path).search(question, 5) for path in (run.path, tmp_path / "run"))
    assert [(hit.id, hit.score) for hit in mine] == [(hit.id, hit.score) for hit in theirs]
    assert [path.name for path in tmp_path.iterdir()] == ["run"]
    # as it is, once more, and then without the index
    assert nearfar.push(run.path, NAME, with_index=True, languages=["en"], licence="mit").commit == repo.commit
    nearfar.push(run.path, NAME)
    assert not any(place.startswith("index/") for place in repo.files)
    nearfar.pull(NAME, tmp_path / "model")
    assert read_whole(tmp_path / "model", "model")["meta"]["fingerprint"] == run.record["fingerprint"]


def test_a_model_of_others_is_taken_without_what_could_run(server, tmp_path):
    folder = save_tiny_bert(tmp_path / "theirs")
    extra = {"pytorch_model.bin": b"\x80\x02pickle", "modeling.py": b"raise SystemExit", "onnx/model.onnx": b"onnx"}
    server.repos[NAME] = holding({**files_of(folder), **extra, "README.md": b"# Theirs\n"})
    done = nearfar.pull(NAME, tmp_path / "ours")
    assert {*done.left_out} == {*extra, ".gitattributes"}
    assert not done.index
    assert {"README.md", "manifest.json", *files_of(folder)} == {*files_of(tmp_path / "ours")}
    assert done.fingerprint == load_encoder(folder).fingerprint()
    assert_refused(command("pull", NAME, "--out", tmp_path / "ours"), ["a new folder", "one that exists"])


def _manifest(files: dict, meta: dict) -> bytes:
    return json.dumps(sealed("model", meta, files)).encode()


def hostile(good: dict[str, bytes]) -> dict[str, tuple[dict[str, bytes], str]]:
    """Repositories that must not be taken, and what is said of each."""
    alone = {place: data for place, data in good.items() if not place.startswith("index/")}
    bare = {place: data for place, data in alone.items() if place != "manifest.json"}
    entry = {"bytes": 4, "sha256": "0" * 64}
    modules = json.dumps([{"idx": 0, "name": "0", "path": "", "type": "evil.Payload"}]).encode()
    index = json.loads(good["index/manifest.json"])
    elsewhere = sealed("index", {**index["meta"], "table": {"url": "file:///etc", "files": {}}}, index["files"])
    foreign = sealed("index", {**index["meta"], "fingerprint": "another"}, index["files"])
    cross = json.dumps({"model_type": "CrossEncoder"}).encode()
    return {
        "a pickle": ({"config.json": b"{}", "pytorch_model.bin": b"\x80"}, "a pickle, 'pytorch_model.bin'"),
        "no weights": ({"config.json": b"{}"}, "weights as safetensors, found none"),
        "above": ({**bare, "../out.json": b"{}"}, "'../out.json'"),
        "below the root": ({**bare, "/etc/out.json": b"{}"}, "'/etc/out.json'"),
        "backslashes": ({**bare, "a\\..\\out.json": b"{}"}, "files below the repository"),
        "foreign class": ({**bare, "modules.json": modules, "evil.py": b"raise SystemExit"}, "'evil.Payload'"),
        "named code": ({**alone, "manifest.json": _manifest({"evil.py": entry}, {}), "evil.py": b"boom"},
                       "a file that may run code"),
        "named and not there": ({**alone, "manifest.json": _manifest({"gone.json": entry}, {})}, "gone.json"),
        "broken seal": ({**alone, "manifest.json": good["manifest.json"].replace(b"config", b"c0nfig", 1)}, "sealed"),
        "other weights": ({**alone, "modules.json": good["modules.json"] + b" "}, "the bytes the manifest names"),
        "other model": ({**alone, "manifest.json": _manifest({"model.safetensors": _of(good["model.safetensors"])},
                                                             {"fingerprint": "x"})}, "modules.json"),
        "cross-encoder": ({**bare, "config_sentence_transformers.json": cross}, "a cross-encoder"),
        "index of another": ({**good, "index/manifest.json": json.dumps(foreign).encode()}, "that of another"),
        "index elsewhere": ({**good, "index/manifest.json": json.dumps(elsewhere).encode()}, "one that reads a URL"),
    }  # fmt: skip


def _of(data: bytes) -> dict:
    from hub_server import sha256

    return {"bytes": len(data), "sha256": sha256(data)}


def test_hostile_repositories_leave_nothing(written, server, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    for title, (files, words) in hostile(files_of(written)).items():
        server.repos[NAME] = holding(files)
        done = command("pull", NAME, "--out", tmp_path / "out")
        assert done.code == 2, title
        assert words in done.lines[-1], (title, done.err)
        assert str(tmp_path) not in done.lines[-1], title
        assert tree(tmp_path) == {}, title


def test_other_bytes_than_the_hub_names_are_refused(written, server, tmp_path):
    server.repos[NAME] = holding(files_of(written))
    for place in ("model.safetensors", "modules.json"):
        right = server.repos[NAME].files[place]
        server.spoil = {place: bytes([right[0] ^ 1]) + right[1:]}
        with pytest.raises(BadInput, match="the bytes that the hub names"):
            nearfar.pull(NAME, tmp_path / "out")
        assert tree(tmp_path) == {}


@pytest.mark.parametrize(
    ("token", "words"), [("", "no token"), (READ, "without the right"), ("hf_other", "does not know")]
)
def test_who_may_not_write_is_told_in_one_line(token, words, run, server, monkeypatch, tmp_path):
    monkeypatch.setenv("HF_TOKEN", token)
    monkeypatch.setattr(constants, "HF_TOKEN_PATH", str(tmp_path / "none"))
    done = command("push", run.path, NAME)
    assert done.code == 2
    assert words in done.lines[-1]
    assert "Traceback" not in done.err
    assert not token or token not in done.out + done.err
    assert NAME not in server.repos


def test_what_keeps_the_hub_from_answering_is_told_in_one_line(run, server, monkeypatch, tmp_path):
    out = ["--out", tmp_path / "out"]
    assert_refused(command("pull", NAME, *out), ["none that this token may see"])
    server.repos[NAME] = Repo(private=True)
    assert_refused(command("pull", NAME, *out, "--revision", "v9"), ["no such revision"])
    monkeypatch.setenv("HF_TOKEN", "hf_other")
    assert_refused(command("pull", NAME, *out), ["none that this token may see"])
    server.answer = 500
    assert_refused(command("pull", NAME, *out), ["500", "as the test wants it", "try again later"])
    monkeypatch.setattr(constants, "ENDPOINT", "http://127.0.0.1:9")
    assert_refused(command("pull", NAME, *out), ["no answer from http://127.0.0.1:9", "check the network"])
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", True)
    assert_refused(command("pull", NAME, *out), ["HF_HUB_OFFLINE"])
    assert tree(tmp_path) == {}


def test_what_cannot_be_pushed_is_told_before_anything_is_sent(run, server, tmp_path):
    assert_refused(command("push", run.path, "no-owner"), ["OWNER/NAME"])
    assert_refused(command("push", tmp_path, NAME), ["a run, or a model folder"])
    assert_refused(command("push", run.path, NAME, "--out", tmp_path / "x"), ["--dry-run"])
    (tmp_path / "theirs").mkdir()
    assert_refused(command("push", run.path, NAME, "--dry-run", "--out", tmp_path / "theirs"), ["a new folder"])
    assert server.asked == []
    refused = command("push", run.path, NAME, "--licence", "none-of-them")
    assert refused.code == 2
    assert "none-of-them" in refused.lines[-1]
    assert server.calls("POST", "/commit/") == 0


def test_a_model_that_shows_examples_goes_with_them_or_not_at_all(run, tmp_path):
    from nearfar.encoder.examples import Examples
    from nearfar.encoder.save import save_encoder

    encoder = load_encoder(run.path / "model")
    shown = type(encoder)(encoder.model, Examples(((f"{BROKEN}?", ("an answer",)),), 1, 8))
    save_encoder(shown, tmp_path / "model", card="# Made here from /home/me/pairs\n")
    with pytest.raises(BadInput, match="add --with-examples"):
        nearfar.push(tmp_path / "model", NAME, out=tmp_path / "out")
    nearfar.push(tmp_path / "model", NAME, out=tmp_path / "out", with_examples=True)
    assert BROKEN.encode() in b"".join(files_of(tmp_path / "out" / "examples").values())
    card = (tmp_path / "out" / "README.md").read_text()
    assert "## What it needs" in card
    assert "/home/me" not in card


def test_paths_are_cut_and_names_kept(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "owner" / "data").mkdir(parents=True)
    cut = {"/home/me/My Data/pairs.jsonl": "pairs.jsonl", "C:\\data\\pairs.csv": "pairs.csv", "../up/one": "one",
           "~/run": "run", "owner/data": "data", "a/b/c.jsonl": "c.jsonl"}  # fmt: skip
    kept = ["minilm", "BAAI/bge-m3", "query: ", "find a / b", "info_nce"]
    assert {value: without_path(value) for value in [*cut, *kept]} == cut | dict(zip(kept, kept, strict=True))
