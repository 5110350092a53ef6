"""The page's files: all there, open to all, and nothing else."""

import hashlib
import re
from pathlib import Path

import pytest
from fastapi.testclient import TestClient

from nearfar.encoder.precision import Policy
from nearfar.serve.app import app_of
from nearfar.serve.config import ServeConfig
from nearfar.serve.page import BUILT
from nearfar.serve.service import Service

SOURCE = Path(__file__).parents[2] / "page"


def test_the_built_files_are_of_this_source():
    names = [
        "index.html",
        "package-lock.json",
        "vite.config.ts",
        *(f"src/{path.name}" for path in (SOURCE / "src").iterdir()),
    ]
    state = hashlib.sha256()
    for name in sorted(names):
        state.update(f"{name}\n".encode() + (SOURCE / name).read_bytes())
    assert (BUILT / "source.txt").read_text().strip() == state.hexdigest(), "run: cd page && npm ci && npm run build"


def test_no_text_can_become_markup():
    for path in (SOURCE / "src").glob("*.ts"):
        found = re.search(
            r"innerHTML|outerHTML|insertAdjacentHTML|document\.write|DOMParser|createContextualFragment",
            path.read_text(),
        )
        assert found is None, f"{path.name}: {found}"


def test_every_file_that_the_page_names_is_served_and_stays_known(client):
    page = client.get("/")
    assert page.headers["content-type"] == "text/html; charset=utf-8"
    assert "<script>" not in page.text
    names = re.findall(r'(?:src|href)="\./(assets/[^"]+)"', page.text)
    assert {name.rpartition(".")[2] for name in names} == {"js", "css"}
    for name in names:
        got = client.get(f"/{name}")
        assert got.content == (BUILT / name).read_bytes()
        assert client.get(f"/{name}", headers={"if-none-match": got.headers["etag"]}).status_code == 304


@pytest.mark.parametrize("path", ["/assets/none.js", "/assets/..%2Findex.html", "/assets/%2E%2E%2F%2E%2E%2Fpage.py",
                                  "/assets/..%5c..%5capp.py", "/assets/", "/source.txt", "/assets/%00"])  # fmt: skip
def test_nothing_else_is(client, path):
    assert client.get(path).status_code == 404


def test_no_address_is_built_from_what_is_sent(client):
    got = client.get("/v1/models/", headers={"host": "localhost"}, follow_redirects=False)
    assert (got.status_code, got.headers.get("location")) == (404, None)


def test_docs_are_a_view_of_the_page(client):
    done = client.get("/docs")
    assert done.status_code == 307
    assert done.headers["location"] == "/#/interface"


def test_the_page_needs_no_key_but_what_it_shows_does(place):
    service = Service.open(place, ServeConfig(), policy=Policy())
    with TestClient(app_of(service, "a key that is long enough"), base_url="http://localhost") as client:
        assert client.get("/").status_code == 200
        assert client.get("/assets/index.js").status_code == 200
        assert client.get("/about").status_code == 401


def test_a_base_stands_beside(place):
    service = Service.open(place, ServeConfig(), policy=Policy())
    service.base = Service.open(place, ServeConfig(), policy=Policy())
    with TestClient(app_of(service), base_url="http://localhost") as client:
        assert client.get("/about").json()["base"] == service.name
        body = {"query": "open a file", "k": 5}
        hits = [client.post(path, json=body).json()["hits"] for path in ("/search", "/base/search")]
        assert hits[0] == hits[1]
        assert len(client.get("/base/similar/d1").json()["hits"]) == 10
