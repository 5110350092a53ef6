"""Who is answered at all."""

import pytest
from fastapi.testclient import TestClient

from nearfar.core.errors import BadInput
from nearfar.encoder.precision import Policy
from nearfar.serve.app import app_of
from nearfar.serve.config import ServeConfig
from nearfar.serve.run import KEY, bound, key_of
from nearfar.serve.service import Service

SECRET = "a key that is long enough"


@pytest.fixture(scope="module")
def guarded(place):
    service = Service.open(place / "model", ServeConfig(), policy=Policy())
    with TestClient(app_of(service, SECRET), base_url="http://localhost") as client:
        yield client


def test_without_the_key_there_is_no_answer(guarded):
    for headers in ({}, {"authorization": "Bearer other"}, {"authorization": SECRET + "x"}):
        done = guarded.post("/v1/embeddings", json={"model": "small", "input": "a"}, headers=headers)
        assert done.status_code == 401
        assert done.json()["error"]["type"] == "authentication_error"
    right = {"authorization": f"Bearer {SECRET}"}
    assert guarded.post("/v1/embeddings", json={"model": "small", "input": "a"}, headers=right).status_code == 200
    assert guarded.get("/livez").text == "ok"
    assert guarded.get("/readyz").text == "ready"
    assert guarded.get("/metrics").status_code == 401


def test_a_page_elsewhere_cannot_call_by_a_name_that_points_here(client):
    for host in ("evil.example", "localhost.evil.example", "127.0.0.1.evil.example"):
        assert client.get("/v1/models", headers={"host": host}).status_code == 403
    assert client.get("/v1/models", headers={"host": "localhost:1"}).status_code == 200


def test_a_form_of_another_page_is_not_read(client):
    done = client.post("/search", content=b'{"query": "a"}', headers={"content-type": "text/plain"})
    assert done.status_code == 422


def test_a_body_that_says_it_is_too_long_is_refused_in_the_words_of_its_path(client):
    body = b" " * ((16 << 20) + 1)
    messages = {"/v1/embeddings": lambda said: said["error"]["message"], "/v2/rerank": lambda said: said["message"],
                "/embed": lambda said: said["error"]}  # fmt: skip
    for path, message in messages.items():
        done = client.post(path, content=body, headers={"content-type": "application/json"})
        assert done.status_code == 413
        assert message(done.json()).startswith("expected a body of at most 16,777,216 bytes, found 16,777,217")
    done = client.post("/embed", content=iter([body]), headers={"content-type": "application/json"})  # says no length
    assert (done.status_code, done.json()["error"]) == (413, "Content Too Large")
    assert done.headers["x-content-type-options"] == "nosniff"


def test_every_answer_has_the_headers_of_a_safe_page(client):
    for path in ("/livez", "/none", "/v1/models"):
        headers = client.get(path).headers
        assert "default-src 'self'" in headers["content-security-policy"]
        assert headers["x-content-type-options"] == "nosniff"
        assert "access-control-allow-origin" not in headers
        assert "server" not in headers or "uvicorn" in headers["server"]


def test_other_machines_need_a_key(monkeypatch):
    monkeypatch.delenv(KEY, raising=False)
    assert key_of(ServeConfig()) is None
    with pytest.raises(BadInput, match=r"or a key in NEARFAR_API_KEY, found 0\.0\.0\.0"):
        key_of(ServeConfig(host="0.0.0.0"))
    monkeypatch.setenv(KEY, "short")
    with pytest.raises(BadInput, match="expected 16 ASCII characters or more, found 5"):
        key_of(ServeConfig())
    monkeypatch.setenv(KEY, SECRET)
    assert key_of(ServeConfig(host="0.0.0.0")) == SECRET


def test_a_taken_port_is_told():
    with bound(ServeConfig(port=0)) as taken:
        taken.listen()
        with pytest.raises(BadInput, match="expected an address that is free"):
            bound(ServeConfig(port=taken.getsockname()[1]))


def test_counts_are_for_prometheus(client):
    client.get("/v1/models")
    text = client.get("/metrics").text
    assert 'nearfar_requests_total{path="/v1/models",status="200"}' in text
    client.get("/something/else")
    assert "something" not in client.get("/metrics").text
