"""The documentation is true: its examples run, its settings exist, its links lead somewhere.

A console block whose lines begin with `$ nearfar` is run, in order, in a folder with the files named in FILES and the
runs `run` and `other`. Where the block shows an error line, that very line and exit code 2 are expected. The pages of
the guide are run together, in an empty folder, and what they show is compared with what is printed.
"""

import json
import re
import shlex
import shutil
import sys
from itertools import pairwise
from pathlib import Path

import pytest
import yaml

from nearfar.pipeline.config import FitConfig
from tiny_models import pairs

ROOT = Path(__file__).parents[1]
TOP = [ROOT / name for name in ("README.md", "CHANGELOG.md", "LOG.md", "CONTRIBUTING.md")]
DOCS = [*TOP, *sorted((ROOT / "docs").glob("*.md"))]
GUIDE = sorted((ROOT / "docs" / "guide").glob("[1-8]-*.md"))
PAGES = [*DOCS, *GUIDE, ROOT / "docs" / "guide" / "README.md"]
FENCE = re.compile(r"^```(\w*)\n(.*?)^```$", re.MULTILINE | re.DOTALL)
FIGURE = re.compile(r"\d+\.\d+")
LABELLED = "".join(json.dumps({"text": q, "label": n % 2}) + "\n" for n, (q, _) in enumerate(pairs(20)))
FILES = {
    "pairs.jsonl": "".join(json.dumps({"query": q, "positive": d}) + "\n" for q, d in pairs(120)),
    "live.jsonl": "".join(json.dumps({"query": q, "clicked": d}) + "\n" for q, d in pairs(40)),
    "stsb/test.tsv": "sentence1\tsentence2\tscore\n"
    + "".join(f"{q}\t{d}\t{n % 6}\n" for n, (q, d) in enumerate(pairs(20))),
    "banking77/train.jsonl": LABELLED,
    "banking77/test.jsonl": LABELLED,
    "general.jsonl": "".join(json.dumps({"query": q, "positive": d}) + "\n" for q, d in pairs(400, 2)),
    "faq.csv": "title,body\nwhere is the key?,Keys are at the desk.\n",
    "broken.jsonl": '{"query": "restart the router", "positive": "Hold the button for ten seconds."}\n'
    '{"query": "change the password", "positive": ""}\n'
    '{"query": "reset the clock", "positive": "Open Settings, then Time."}\n'
    '{"query": "order a new key"\n',
}
SAME_FILES = ("faq.csv", "broken.jsonl")  # as in the documentation, so that the output is the same
JSON_LINES = re.compile(r"^`(\w+\.jsonl)`[^\n]*:\n\n```jsonl\n(.*?)^```$", re.MULTILINE | re.DOTALL)  # a file, shown
SUFFIXES = {"jsonl", "json", "csv", "tsv", "parquet", "md"}  # `train.csv` is a file, not a setting


def blocks(page, language):
    return [body for name, body in FENCE.findall(page.read_text(encoding="utf-8")) if name == language]


def commands(page):
    """(arguments, output shown) of every command in the page's console blocks."""
    return [command for block in blocks(page, "console") for command in commands_of(block)]


def commands_of(block):
    parts = re.split(r"^\$ ", block, flags=re.MULTILINE)[1:]
    split = [part.partition("\n") for part in parts]
    return [(shlex.split(command)[1:], shown.strip()) for command, _, shown in split if command.startswith("nearfar ")]


def known(text):
    """`text` without what differs from run to run: fingerprints."""
    return re.sub(r"\b[0-9a-f]{16}\b", "…", text)


def sided(text):
    """`text` with the side of 0.05 that p-values are on: how far off they are depends on the processor's rounding."""
    return re.sub(r"p = (0\.\d+)", lambda p: "p below" if float(p[1]) < 0.05 else "p above", text)


def alike(shown, printed):
    """Equal but for white space, seconds, fingerprints, 0.05 in figures below 1, and larger ones: times and losses."""
    pair = [" ".join(re.sub(r"\b\d+(\.\d+)? s\b", "…", sided(known(line))).split()) for line in (shown, printed)]
    near = [
        abs(a - b) <= 0.05 for a, b in zip(*(map(float, FIGURE.findall(line)) for line in pair), strict=False) if a < 1
    ]
    return FIGURE.sub("…", pair[0]) == FIGURE.sub("…", pair[1]) and all(near)


def shows(shown, printed):
    """Whether the lines shown were printed, in this order, with others among them where a line is `…`."""
    lines, others = shown.strip().splitlines(), printed.strip().splitlines()
    if "…" not in lines:
        return len(lines) == len(others) and all(map(alike, lines, others))
    rest = iter(others)
    return all(line == "…" or any(alike(line, other) for other in rest) for line in lines)


@pytest.fixture(scope="module")
def prepared(tmp_path_factory):
    import nearfar
    from nearfar.pipeline.progress import Silent

    folder = tmp_path_factory.mktemp("docs")
    for name, text in FILES.items():
        (folder / name).parent.mkdir(exist_ok=True)
        (folder / name).write_text(text)
    for seed, name in enumerate(("run", "other")):
        config = {"train.epochs": 1, "train.seed": seed, "static.dimension": 32}
        nearfar.fit(pairs(120), base="static", out=folder / name, config=config, reporter=Silent())
    return folder


@pytest.fixture
def empty(tmp_path, monkeypatch):
    """An empty folder, to work in."""
    monkeypatch.chdir(tmp_path)
    for name in ("THP_MEM_ALLOC_ENABLE", "TOKENIZERS_PARALLELISM"):  # set by the command line
        monkeypatch.setenv(name, "1")
    return tmp_path


