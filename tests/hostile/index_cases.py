"""Run and index folders that would run code, read elsewhere, or take all time and memory; most are sealed anew."""

import json
import struct

import numpy as np
from case import Case, Payload, both, put, put_pickle
from model_cases import BOMB, DEEP, fifo, link, sparse_file

INDEX, GENERATION = "index", "index/generations/1"
CENTROIDS = "inner.centroids"  # in the state of a codec behind a linear map
CELLS, WORDS_OF = f"{GENERATION}/cells", "index/words/1"


def sealed(make, place=INDEX, kind="index", **meta):
    """Do it, then seal the artifact at a place as its writer would: checksums alone keep no one out."""

    def made(folder):
        from nearfar.core.artifact import _load_manifest, write_manifest

        before = _load_manifest(folder / place, kind)
        names = [folder / place / name for name in before["files"]]
        make(folder)
        (folder / place / "manifest.json").unlink()
        write_manifest(folder / place, kind, {**before["meta"], **meta}, [name for name in names if name.exists()])

    return made


def nothing(_folder):
    pass


def codec(make, **meta):
    """The codec of the cells made hostile, and sealed with all around it."""
    return sealed(sealed(make, f"{CELLS}/codec", "codec", **meta))


def array(name, change):
    """Change an array of a .npy file."""

    def make(folder):
        np.save(folder / name, change(np.load(folder / name)))

    return make


def objects(name):
    """An array of objects, which are a pickle."""

    def make(folder):
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        with (folder / name).open("wb") as file:
            np.save(file, np.array([Payload(folder)], object), allow_pickle=True)

    return make


def archive(name, **changes):
    """Change arrays of a .npz file."""

    def make(folder):
        with np.load(folder / name) as kept:
            arrays = {key: kept[key] for key in kept}
        arrays |= {key: change(arrays.get(key)) if callable(change) else change for key, change in changes.items()}
        np.savez(folder / name, **arrays)

    return make


def archived_pickle(name):
    def make(folder):
        with np.load(folder / name) as kept:
            arrays = {key: kept[key] for key in kept}
        first = next(iter(arrays))
        np.savez(folder / name, **{**arrays, first: np.array([Payload(folder)], object)})

    return make


def npy_header(name, text):
    """A .npy file with this header, which NumPy reads as Python's own literals."""
    raw = text.encode().ljust(118) + b"\n"
    return put(name, b"\x93NUMPY\x01\x00" + struct.pack("<H", len(raw)) + raw + b"\0" * 64)


def manifest(change):
    """Another manifest, sealed."""

    def make(folder):
        from nearfar.core.artifact import _seal

        path = folder / INDEX / "manifest.json"
        before = json.loads(path.read_text())
        before.pop("seal")
        after = change(before)
        path.write_text(json.dumps({**after, "seal": _seal(after)}))

    return make


def lance_files(change, pattern="index/documents.lance/data/*.lance"):
    def make(folder):
        for path in folder.glob(pattern):
            path.write_bytes(change(path.read_bytes()))

    return make


def trees(text):
    """A learned order of these trees."""

    def make(folder):
        from nearfar.index.settings import LearnedOrder, Settings

        Settings(learned=LearnedOrder()).save(folder / INDEX, {"cheap.txt": text})

    return make


def named(**values):
    return manifest(lambda before: {**before, "meta": {**before["meta"], **values}})


def file_named(name):
    return manifest(lambda before: {**before, "files": {**before["files"], name: {"bytes": 1, "sha256": "x"}}})


def shifted(values):
    return np.where(np.arange(len(values)) % 2 == 0, values, 2**31 - 1 - np.arange(len(values))).astype(values.dtype)


