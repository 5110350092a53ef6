"""A service over a small index, in this process and behind a port."""

import json

import httpx
import pytest

from nearfar.encoder.precision import Policy
from nearfar.encoder.save import save_encoder
from nearfar.pipeline import indexing
from tiny_models import sentences, tiny_static

TEXTS = sentences(200)


@pytest.fixture(scope="session")
def place(tmp_path_factory):
    """A run folder with a token table and an index of 200 documents."""
    folder = tmp_path_factory.mktemp("served") / "small"
    folder.mkdir()
    save_encoder(tiny_static(), folder / "model", card="")
    lines = [{"_id": f"d{n}", "text": text, "year": 2000 + n % 20} for n, text in enumerate(TEXTS)]
    (folder / "documents.jsonl").write_text("".join(json.dumps(line) + "\n" for line in lines))
    indexing.build(str(folder / "documents.jsonl"), folder / "model", folder / "index")
    return folder


@pytest.fixture(scope="session")
def url(place):
    """The address of a service over it, which other programs can call."""
    from nearfar.serve.config import ServeConfig
    from nearfar.serve.service import Service
    from serving import serving

    with serving(Service.open(place, ServeConfig(), policy=Policy())) as address:
        yield address


@pytest.fixture(scope="session")
def client(url):
    with httpx.Client(base_url=url, timeout=60) as opened:
        yield opened
