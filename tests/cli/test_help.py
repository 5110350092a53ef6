"""Every verb has examples in its help, and JSON for programs; the shell completes verbs, options and names."""

import json
import os
import shutil
import subprocess
import sys

import pytest
from typer.main import get_command

from command_line import nearfar
from nearfar.cli.complete import MODELS, codecs
from nearfar.cli.main import app
from nearfar.compress.registry import CODECS

WITHOUT_JSON = {"mcp": "what it prints is the protocol, which is JSON"}


def verbs(command, path=()):
    for name, found in command.commands.items():
        yield from verbs(found, (*path, name)) if hasattr(found, "commands") else [((*path, name), found)]


EVERY = dict(verbs(get_command(app)))


@pytest.mark.parametrize("path", EVERY, ids=" ".join)
def test_help_has_examples_that_are_this_verb(path):
    done = nearfar(*path, "--help")
    assert done.code == 0
    lines = done.out.splitlines()
    start = next(n for n, line in enumerate(lines) if line.strip() in {"Example:", "Examples:"})
    shown = lines[start + 1 : lines.index("", start)]
    assert shown
    for line in shown:
        command = line[line.index("nearfar ") :].split()
        assert command[1 : 1 + len(path)] == list(path) or path == ("tune",)
        options = {option.partition("=")[0] for option in command if option.startswith("--") and "." not in option}
        known = {name for parameter in EVERY[path].params for name in parameter.opts}
        assert options <= known or EVERY[path].context_settings.get("ignore_unknown_options"), line


@pytest.mark.parametrize("path", EVERY, ids=" ".join)
def test_every_verb_speaks_json(path):
    has = any("--json" in parameter.opts for parameter in EVERY[path].params)
    assert has != (" ".join(path) in WITHOUT_JSON)


def test_an_unknown_verb_or_option_is_bad_input():
    for arguments in (["serch"], ["index", "buld"], ["version", "--jsn"], []):
        done = nearfar(*arguments)
        assert done.code == 2, arguments
        assert "Traceback" not in done.err
    assert json.loads(nearfar("version", "--json").out)["nearfar"]


def test_names_to_complete_are_those_there_are():
    from nearfar.encoder.load import BASES, FRESH
    from nearfar.pipeline.config import LEXICAL

    assert set(MODELS) == {*BASES, FRESH, LEXICAL}
    assert codecs("rab") == ["rabitq"]
    assert set(codecs("pq,learned")) == {f"pq,{name}" for name in CODECS if name.startswith("learned")}


@pytest.fixture(scope="module")
def completing(tmp_path_factory):
    """What bash completes after `nearfar --install-completion bash`, by the words of a line."""
    bash = shutil.which("bash")
    if bash is None:
        pytest.skip("no bash on this machine")
    home = tmp_path_factory.mktemp("home")
    program = home / "nearfar"
    program.write_text(f"#!{sys.executable}\nfrom nearfar.cli.main import main\nmain()\n")
    program.chmod(0o755)
    environment = {**os.environ, "HOME": str(home), "PATH": f"{home}:{os.environ['PATH']}"}

    def run(script: str) -> str:
        done = subprocess.run(
            [bash, "-c", script], env=environment, cwd=home, capture_output=True, text=True, check=True
        )
        return done.stdout

    run("nearfar --install-completion; true")  # which looks for the shell that called it

    def complete(*words: str) -> list[str]:
        line = " ".join(f"'{word}'" for word in words)
        asked = f"COMP_WORDS=({line}) COMP_CWORD={len(words) - 1}; _nearfar_completion nearfar"
        return run(f'source ~/.bashrc; {asked}; printf "%s\\n" "${{COMPREPLY[@]}}"').split()

    return complete


@pytest.mark.parametrize(
    ("words", "found"),
    [
        (["nearfar", "pu"], ["pull", "push"]),
        (["nearfar", "search", "run", "--mode", "h"], ["hybrid"]),
        (["nearfar", "fit", "--base", "mi"], ["minilm"]),
        (["nearfar", "compress", "run", "--codec", "pq"], ["pq", "pq4", "pq4_p"]),
        (["nearfar", "compress", "ru"], []),  # bash itself completes files then
    ],
    ids=lambda words: " ".join(words) or "none",
)
def test_bash_completes(completing, words, found):
    assert sorted(completing(*words)) == found


def test_completing_imports_neither_torch_nor_numpy():
    code = "import sys, nearfar.cli.main; print(*{'torch', 'numpy', 'transformers', 'lance'} & set(sys.modules))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert not done.stdout.strip()