PICKLED = [
    Case("pickles about an index", "hybrid", put_pickle(
        "index/index.faiss", "index/documents.pkl", "index/generations/1/cells.pkl", "index/x.npy", "model/optimizer.pt",
        "checkpoints/step-1/optimizer.pt", "codes/8/codes.pkl", "data/pairs.pkl", "index/search/model.joblib2"), "refused"),
    Case("pickles beside an index", "hybrid", put_pickle(
        "index.faiss", "documents.pkl", "optimizer.pt", "checkpoints/step-1/optimizer.pt", "data/pairs.joblib"), "as before"),
    *(Case(f"objects for {name}", "hybrid", sealed(objects(f"{place}/{name}.npy"))) for place, name in (
        (CELLS, "centroids"), (CELLS, "starts"), (CELLS, "rows"), (CELLS, "codes"), (f"{GENERATION}/words", "1"),
        (WORDS_OF, "letters"), (WORDS_OF, "documents"), (WORDS_OF, "rules"))),
    Case("objects in the codec", "dense", codec(archived_pickle(f"{CELLS}/codec/state.npz"))),
    Case("objects in the canaries", "dense", sealed(archived_pickle(f"{GENERATION}/canaries.npz"))),
    Case("objects for the codes", "codes", sealed(objects("codes/8/codes.npy"), "codes/8", "codes")),
    Case("a pickle for the codes", "codes", sealed(put_pickle("codes/8/codes.npy"), "codes/8", "codes")),
    Case("a pickle for the centroids", "dense", sealed(put_pickle(f"{CELLS}/centroids.npy"))),
    Case("trees that are a pickle", "learned", lambda folder: trees("x")(folder) or sealed(
        put_pickle("index/search/cheap.txt"), "index/search", "search settings")(folder)),
    Case("trees that are none", "learned", trees("tree\nversion=v4\nnum_class=99999999999\n")),
    Case("trees of nothing", "learned", trees("")),
    Case("trees that lie about their size", "learned", trees(
        "tree\nversion=v4\nnum_class=1\nnum_tree_per_iteration=1\nlabel_index=0\nmax_feature_idx=2147483640\n"
        "objective=regression\nfeature_names=a\nfeature_infos=none\ntree_sizes=10\n\nTree=0\nnum_leaves=1000000000\n"
        "num_cat=0\nsplit_feature=1\n\nend of trees\n")),
]  # fmt: skip

PLACES = [
    Case("a file's name that climbs", "dense", file_named("../../../../../etc/passwd")),
    Case("a file's absolute name", "dense", file_named("/etc/passwd")),
    Case("a generation that climbs", "dense", named(generation="../../../../../tmp")),
    Case("a generation of an absolute path", "dense", named(generation="/etc")),
    Case("a table elsewhere", "dense", named(table={"url": "/etc", "files": {}})),
    Case("a table of a machine elsewhere", "dense", named(table={"url": "s3://evil/table", "files": {}}), "refused"),
    Case("a table of this machine's network", "dense", named(table={"url": "http://127.0.0.1:9/x", "files": {}})),
    Case("a table by a URL of memory", "dense", named(table={"url": "memory://x", "files": {}})),
    Case("a FIFO for the manifest", "dense", both(lambda folder: (folder / "index/manifest.json").unlink(), fifo("index/manifest.json"))),
    Case("a device for the manifest", "dense", link("index/manifest.json", "/dev/zero")),
    Case("a FIFO for the vectors' cells", "dense", fifo(f"{CELLS}/rows.npy")),
    Case("a device for the words", "lexical", link(f"{WORDS_OF}/letters.npy", "/dev/zero")),
    Case("a terabyte of nothing for the manifest", "dense", sparse_file("index/manifest.json")),
    Case("a FIFO for the record of a run", "service", fifo("run.json"), "as before"),
    Case("a device for the record of a run", "service", link("run.json", "/dev/zero"), "as before"),
    Case("a terabyte of nothing for the record of a run", "service", sparse_file("run.json"), "opened"),
    Case("curves elsewhere", "service", put("started.json", '{"curves": "/etc/passwd"}'), "opened"),
    Case("curves of nothing", "service", both(put("started.json", '{"curves": "x.jsonl"}'), fifo("x.jsonl")), "opened"),
]  # fmt: skip

