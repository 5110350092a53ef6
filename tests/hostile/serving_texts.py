"""A service whose every document, name and value is hostile."""

import json
from functools import partial
from pathlib import Path

from texts import MARKUP, documents

from nearfar.encoder.precision import Policy
from nearfar.encoder.save import save_encoder
from nearfar.pipeline import indexing
from nearfar.pipeline.served import ServedIndex
from nearfar.serve.config import ServeConfig
from nearfar.serve.judgments import Judgments
from nearfar.serve.service import Service
from tiny_models import tiny_static

RUN = MARKUP[7]  # the name of a run: no slash is in it


def built(place: Path) -> Path:
    """A run whose index holds the documents, in a folder with a hostile run beside it."""
    run = place / "small"
    save_encoder(tiny_static(), run / "model", card="")
    lines = [{"_id": one["id"], **{name: value for name, value in one.items() if name != "id"}} for one in documents()]
    (run / "documents.jsonl").write_text("".join(json.dumps(line) + "\n" for line in lines), encoding="utf-8")
    indexing.build(str(run / "documents.jsonl"), run / "model", run / "index")
    (place / RUN).mkdir()
    said = {
        "verdict": MARKUP[0],
        "metrics": {"model": {MARKUP[1]: 0.5}, MARKUP[2]: {MARKUP[3]: 0.5}},
        "comparisons": {"base": {"difference": 0.1, "low": 0, "high": 0.2, "p_value": 0}},
        "losses": [1, 0.5],
        "alarms": [[1, MARKUP[4], MARKUP[5]]],
    }
    (place / RUN / "run.json").write_text(json.dumps(said))
    curves = place / RUN / "curves.jsonl"
    (place / "going").mkdir()
    curves.write_text("".join(json.dumps({"step": n, MARKUP[6]: 1 / n, "{{7*7}}": n}) + "\n" for n in (1, 2, 3)))
    (place / "going" / "started.json").write_text(json.dumps({"curves": str(curves)}))
    return run


def opened(run: Path) -> Service:
    service = Service.open(run, ServeConfig(allow_writes=True), policy=Policy())
    service.writable = ServedIndex(
        service.index.path, service.encoder, partial(service.batcher.embed_now, role="document")
    )
    service.judgments = Judgments.open(run.parent / "judged")
    service.runs = run.parent
    return service
