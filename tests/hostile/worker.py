"""Opens hostile folders one after another in a process that watches what Python does meanwhile.

A line of JSON comes in for each case and goes out for each result. What must not happen is told by audit events, which
no code in Python can avoid: a process, a connection, a class found by a pickle, code of the folder, an opened pickle.
"""

import json
import os
import resource
import signal
import sys
import time
from pathlib import Path

import numpy as np
from case import PICKLES, WORDS

from command_line import Done, nearfar
from nearfar.core.errors import NearfarError

LIMIT_BYTES = 8 << 30  # of memory: what is beyond is refused by the system, and not a machine without memory
LIMIT_S = 20
WATCHED = ["/nowhere"]  # the folder of the case
SEEN: list[str] = []
NEVER = ("os.system", "os.exec", "os.posix_spawn", "os.fork", "os.forkpty", "subprocess.Popen", "socket.connect",
         "socket.getaddrinfo", "socket.bind", "pickle.find_class", "builtins.input")  # fmt: skip


def watch(event: str, given: tuple) -> None:
    if event in NEVER:
        SEEN.append(f"{event} {str(given)[:200]}")
    elif event == "exec" and str(getattr(given[0], "co_filename", "")).startswith(WATCHED[0]):
        SEEN.append(f"exec of {given[0].co_filename}")
    elif event == "open" and str(given[0]).startswith(WATCHED[0]) and str(given[0]).endswith(PICKLES):
        if not Path(given[0]).resolve().name.endswith((".npy", ".npz")):
            SEEN.append(f"open of {given[0]}")
    elif event == "ctypes.dlopen" and str(given[0]).startswith(WATCHED[0]):
        SEEN.append(f"dlopen of {given[0]}")


def called(work) -> Done:
    """What a call in Python came to, as the command line would tell it."""
    try:
        return Done(0, str(work()), "")
    except NearfarError as error:
        return Done(error.exit_code, "", f"nearfar: {error}")


def sparse(folder: Path) -> str:
    from nearfar.encoder.precision import Policy
    from nearfar.encoder.sparse import load_sparse

    return str(load_sparse(folder).encode([WORDS], "query", Policy()).toarray().round(5).tolist())


def multi(folder: Path) -> str:
    from nearfar.encoder.multi_vector import load_multi_vector
    from nearfar.encoder.precision import Policy

    return str(load_multi_vector(folder).scores([(WORDS, "read file")], Policy()).sum())


def encoder(folder: Path) -> str:
    from nearfar.encoder.encode import encode
    from nearfar.encoder.load import load_encoder
    from nearfar.encoder.precision import Policy

    return str(encode(load_encoder(folder), [WORDS], "query", Policy()).round(5).tolist())


def reranker(folder: Path) -> str:
    from nearfar.encoder.precision import Policy
    from nearfar.encoder.reranker import load_reranker

    return str(load_reranker(folder).scores([(WORDS, "read file")], Policy()).sum())


def unpickled(folder: Path) -> str:
    """What no command does: the test of the tests."""
    import pickle

    return str(pickle.loads((folder / "pytorch_model.bin").read_bytes()))


def searched(run: Path, *more: str) -> Done:
    return nearfar("search", run, WORDS, *more)


def service(run: Path) -> str:
    """A service over a run is opened, and what its page would ask of the runs beside is asked."""
    from nearfar.encoder.precision import Policy
    from nearfar.serve.config import ServeConfig
    from nearfar.serve.runs import detail, runs_in
    from nearfar.serve.service import Service

    opened = Service.open(run, ServeConfig(), policy=Policy())
    opened.close()
    return str([detail(path).model_dump_json()[:100_000] for path in runs_in(run.parent).values()])


COMMANDS = {
    "unpickled": lambda folder: called(lambda: unpickled(folder)),
    "encoder": lambda folder: called(lambda: encoder(folder)),
    "reranker": lambda folder: called(lambda: reranker(folder)),
    "sparse": lambda folder: called(lambda: sparse(folder)),
    "multi": lambda folder: called(lambda: multi(folder)),
    "dense": searched,
    "lexical": lambda run: searched(run, "--mode", "lexical"),
    "hybrid": lambda run: searched(run, "--mode", "hybrid", "--explain"),
    "learned": lambda run: searched(run, "--rerank", "learned"),
    "codes": lambda run: searched(run, "--bytes", "8"),
    "service": lambda run: called(lambda: service(run)),
    "config": lambda folder: nearfar("fit", "--config", folder / "nearfar.yaml", "--out", folder / "out"),
    "codec": lambda folder: called(lambda: codec(folder)),
}


def codec(folder: Path) -> str:
    from nearfar.index.codec_folder import open_codec

    opened = open_codec(folder)
    return str(opened.decode(np.zeros((1, opened.size_bytes), np.uint8)).sum())


def tried(case: dict) -> dict:
    WATCHED[:] = [case["folder"]]
    SEEN.clear()
    signal.alarm(LIMIT_S)
    before, start = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss, time.perf_counter()
    try:
        done = COMMANDS[case["opens"]](Path(case["folder"]))
    except BaseException as error:
        import traceback

        done = Done(-1, "", "".join(traceback.format_exception(error))[-3000:])
    signal.alarm(0)
    grown = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before
    return {"code": done.code, "out": done.out[-2000:], "err": done.err, "seen": list(SEEN),
            "seconds": time.perf_counter() - start, "grown_kb": grown}  # fmt: skip


def main() -> None:
    resource.setrlimit(resource.RLIMIT_DATA, (LIMIT_BYTES, LIMIT_BYTES))
    answers = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)  # what libraries print is not an answer
    for line in sys.stdin:
        case = json.loads(line)
        if "warm" in case:  # what is imported now is not imported by a case
            for opens, folder in case["warm"].items():
                done = COMMANDS[opens](Path(folder))
                assert done.code == 0, (opens, done)
            sys.addaudithook(watch)
            answers.write(json.dumps({"warm": True}) + "\n")
        else:
            answers.write(json.dumps(tried(case)) + "\n")
        answers.flush()


if __name__ == "__main__":
    main()