LYING = [
    Case("a manifest of nested lists", "dense", put("index/manifest.json", DEEP)),
    Case("a manifest of 100 MB of spaces", "dense", put("index/manifest.json", BOMB)),
    Case("a manifest that is a list", "dense", put("index/manifest.json", "[]")),
    Case("a manifest without files", "dense", manifest(lambda before: {**before, "files": None})),
    Case("a manifest without facts", "dense", manifest(lambda before: {**before, "meta": {"generation": 1}})),
    Case("a manifest of other facts", "dense", manifest(lambda before: {**before, "meta": [1]})),
    Case("a size of 1e400", "dense", put("index/manifest.json", '{"kind": "index", "format": 1e400, "meta": {}, "files": {}}')),
    Case("a file's size that is no number", "dense", manifest(
        lambda before: {**before, "files": {name: {"bytes": "x"} for name in before["files"]}})),
    Case("cells that begin beyond the end", "dense", sealed(array(f"{CELLS}/starts.npy", lambda starts: starts + 10**9))),
    Case("cells that begin before the start", "dense", sealed(array(f"{CELLS}/starts.npy", lambda starts: starts - 10**9))),
    Case("cells of 2^60 documents", "dense", sealed(array(f"{CELLS}/starts.npy", lambda starts: starts << 50))),
    Case("cells of documents that there are not", "dense", sealed(array(f"{CELLS}/rows.npy", shifted))),
    Case("cells of documents below zero", "dense", sealed(array(f"{CELLS}/rows.npy", lambda rows: rows - 10**6))),
    Case("cells in a different kind of number", "dense", sealed(array(f"{CELLS}/rows.npy", lambda rows: rows.astype(np.float64)))),
    Case("codes of fewer documents", "dense", sealed(array(f"{CELLS}/codes.npy", lambda codes: codes[:3]))),
    Case("codes that are wider than the codec's", "dense", sealed(array(f"{CELLS}/codes.npy", lambda codes: np.repeat(codes, 9, axis=1)))),
    Case("centroids of another width", "dense", sealed(array(f"{CELLS}/centroids.npy", lambda found: found[:, :3]))),
    Case("centroids that are no numbers", "dense", sealed(array(f"{CELLS}/centroids.npy", lambda found: found * np.nan)), "opened"),
    Case("a codec of another name", "dense", codec(nothing, codec="../../evil")),
    Case("a codec without its arrays", "dense", codec(lambda folder: np.savez(folder / CELLS / "codec/state.npz", x=np.zeros(3)))),
    Case("a codec of fewer centroids", "dense", codec(archive(f"{CELLS}/codec/state.npz", **{CENTROIDS: lambda found: found[:, :2]}))),
    Case("a codec of an odd number of groups", "dense", codec(archive(f"{CELLS}/codec/state.npz", **{CENTROIDS: lambda found: np.concatenate([found, found[:1]])}))),
    Case("a codec whose map is of another width", "dense", codec(archive(f"{CELLS}/codec/state.npz", matrix=lambda found: found[:8]))),
    Case("a codec with arrays of no shape", "dense", codec(archive(f"{CELLS}/codec/state.npz", **{CENTROIDS: np.float32(1)}))),
    Case("a codec that is a bomb of zeros", "dense", codec(lambda folder: np.savez_compressed(
        folder / CELLS / "codec/state.npz", centroids=np.zeros((1 << 24,), np.float32)))),
    Case("postings that begin beyond the end", "lexical", sealed(array(f"{WORDS_OF}/offsets.npy", lambda offsets: offsets + 10**9))),
    Case("postings that begin before the start", "lexical", sealed(array(f"{WORDS_OF}/offsets.npy", lambda offsets: offsets - 10**9))),
    Case("postings of documents that there are not", "lexical", sealed(array(f"{WORDS_OF}/documents.npy", lambda found: found + 10**8))),
    Case("postings of documents below zero", "lexical", sealed(array(f"{WORDS_OF}/documents.npy", lambda found: found - 10**8))),
    Case("postings in no order", "lexical", sealed(array(f"{WORDS_OF}/documents.npy", lambda found: found[::-1].copy()))),
    Case("fewer counts than postings", "lexical", sealed(array(f"{WORDS_OF}/counts.npy", lambda found: found[:3]))),
    Case("neighbours of words that there are not", "lexical", sealed(array(f"{WORDS_OF}/pairs.npy", lambda pairs: pairs + 10**8))),
    Case("neighbours in no order", "lexical", sealed(array(f"{WORDS_OF}/pairs.npy", lambda pairs: pairs[::-1].copy()))),
    Case("fewer neighbours than postings", "lexical", sealed(array(f"{WORDS_OF}/pairs.npy", lambda pairs: pairs[:1]))),
    Case("fewer lengths than documents", "lexical", sealed(array(f"{WORDS_OF}/lengths.npy", lambda found: found[:3]))),
    Case("words that end beyond the end", "lexical", sealed(array(f"{WORDS_OF}/ends.npy", lambda found: found + 10**9))),
    Case("words of rows that there are not", "lexical", sealed(array(f"{GENERATION}/words/1.npy", lambda rows: rows + 10**8))),
    Case("words of more rows than documents", "lexical", sealed(array(f"{GENERATION}/words/1.npy", lambda rows: np.arange(10**6, dtype=np.int32)))),
    Case("words of rows below zero", "lexical", sealed(array(f"{GENERATION}/words/1.npy", lambda rows: rows - 10**8))),
    Case("words of folders that climb", "lexical", lambda folder: (folder / GENERATION / "words/1.npy").rename(folder / GENERATION / "words/x.npy")),
    Case("an array of 2^60 numbers", "dense", sealed(npy_header(f"{CELLS}/rows.npy", "{'descr': '<i4', 'fortran_order': False, 'shape': (1152921504606846976,), }"))),
    Case("an array whose header is a program", "dense", sealed(npy_header(f"{CELLS}/rows.npy", "__import__('os').system('touch canary')"))),
    Case("an array whose header is nested", "dense", sealed(npy_header(f"{CELLS}/rows.npy", "(" * 100 + ")" * 18))),
    Case("a table cut short", "dense", sealed(lance_files(lambda raw: raw[:-50]))),
    Case("a table of zeros", "dense", sealed(lance_files(lambda raw: b"\0" * len(raw)))),
    Case("a table whose footer lies", "dense", sealed(lance_files(lambda raw: raw[:-40] + b"\xff" * 24 + raw[-16:]))),
    Case("a table whose middle lies", "hybrid", sealed(lance_files(lambda raw: raw[: len(raw) // 2] + b"\xff" * 200 + raw[len(raw) // 2 + 200 :])), "opened"),
    Case("a table of another width", "dense", sealed(nothing, dimension=7), "as before"),
    Case("versions of a table that lie", "dense", sealed(lance_files(lambda raw: raw[:20] + b"\xff" * 30 + raw[50:], "index/documents.lance/_versions/*.manifest")), "opened"),
    Case("a version of 2^62", "dense", sealed(nothing, version=1 << 62)),
    Case("a version below zero", "dense", sealed(nothing, version=-1)),
    Case("a version that is no number", "dense", sealed(nothing, version={"x": 1})),
    Case("a name of a fingerprint that is markup", "dense", sealed(nothing, fingerprint="<img src=x onerror=alert(1)>\x1b[2J")),
    Case("codes of another width", "codes", sealed(array("codes/8/codes.npy", lambda codes: codes[:, :3]), "codes/8", "codes")),
    Case("codes of fewer documents than the index", "codes", sealed(array("codes/8/codes.npy", lambda codes: codes[:3]), "codes/8", "codes")),
    Case("codes of more documents than the index", "codes", sealed(array("codes/8/codes.npy", lambda codes: np.tile(codes, (9, 1))), "codes/8", "codes")),
    Case("settings of a search that are nested", "dense", put("index/search/manifest.json", DEEP)),
    Case("a record of a run of nested lists", "service", put("run.json", DEEP), "opened"),
    Case("a record of a run of markup", "service", put("run.json", '{"verdict": "<script>alert(1)</script>", "metrics": {"<b>": {"<i>": 1e400}}}'), "opened"),
    Case("curves of nested lists", "service", both(put("started.json", '{"curves": "CURVES"}'), put("x.jsonl", DEEP)), "opened"),
]  # fmt: skip

_YAML = "base: minilm\ndata: x\n"
CONFIGS = [
    Case("a tag that runs a program", "config", put("nearfar.yaml", "base: !!python/object/apply:os.system ['touch canary']\n")),
    Case("a tag that names a module", "config", put("nearfar.yaml", "base: !!python/module:os\n")),
    Case("a tag that makes an object", "config", put("nearfar.yaml", "base: !!python/object/new:subprocess.Popen [['touch', 'canary']]\n")),
    Case("a billion laughs", "config", put("nearfar.yaml", "a: &a [x,x,x,x,x,x,x,x,x]\n" + "".join(
        f"{chr(98 + n)}: &{chr(98 + n)} [{','.join(['*' + chr(97 + n)] * 9)}]\n" for n in range(20)))),
    Case("a billion laughs in a value", "config", put("nearfar.yaml", "base: &a [x,x,x,x,x,x,x,x,x]\ntrain:\n" + "".join(
        f"  k{n}: &k{n} [{','.join(['*' + ('a' if n == 0 else f'k{n - 1}')] * 9)}]\n" for n in range(20)) + "  epochs: *k19\n")),
    Case("a merge of itself", "config", put("nearfar.yaml", "a: &a\n  <<: *a\n  b: 1\n")),
    Case("an alias of itself", "config", put("nearfar.yaml", "train: &a\n  epochs: *a\n")),
    Case("nested lists", "config", put("nearfar.yaml", "base: " + DEEP[:2_000])),
    Case("nested mappings", "config", put("nearfar.yaml", "base: " + "{a: " * 2_000)),
    Case("a device for the configuration of a run", "config", link("nearfar.yaml", "/dev/zero")),
    Case("a terabyte of nothing for the configuration", "config", sparse_file("nearfar.yaml")),
    Case("bytes that are no text", "config", put("nearfar.yaml", b"\xff\xfe\x00\x01")),
    Case("signs of a terminal", "config", put("nearfar.yaml", 'base: "\\e[2J\\e]0;owned\\a"\ndata: "\\e[31mx"\n')),
    Case("a date that is none", "config", put("nearfar.yaml", "base: 2001-99-99\n")),
    Case("a number of 5,000 digits", "config", put("nearfar.yaml", "train:\n  epochs: " + "9" * 5000 + "\n")),
]  # fmt: skip

CASES = [*PICKLED, *PLACES, *LYING, *CONFIGS]
