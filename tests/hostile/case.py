"""One hostile folder: what it is made of, how it is opened, and what must come of that."""

import json
import os
import pickle
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

CANARY = "canary"  # beside the hostile folder; a payload that runs makes it
PICKLES = (".bin", ".pt", ".pth", ".pkl", ".pickle", ".joblib", ".ckpt", ".npy", ".npz", ".faiss", ".index", ".py")
WORDS = "open file"  # that is searched for


@dataclass(frozen=True)
class Case:
    """A copy of a good folder, made hostile."""

    name: str
    opens: str  # the command of the worker that opens it
    make: Callable[[Path], None]  # what is done to the copy
    comes: Literal["refused", "as before", "opened"] = "refused"


class Payload:
    """Makes the canary when it is unpickled."""

    def __init__(self, folder: Path) -> None:
        self.canary = folder.parent / CANARY

    def __reduce__(self) -> Any:
        return os.system, (f"touch '{self.canary}'",)


def pickled(folder: Path) -> bytes:
    return pickle.dumps(Payload(folder))


def put_pickle(*names: str) -> Callable[[Path], None]:
    """Write the payload under these names; the folders are made."""

    def make(folder: Path) -> None:
        for name in names:
            (folder / name).parent.mkdir(parents=True, exist_ok=True)
            (folder / name).write_bytes(pickled(folder))

    return make


def put(name: str, content: str | bytes) -> Callable[[Path], None]:
    """Write one file."""

    def make(folder: Path) -> None:
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_bytes(content if isinstance(content, bytes) else content.encode())

    return make


def edit(name: str, change: Callable[[Any], Any]) -> Callable[[Path], None]:
    """Change a JSON file, which may be missing."""

    def make(folder: Path) -> None:
        path = folder / name
        before = json.loads(path.read_text()) if path.exists() else {}
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(json.dumps(change(before)))

    return make


def merge(name: str, **values: Any) -> Callable[[Path], None]:
    """Set fields of a JSON file."""
    return edit(name, lambda before: {**before, **values})


def both(*makes: Callable[[Path], None]) -> Callable[[Path], None]:
    """One after the other."""

    def make(folder: Path) -> None:
        for one in makes:
            one(folder)

    return make


def code(name: str) -> Callable[[Path], None]:
    """A module that makes the canary when it is imported, and has what it may be asked for."""

    def make(folder: Path) -> None:
        source = (
            f"import pathlib; pathlib.Path({str(folder.parent / CANARY)!r}).touch()\n"
            "class Evil:\n    def __init__(self, *a, **k): pass\n"
            "    load = from_pretrained = classmethod(lambda c, *a, **k: c())\n"
        )
        put(name, source)(folder)

    return make
