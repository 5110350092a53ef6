"""A server that speaks as much of the Hugging Face hub as pushing and pulling a model needs, on this machine."""

import base64
import hashlib
import json
import re
import threading
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import unquote, urlsplit

WRITE, READ = "hf_may_write_0123456789", "hf_may_read_0123456789"  # tokens
LARGE = (".safetensors", ".lance", ".npy", ".npz")  # kept as the hub keeps large files
REPO = r"(?P<name>[\w.-]+/[\w.-]+)"


@dataclass
class Repo:
    private: bool = False
    files: dict[str, bytes] = field(default_factory=lambda: {".gitattributes": b"*.safetensors filter=lfs\n"})
    commit: str = "0" * 40

    def change(self, files) -> None:
        self.files = files
        self.commit = hashlib.sha1(repr(sorted(files.items())).encode()).hexdigest()


@dataclass
class Hub:
    url: str = ""
    repos: dict[str, Repo] = field(default_factory=dict)
    stored: dict[str, bytes] = field(default_factory=dict)  # large files by SHA-256
    asked: list[tuple[str, str, str]] = field(default_factory=list)  # method, path, authorization
    spoil: dict[str, bytes] = field(default_factory=dict)  # what is sent of a file in its place
    answer: int = 0  # a status that everything is answered with

    def calls(self, method: str, words: str) -> int:
        return sum(method == asked and words in path for asked, path, _ in self.asked)


@contextmanager
def hub():
    """A hub, for as long as it answers."""
    state = Hub()
    server = ThreadingHTTPServer(("127.0.0.1", 0), type("Bound", (Handler,), {"hub": state}))
    state.url = f"http://127.0.0.1:{server.server_port}"
    threading.Thread(target=server.serve_forever, daemon=True).start()
    try:
        yield state
    finally:
        server.shutdown()
        server.server_close()


class Handler(BaseHTTPRequestHandler):
    hub: Hub
    protocol_version = "HTTP/1.1"

    def log_message(self, *_) -> None:
        pass

    def do_GET(self) -> None:
        self.answer()

    do_POST = do_PUT = do_HEAD = do_GET  # noqa: N815

    def answer(self) -> None:
        self.body = self.rfile.read(int(self.headers.get("content-length") or 0))
        path = unquote(urlsplit(self.path).path)
        self.hub.asked.append((self.command, path, self.headers.get("authorization") or ""))
        if self.hub.answer:
            return self.send(self.hub.answer, {"error": "as the test wants it"})
        for (method, pattern), reply in ROUTES.items():
            match = re.fullmatch(pattern, path)
            if match and method in {self.command, "GET" if self.command == "HEAD" else ""}:
                return reply(self, **match.groupdict())
        return self.send(500, {"error": f"no such route: {self.command} {path}"})

    @property
    def token(self) -> str:
        return (self.headers.get("authorization") or "").removeprefix("Bearer ")

    def repo(self, name: str) -> Repo | None:
        """A repository that the token may see; else the answer is sent."""
        repo = self.hub.repos.get(name)
        if repo is None or (repo.private and self.token not in {READ, WRITE}):
            self.send(404 if self.token else 401, {"error": "Repository not found"}, {"X-Error-Code": "RepoNotFound"})
            return None
        return repo

    def may_write(self) -> bool:
        if self.token != WRITE:
            self.send(403 if self.token == READ else 401, {"error": "You don't have the rights required"})
        return self.token == WRITE

    def send(self, status: int, value, headers=None) -> None:
        data = value if isinstance(value, bytes) else json.dumps(value).encode()
        self.send_response(status)
        for name, text in {"content-length": len(data), "content-type": "application/json", **(headers or {})}.items():
            self.send_header(name, str(text))
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(data)


def create(handler) -> None:
    asked = json.loads(handler.body)
    if not handler.may_write():
        return None
    name = f"{asked['organization']}/{asked['name']}"
    if name in handler.hub.repos:
        return handler.send(409, {"error": "You already created this model repo", "url": f"{handler.hub.url}/{name}"})
    handler.hub.repos[name] = Repo(private=asked.get("visibility") == "private" or bool(asked.get("private")))
    return handler.send(200, {"url": f"{handler.hub.url}/{name}"})


