"""Take the steps of the Containerfile in a clean Debian root, without a container engine, and ask the service there.

Needs root, debootstrap and bubblewrap. The service runs in a network namespace of its own with nothing but loopback, on
a read-only root, as the user of the Containerfile.

    python deploy/try.py --run RUN --work FOLDER [--build-arg NAME=VALUE] [--bind FOLDER ...]

`--bind` and the environment's PIP_* variables reach the steps that install, for package indexes that are folders here.
"""

from __future__ import annotations

import argparse
import json
import os
import re
import shlex
import shutil
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

ROOT = Path(__file__).parents[1]
KEY = "a-key-for-this-trial-only"
TAKES_S = 240  # until it is ready
ASK = """
import json, os, sys, time, urllib.request
from urllib.error import HTTPError, URLError

def ask(path, body=None, key=""):
    headers = {"content-type": "application/json", **({"authorization": f"Bearer {key}"} if key else {})}
    data = None if body is None else json.dumps(body).encode()
    try:
        request = urllib.request.Request(f"http://127.0.0.1:8080{path}", data, headers)
        with urllib.request.urlopen(request, timeout=30) as answer:
            return answer.status, answer.read()
    except HTTPError as error:
        return error.code, error.read()
    except URLError:
        return 0, b""

start, key = time.time(), sys.argv[1]
while ask("/readyz")[0] != 200:
    if not os.path.exists(f"/proc/{sys.argv[3]}") or time.time() - start > int(sys.argv[2]):
        sys.exit("it has ended, or is not ready in time")
    time.sleep(0.5)
ready = time.time() - start
model = json.loads(ask("/v1/models", key=key)[1])["data"][0]["id"]
status, body = ask("/v1/embeddings", {"model": model, "input": ["split a string", "join a list"]}, key)
refused = ask("/v1/embeddings", {"model": model, "input": "a text"})[0]
vectors = [len(one["embedding"]) for one in json.loads(body)["data"]]
found = ask("/search", {"query": "split a string", "k": 3}, key)
hits = len(json.loads(found[1])["hits"]) if found[0] == 200 else 0
try:
    urllib.request.urlopen("https://huggingface.co", timeout=5)
    network = "reached"
except URLError as error:
    network = str(error.reason)
print(json.dumps({"ready_s": round(ready, 1), "embeddings": status, "dimensions": vectors, "without_key": refused,
                  "search": found[0], "hits": hits, "network": network}))
"""


@dataclass
class Image:
    """A root, and what the Containerfile has said of it so far."""

    root: Path
    base: Path  # a fresh Debian, which is kept for the next trial
    binds: list[str]
    arguments: dict[str, str]
    made: bool = False  # by an earlier trial
    environment: dict[str, str] = field(default_factory=dict)
    user: str = "root"
    folder: str = "/"
    entry: list[str] = field(default_factory=list)
    command: list[str] = field(default_factory=list)
    health: list[str] = field(default_factory=list)

    def build(self, text: str) -> None:
        """Take every step."""
        for word, rest in steps(text):
            print(f"{time.strftime('%H:%M:%S')} {word} {rest[:100]}", flush=True)
            if word in {"FROM", "RUN", "COPY"} and self.made:
                continue
            TAKE[word](self, rest)

    def start(self, rest: str) -> None:
        """FROM: a fresh Debian."""
        suite = rest.split(":")[1].removesuffix("-slim")
        if not self.base.exists():
            command = ["debootstrap", "--variant=minbase", suite, str(self.base)]
            subprocess.run(command, check=True, stdout=subprocess.DEVNULL)
        subprocess.run(["cp", "--archive", "--reflink=auto", str(self.base), str(self.root)], check=True)

    def argue(self, rest: str) -> None:
        """ARG."""
        name, _, value = rest.partition("=")
        self.arguments.setdefault(name, value)

    def set(self, rest: str) -> None:
        """ENV."""
        self.environment |= dict(part.split("=", 1) for part in shlex.split(rest))

    def run(self, rest: str) -> None:
        """RUN: with the network, as root, on the root that it changes."""
        shared = [part for place in ("/etc/resolv.conf", *self.binds) for part in ("--ro-bind", place, place)]
        pip = {name: value for name, value in os.environ.items() if name.startswith("PIP_")}
        if "PIP_CERT" in pip:
            shared += ["--ro-bind", pip["PIP_CERT"], "/run/ca.crt"]
            pip["PIP_CERT"] = "/run/ca.crt"
        values = {**self.arguments, **self.environment, **pip}
        sandbox = self.sandbox("--bind", str(self.root), "/", *shared, values=values)
        subprocess.run([*sandbox, "sh", "-ec", rest], check=True)

    def copy(self, rest: str) -> None:
        """COPY: files, or what is in a folder."""
        *sources, target = shlex.split(rest)
        there = self.root / target.lstrip("/")
        there.mkdir(parents=True, exist_ok=True)
        for source in (ROOT / name for name in sources):
            if source.is_dir():
                shutil.copytree(source, there, dirs_exist_ok=True, ignore=shutil.ignore_patterns("__pycache__"))
            else:
                shutil.copy(source, there)

    def sandbox(self, *options: str, values: dict[str, str], user: str = "root") -> list[str]:
        """A command that runs what follows in the root."""
        writable = [part for place in ("/tmp", "/dev/shm") for part in ("--perms", "1777", "--tmpfs", place)]
        fixed = ["--dev", "/dev", "--proc", "/proc", *writable, "--unshare-pid", "--die-with-parent"]
        given = [part for name, value in {**PATHS, **values}.items() for part in ("--setenv", name, value)]
        as_user = ["setpriv", "--reuid", user, "--regid", user, "--init-groups", "--"] if user != "root" else []
        return ["bwrap", *options, *fixed, "--clearenv", *given, "--chdir", self.folder, "--", *as_user]