@pytest.fixture
def place(prepared, empty):
    """A copy of the prepared folder, to work in."""
    return shutil.copytree(prepared, empty, dirs_exist_ok=True)


def run(arguments, monkeypatch, capfd):
    from nearfar.cli.main import main

    monkeypatch.setattr(sys, "argv", ["nearfar", *arguments])
    capfd.readouterr()
    with pytest.raises(SystemExit) as ended:
        main()
    return ended.value.code, capfd.readouterr()


@pytest.mark.parametrize("page", [page for page in DOCS if commands(page)], ids=lambda page: page.name)
def test_commands_run(page, place, monkeypatch, capfd):
    if any(("--out", "run") in pairwise(arguments) for arguments, _ in commands(page)):
        shutil.rmtree(place / "run")  # the page makes its own
    for name, text in JSON_LINES.findall(page.read_text(encoding="utf-8")):
        (place / name).write_text(text)
    for given, shown in commands(page):
        arguments = ["run" if one == "minilm" else one for one in given]  # which is a download
        assert arguments[0] != "fit" or "static" in arguments, "examples that train use the base static"
        code, printed = run(arguments, monkeypatch, capfd)
        wrong = shown.startswith("nearfar: ")
        assert code == (2 if wrong else 0), printed.err
        if wrong:
            assert known(printed.err.strip()) == known(shown)
        elif any(name in arguments for name in SAME_FILES):
            assert printed.out.strip() == shown
        else:
            assert printed.out.strip()


@pytest.mark.usefixtures("empty")
@pytest.mark.timeout(900)  # forty commands, one after the other
def test_the_guide_runs(monkeypatch, capfd):
    for page in GUIDE:
        printed = ""
        for language, body in FENCE.findall(page.read_text(encoding="utf-8")):
            if language == "python":
                capfd.readouterr()
                exec(compile(body, page.name, "exec"), {"__name__": "guide"})
                printed = capfd.readouterr().out
            elif language == "text" and printed:
                assert shows(body, printed), f"{page.name}: {printed}"
                printed = ""
            elif language == "console":
                for arguments, shown in commands_of(body):
                    code, output = run(arguments, monkeypatch, capfd)
                    assert code == (2 if shown.startswith("nearfar: ") else 0), f"{page.name}: {output.err}"
                    assert shows(shown, output.err + output.out), f"{page.name}: {arguments}\n{output.err}{output.out}"


def test_what_is_shown_is_compared():
    printed = "read in 2 s\n model   0.612  0.70\nof model 0123456789abcdef\n"
    assert shows("read in 3 s\n model 0.6 0.7\nof model ffffffffffffffff", printed)
    assert shows("read in 3 s\n…", printed)
    assert not shows("read in 3 s", printed)
    assert not shows("…\nmodel 0.612 0.76\n…", printed)
    assert not shows("of model …\nread in 3 s\n…", printed)


def test_python_runs(place, capsys):
    shutil.rmtree(place / "run")
    names = {"__name__": "docs"}
    for block in blocks(ROOT / "docs" / "python.md", "python"):
        exec(compile(block, "docs/python.md", "exec"), names)
    assert names["run"].metrics.keys() == {"bm25", "base", "model"}
    assert "did you mean 'batch_size'?" in capsys.readouterr().out


@pytest.mark.parametrize("page", [page for page in PAGES if blocks(page, "yaml")], ids=lambda page: page.name)
def test_yaml_is_a_configuration(page):
    for block in blocks(page, "yaml"):
        assert FitConfig.parse(yaml.safe_load(block), page.name) != FitConfig(), f"it changes nothing:\n{block}"


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_settings_exist(page):
    prose = FENCE.sub("", page.read_text(encoding="utf-8"))
    spans = re.findall(r"`[^`\n]+`", prose) + re.findall(r"--[a-z]+\.[a-z_.]+", page.read_text(encoding="utf-8"))
    groups = "train|data|eval|static|mine|prompts|teachers|rerank"
    named = [m for span in spans for m in re.findall(rf"\b({groups})\.([a-z_]+)\b", span)]
    for group, name in named:
        fields = type(getattr(FitConfig(), group)).model_fields
        assert name in fields or name in SUFFIXES, f"{page.name}: {group}.{name}"


def test_every_setting_of_training_is_explained():
    text = (ROOT / "docs" / "train.md").read_text(encoding="utf-8")
    missing = [name for name in type(FitConfig().train).model_fields if f"`train.{name}`" not in text]
    assert not missing


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_verbs_exist(page):
    from typer.main import get_command

    from nearfar.cli.main import app

    verbs = set(get_command(app).commands)
    text = page.read_text(encoding="utf-8")
    code = "\n".join(body for language, body in FENCE.findall(text) if language in ("sh", "console"))
    named = re.findall(r"^(?:\$ )?nearfar ([a-z][a-z-]*)", code, re.MULTILINE)
    named += re.findall(r"`nearfar ([a-z][a-z-]*)", FENCE.sub("", text))
    assert not set(named) - verbs


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_links_lead_somewhere(page):
    text = FENCE.sub("", page.read_text(encoding="utf-8"))
    for target, anchor in re.findall(r"\]\(([^)#\s]*)(#[^)\s]*)?\)", text):
        if target.startswith(("http://", "https://")):
            continue
        there = (page.parent / target) if target else page
        assert there.exists(), f"{page.name}: {target}"
        assert not anchor or anchor[1:] in anchors(there), f"{page.name}: {target}{anchor}"


def anchors(page):
    """Anchors that forges make of headings: lower case, spaces as hyphens, punctuation gone."""
    headings = re.findall(r"^#+ (.+)$", FENCE.sub("", page.read_text(encoding="utf-8")), re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings}
