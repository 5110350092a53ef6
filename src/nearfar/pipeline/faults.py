"""What stops a run on its way, told so that the user can go on."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from nearfar.core.artifact import write_json
from nearfar.core.disk import disk_told
from nearfar.core.errors import Interrupted, NearfarError
from nearfar.data.batches import Ids
from nearfar.data.dataset import Texts
from nearfar.pipeline.session import Session
from nearfar.train.diverged import Diverged

DIVERGED = "diverged.json"  # in the run folder: the ids of the batch that made the numbers infinite
SHOWN = 3  # ids in the line; the rest is in the file


@contextmanager
def resumable(folder: Path) -> Iterator[None]:
    """Say how to go on when the user or the disk stops work on the run in `folder`.

    Raises:
        Interrupted: Ctrl-C.
        DiskTrouble: the disk cannot take what is written.
    """
    try:
        with disk_told(folder, do="free some space, then go on with --resume"):
            yield
    except KeyboardInterrupt:
        raise Interrupted("interrupted; go on with --resume") from None


@contextmanager
def diverged_told(session: Session) -> Iterator[None]:
    """Name the batch in which training diverged by the ids of its data, and the last checkpoint before it.

    Raises:
        NearfarError: training diverged; all ids are in `diverged.json` of the run folder.
    """
    try:
        yield
    except Diverged as error:
        place = session.folder / DIVERGED
        queries = _ids(session, session.dataset.queries, error.queries)
        documents = _ids(session, session.dataset.documents, error.documents)
        write_json(place, {"step": error.step, "queries": queries, "documents": documents})
        more = f" and {len(queries) - SHOWN:,} more (all in {place})" if len(queries) > SHOWN else f" (see {place})"
        whole = session.checkpoints.paths()
        last = f"the last good checkpoint is {whole[-1]}" if whole else "there is no checkpoint yet"
        how = "--resume" if session.stage else "--overwrite"  # other settings make another stage
        do = f"lower train.learning_rate, or look at those pairs, and start again with {how}"
        shown = ", ".join(queries[:SHOWN])
        raise NearfarError(f"{error} in the batch of queries {shown}{more}; {last}; {do}") from error


def _ids(session: Session, texts: Texts, numbers: Ids) -> list[str]:
    meant = {session.source.texts[number] for number in numbers}
    return [name for name, text in zip(texts.ids, texts.texts, strict=True) if text in meant]