PATHS = {"PATH": "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"}
TAKE: dict[str, Callable[[Image, str], object]] = {
    "FROM": Image.start,
    "ARG": Image.argue,
    "ENV": Image.set,
    "RUN": Image.run,
    "COPY": Image.copy,
    "USER": lambda image, rest: setattr(image, "user", rest),
    "WORKDIR": lambda image, rest: setattr(image, "folder", rest),
    "HEALTHCHECK": lambda image, rest: setattr(image, "health", json.loads(rest[rest.index("CMD") + 3 :])),
    "ENTRYPOINT": lambda image, rest: setattr(image, "entry", json.loads(rest)),
    "CMD": lambda image, rest: setattr(image, "command", json.loads(rest)),
    **dict.fromkeys(("EXPOSE", "STOPSIGNAL"), lambda *_: None),
}


def steps(text: str) -> list[tuple[str, str]]:
    """Instructions and what follows them; comments gone, continued lines joined."""
    joined = re.sub(r"\\\n", " ", re.sub(r"^#.*\n", "", text, flags=re.MULTILINE))
    return [(word, rest.strip()) for word, _, rest in (line.partition(" ") for line in joined.splitlines() if line)]


def ask(image: Image, run: Path) -> dict[str, object]:
    """Start the service without a network, ask it, check its health, and end it as a container is ended."""
    home = image.environment["NUMBA_CACHE_DIR"].rpartition("/")[0]
    places = ["--ro-bind", str(image.root), "/", "--tmpfs", "/srv", "--ro-bind", str(run.resolve()), "/srv/run"]
    places += ["--perms", "1777", "--tmpfs", home, "--unshare-net"]
    script = f"""
    {shlex.join([*image.entry, *image.command])} & service=$!
    trap 'kill $service 2>/dev/null' EXIT
    python3 -c {shlex.quote(ASK)} {KEY} {TAKES_S} $service
    {shlex.join(image.health)} && echo healthy
    echo "user $(id -u)"
    kill -TERM $service; start=$(date +%s); set +e; wait $service; echo "ended $? $(($(date +%s) - start))"
    """
    sandbox = image.sandbox(*places, values={**image.environment, "NEARFAR_API_KEY": KEY}, user=image.user)
    done = subprocess.run([*sandbox, "sh", "-ec", script], capture_output=True, text=True, check=False)
    print(done.stderr[-3000:])
    lines = done.stdout.splitlines()
    found = next((json.loads(line) for line in lines if line.startswith("{")), {"said": done.stdout})
    words = {line.split()[0]: line.split()[1:] for line in lines if line.strip()}
    return {**found, "healthy": "healthy" in words, "user": words.get("user"), "exit_and_seconds": words.get("ended")}


def main() -> None:
    """Build in FOLDER/root, keep FOLDER/base for the next time, and print what was seen as JSON."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--run", type=Path, required=True)
    parser.add_argument("--work", type=Path, required=True)
    parser.add_argument("--build-arg", action="append", default=[])
    parser.add_argument("--bind", action="append", default=[])
    parser.add_argument("--keep", action="store_true", help="ask the root of an earlier trial, without its steps")
    given = parser.parse_args()
    work, arguments = given.work.resolve(), dict(one.split("=", 1) for one in given.build_arg)
    image = Image(work / "root", work / "base", given.bind, arguments, given.keep)
    if not given.keep:
        shutil.rmtree(image.root, ignore_errors=True)
    start = time.time()
    image.build((ROOT / "deploy" / "Containerfile").read_text(encoding="utf-8"))
    seen = {"build_s": round(time.time() - start), **ask(image, given.run)}
    print(json.dumps(seen))
    wanted = {"embeddings": 200, "without_key": 401, "healthy": True}
    ended = seen.get("exit_and_seconds") or ["never"]
    sys.exit(any(seen.get(name) != value for name, value in wanted.items()) or ended[0] != "0")


if __name__ == "__main__":
    main()
