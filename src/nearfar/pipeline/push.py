"""`push`: a run's model, its card and, if wanted, its index as a repository on the Hugging Face hub."""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from huggingface_hub import CommitOperationAdd, CommitOperationDelete, HfApi, get_token
from huggingface_hub.errors import LocalTokenNotFoundError

from nearfar.core.artifact import MANIFEST, is_artifact, placing, read_whole, sealed
from nearfar.core.errors import BadInput, FingerprintMismatch
from nearfar.core.swap import sync
from nearfar.encoder.examples import FOLDER as EXAMPLES
from nearfar.encoder.load import model_folder, near_folder
from nearfar.encoder.runtimes import Fit, fits
from nearfar.pipeline.hub import check_name, hub_told
from nearfar.pipeline.model_card import Sharing, findings_of, hub_name, model_card
from nearfar.pipeline.progress import Reporter, Silent
from nearfar.pipeline.run import RECORD, Run
from nearfar.report.filters import amount

CARD, INDEX, ADAPTER = "README.md", "index", "adapter"
MESSAGE = "Model of nearfar"

Parcel = Mapping[str, Path | bytes]  # what goes where in the repository


@dataclass(frozen=True)
class Pushed:
    """What was sent, or written to look at."""

    repository: str
    url: str  # "" where nothing was sent
    commit: str
    path: str  # where it was written; "" where it was sent
    files: Mapping[str, int]  # bytes of each
    findings: bool  # whether the card has the doctor's
    runtimes: tuple[Fit, ...]  # the servers that take it


def push(  # noqa: PLR0913  # all but two by keyword
    run: str | Path,
    name: str,
    *,
    private: bool = False,
    with_index: bool = False,
    with_examples: bool = False,
    languages: Sequence[str] = (),
    licence: str | None = None,
    out: str | Path | None = None,
    reporter: Reporter | None = None,
) -> Pushed:
    """Send the model of a run with a card to the Hugging Face hub, as one commit.

    The token is that of `hf auth login` or HF_TOKEN. Of the data nothing is sent but counts, unless it is asked for.

    Args:
        run: a run, or a model folder.
        name: OWNER/NAME; the repository is made where there is none.
        private: make it so that only its owner sees it; one that is there keeps what it is.
        with_index: send the index too, with the texts of all documents.
        with_examples: let examples of the data into the card, and those that the model puts before queries.
        languages: of the texts, such as "en", for the card.
        licence: of the model by the hub's names, such as "apache-2.0", for the card.
        out: a new folder to write it all to; nothing is sent then.

    Raises:
        BadInput: there is no such model, it would take texts along, or the hub does not take it.
    """
    check_name(name)
    reporter = reporter or Silent()
    sharing = Sharing(name, tuple(languages), licence, with_examples=with_examples, with_index=with_index)
    parcel = packed(Path(run), sharing)
    sizes = {place: len(what) if isinstance(what, bytes) else what.stat().st_size for place, what in parcel.items()}
    runtimes = tuple(fits(run))
    told = (Path(run) / RECORD).exists() and bool(findings_of(Run.open(run)))
    if out is not None:
        _write(parcel, Path(out))
        return Pushed(name, "", "", str(out), sizes, told, runtimes)
    reporter.say(f"sending {len(sizes)} files, {amount(sum(sizes.values()))}, to {name}")
    url, commit = _send(parcel, name, private=private)
    return Pushed(name, url, commit, "", sizes, told, runtimes)


def packed(run: Path, sharing: Sharing) -> Parcel:
    """Everything that belongs in the repository; the manifest does not speak of the card, which may be edited there.

    Raises:
        BadInput: as of `push`.
    """
    record = Run.open(run) if (run / RECORD).exists() else None
    folder = model_folder(str(run)) or run
    if not is_artifact(folder, "model"):
        raise BadInput.at(run, expected="a run, or a model folder of nearfar", found="neither",
                          do=near_folder(str(run)) or "check the path")  # fmt: skip
    whole = read_whole(folder, "model")
    kept = {place: entry for place, entry in whole["files"].items() if _goes(place, record)}
    if any(place.startswith(f"{EXAMPLES}/") for place in kept) and not sharing.with_examples:
        raise BadInput.at(folder / EXAMPLES, expected="a model without texts of the data",
                          found="examples that it puts before queries",
                          do="add --with-examples to send them, too")  # fmt: skip
    manifest = json.dumps(sealed("model", whole["meta"], kept), indent=1, ensure_ascii=False) + "\n"
    card = model_card(folder, record, sharing)
    index = _index(run, whole["meta"]["fingerprint"]) if sharing.with_index else {}
    return {CARD: card.encode(errors="replace"), MANIFEST: manifest.encode(),
            **{place: folder / place for place in kept}, **index}  # fmt: skip


def _goes(place: str, run: Run | None) -> bool:
    """An adapter names its base, which may be a folder here."""
    return place != CARD and not (
        place.startswith(f"{ADAPTER}/") and (run is None or hub_name(run.record["config"]["base"]) is None)
    )


def _index(run: Path, fingerprint: str) -> Parcel:
    folder = run / INDEX
    whole = read_whole(folder, INDEX)
    if "table" in whole["meta"]:
        raise BadInput.at(folder, expected="an index whose table lies in it", found="one at a URL",
                          do="leave --with-index out")  # fmt: skip
    if whole["meta"]["fingerprint"] != fingerprint:
        raise FingerprintMismatch(f"{folder} is of model {whole['meta']['fingerprint']}, {run} has {fingerprint}; "
                                  "build the index again, or leave --with-index out")  # fmt: skip
    return {f"{INDEX}/{place}": folder / place for place in [MANIFEST, *whole["files"]]}


def _write(parcel: Parcel, out: Path) -> None:
    with placing(out) as folder:
        for place, what in parcel.items():
            target = folder / place
            target.parent.mkdir(parents=True, exist_ok=True)
            if isinstance(what, bytes):
                target.write_bytes(what)
            else:
                shutil.copyfile(what, target)
            sync(target)


def _send(parcel: Parcel, name: str, *, private: bool) -> tuple[str, str]:
    """Address of the repository, and the commit."""
    api = HfApi()
    with hub_told(name):
        if get_token() is None:  # the hub would say that there is no such repository
            raise LocalTokenNotFoundError
        api.create_repo(name, private=private or None, exist_ok=True)
        done = api.create_commit(name, list(_operations(parcel, api.list_repo_files(name))), commit_message=MESSAGE)
    return f"{api.endpoint}/{name}", str(done.oid)


def _operations(parcel: Parcel, there: Sequence[str]) -> Iterator[CommitOperationAdd | CommitOperationDelete]:
    """An index of before would be another model's."""
    old = [place for place in there if place.startswith(f"{INDEX}/") and place not in parcel]
    yield from map(CommitOperationDelete, old)
    yield from (CommitOperationAdd(place, what) for place, what in parcel.items())
