"""The map: places by the definition, and the parts that the page puts together."""

import base64
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
from fastapi.testclient import TestClient

from nearfar.encoder.precision import Policy
from nearfar.report.kept import Named
from nearfar.search.index import Index
from nearfar.serve.app import app_of
from nearfar.serve.config import ServeConfig
from nearfar.serve.judgments import Judgments
from nearfar.serve.layout import components
from nearfar.serve.map import DocumentMap
from nearfar.serve.service import Service


@pytest.fixture(scope="module")
def drawn(place, tmp_path_factory):
    service = Service.open(place, ServeConfig(), policy=Policy())
    service.judgments = Judgments.open(tmp_path_factory.mktemp("judged"))
    with TestClient(app_of(service), base_url="http://localhost") as client:
        client.post("/judgments", json={"query": "open a file", "id": "d3", "good": True})
        until(client, 1)
        yield client


def until(client, version):
    for _ in range(1200):
        if client.get("/map").json()["version"] >= version:
            return
        time.sleep(0.1)
    pytest.fail("the map was not placed")


def places(client):
    return np.frombuffer(client.get("/map/places").content, "<f4").reshape(2, -1).T


@pytest.mark.parametrize("shape", [(40, 8), (3, 8), (40, 1)])
def test_components_are_those_of_a_singular_value_decomposition(shape):
    vectors = np.random.default_rng(0).normal(size=shape).astype(np.float32)
    left, values, _ = np.linalg.svd(vectors - vectors.mean(axis=0), full_matrices=False)
    expected = (left * values)[:, :2]
    found = components(vectors)[:, : expected.shape[1]]
    np.testing.assert_allclose(np.abs(found), np.abs(expected), atol=1e-4)
    assert components(vectors).shape[1] >= 2


def test_the_points_are_documents_then_judged_queries(drawn, place):
    index, state = Index.open(place), drawn.get("/map").json()
    assert (state["points"], state["documents"], state["fields"]) == (len(index) + 1, len(index), ["year"])
    assert drawn.get("/map/ids").json()["ids"] == list(index.generation.ids)
    assert drawn.get("/map/points/7").json() == {"id": "d7", "text": index.document("d7").text}
    assert drawn.get(f"/map/points/{len(index)}").json() == {"id": "", "text": "open a file"}
    assert drawn.get(f"/map/points/{len(index) + 1}").status_code == 404
    assert places(drawn).shape == (len(index) + 1, 2)


def test_colours_are_of_kind_field_and_cluster(drawn):
    def colours(by):
        found = drawn.get("/map/colours", params={"by": by}).json()
        return found["names"], np.frombuffer(base64.b64decode(found["codes"]), np.uint8)

    names, codes = colours("kind")
    assert [names[code] for code in codes[-2:]] == ["document", "query"]
    names, codes = colours("year")
    assert len(names) == 11
    years = [str(2000 + number % 20) for number in range(200)]
    assert [names[code] for code in codes] == [*(year if year in names else "others" for year in years), "query"]
    names, codes = colours("cluster")
    assert set(codes) <= set(range(len(names)))


def test_what_findings_name_is_on_the_map_in_their_colours(place, monkeypatch):
    monkeypatch.setattr("nearfar.serve.map.MOST_DOCUMENTS", 5)
    named = {"drift": Named(("d3", "gone", "d4"), ()), "false_negatives": Named(("d3",), ("open a file", "not here"))}
    drawn = DocumentMap(Index.open(place), ["close it", "open a file"], np.zeros((2, 8), np.float32), named)
    names, codes = drawn.colours("finding")
    found = dict(zip([*drawn.ids(), *drawn.queries], (names[code] for code in codes), strict=True))
    assert {point: name for point, name in found.items() if name not in {"document", "query"}} == {
        "d3": "false negatives", "d4": "drift", "open a file": "false negatives"}  # fmt: skip
    assert len(drawn.rows) in {5, 6, 7}


def test_a_service_without_an_index_has_no_map(place):
    service = Service.open(place / "model", ServeConfig(), policy=Policy())
    with TestClient(app_of(service), base_url="http://localhost") as client:
        assert client.get("/map").status_code == 404


@pytest.mark.slow
def test_umap_comes_from_a_process_of_its_own(drawn):
    before = places(drawn)
    until(drawn, 2)
    state, after = drawn.get("/map").json(), places(drawn)
    assert (state["method"], state["final"]) == ("UMAP", True)
    assert after.shape == before.shape
    assert np.isfinite(after).all()
    assert not np.allclose(after, before)


ENDS_AT_ONCE = """
import os
import numpy as np
from nearfar.serve.layout import Elsewhere
print(Elsewhere(np.random.default_rng(0).random((100_000, 50), np.float32))._process.pid, flush=True)
input()
os._exit(0)
"""


@pytest.mark.skipif(sys.platform != "linux", reason="looks into /proc")
def test_umap_ends_with_the_service_however_that_ends():
    with subprocess.Popen([sys.executable, "-c", ENDS_AT_ONCE], stdin=subprocess.PIPE, stdout=subprocess.PIPE,
                          text=True) as service:  # fmt: skip
        stat = Path(f"/proc/{int(service.stdout.readline())}/stat")
        time.sleep(1)
        assert runs(stat)
        service.stdin.write("\n")
    for _ in range(200):
        if not runs(stat):
            return
        time.sleep(0.1)
    pytest.fail("it goes on")


def runs(stat):
    """Whether a process is there that has not ended."""
    try:
        return stat.read_text().rpartition(") ")[2][0] not in "ZX"
    except (FileNotFoundError, ProcessLookupError):
        return False