def info(handler, name: str, revision: str = "main") -> None:
    repo = handler.repo(name)
    if repo is None:
        return None
    if revision not in {"main", repo.commit}:
        return handler.send(404, {"error": "no such revision"}, {"X-Error-Code": "RevisionNotFound"})
    return handler.send(200, {"id": name, "sha": repo.commit, "private": repo.private, "tags": [], "downloads": 0,
                              "siblings": [sibling(*entry) for entry in repo.files.items()]})  # fmt: skip


def sibling(place: str, data: bytes) -> dict:
    lfs = {"lfs": {"sha256": sha256(data), "size": len(data), "pointerSize": 134}} if place.endswith(LARGE) else {}
    return {"rfilename": place, "size": len(data), "blobId": blob(data), **lfs}


def tree(handler, name: str, revision: str) -> None:
    repo = handler.repo(name)
    if repo is not None:
        handler.send(200, [{"type": "file", "path": place, "size": len(data), "oid": blob(data)}
                           for place, data in repo.files.items()])  # fmt: skip


def preupload(handler, name: str) -> None:
    repo = handler.repo(name)
    if repo is not None and handler.may_write():
        files = [{"path": file["path"], "uploadMode": "lfs" if file["path"].endswith(LARGE) else "regular",
                  "shouldIgnore": False} for file in json.loads(handler.body)["files"]]  # fmt: skip
        handler.send(200, {"files": files})


def validate(handler) -> None:
    content = json.loads(handler.body)["content"]
    licences = re.findall(r"^license: (.*)$", content, re.MULTILINE)
    bad = [{"message": f'"license" must be one of [apache-2.0, mit, …], found {one}'} for one in licences
           if one not in {"apache-2.0", "mit"}]  # fmt: skip
    handler.send(400 if bad else 200, {"errors": bad, "warnings": []})


def batch(handler, name: str) -> None:
    if handler.may_write():
        objects = [{**one, "actions": {"upload": {"href": f"{handler.hub.url}/store/{one['oid']}"}}}
                   for one in json.loads(handler.body)["objects"]]  # fmt: skip
        handler.send(200, {"transfer": "basic", "objects": objects})


def store(handler, oid: str) -> None:
    right = sha256(handler.body) == oid
    if right:
        handler.hub.stored[oid] = handler.body
    handler.send(200 if right else 400, {})


def commit(handler, name: str) -> None:
    repo = handler.repo(name)
    if repo is None or not handler.may_write():
        return
    files = dict(repo.files)
    for line in handler.body.splitlines():
        entry = json.loads(line)
        value = entry["value"]
        if entry["key"] == "file":
            files[value["path"]] = base64.b64decode(value["content"])
        elif entry["key"] == "lfsFile":
            files[value["path"]] = handler.hub.stored[value["oid"]]
        elif entry["key"] == "deletedFile":
            del files[value["path"]]
    repo.change(files)
    handler.send(200, {"commitUrl": f"{handler.hub.url}/{name}/commit/{repo.commit}", "commitOid": repo.commit})


def resolve(handler, name: str, place: str, revision: str) -> None:
    repo = handler.repo(name)
    if repo is None:
        return None
    if place not in repo.files:
        return handler.send(404, {"error": "no such file"}, {"X-Error-Code": "EntryNotFound"})
    data = repo.files[place]
    etag = sha256(data) if place.endswith(LARGE) else blob(data)
    data = handler.hub.spoil.get(place, data)
    return handler.send(200, data, {"ETag": f'"{etag}"', "X-Repo-Commit": repo.commit})


def sha256(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()


def blob(data: bytes) -> str:
    return hashlib.sha1(f"blob {len(data)}\0".encode() + data).hexdigest()


ROUTES = {
    ("POST", "/api/repos/create"): create,
    ("POST", "/api/validate-yaml"): validate,
    ("GET", f"/api/models/{REPO}"): info,
    ("GET", f"/api/models/{REPO}/revision/(?P<revision>[^/]+)"): info,
    ("GET", f"/api/models/{REPO}/tree/(?P<revision>[^/]+)"): tree,
    ("POST", f"/api/models/{REPO}/preupload/main"): preupload,
    ("POST", f"/api/models/{REPO}/commit/main"): commit,
    ("POST", rf"/{REPO}\.git/info/lfs/objects/batch"): batch,
    ("PUT", r"/store/(?P<oid>\w+)"): store,
    ("GET", f"/{REPO}/resolve/(?P<revision>[^/]+)/(?P<place>.+)"): resolve,
}
