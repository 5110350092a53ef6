"""Model folders that would run code, read elsewhere, or take all time and memory."""

import json
import os
import struct

from case import CANARY, Case, both, code, edit, merge, put, put_pickle

DEEP = "[" * 200_000
ST = "sentence_transformers.models"
BOMB = json.dumps({"model_type": "bert"})[:-1] + ", " + " " * (100 << 20) + '"x": 1}'


def removed(*names):
    return lambda folder: [(folder / name).unlink() for name in names]


def renamed(old, new):
    return lambda folder: (folder / old).rename(folder / new)


def typed(place, name, **more):
    """Another class for a module of modules.json."""
    return edit("modules.json", lambda before: [{**one, "type": name, **more} if i == place else one for i, one in enumerate(before)])  # fmt: skip


def added(name, path="9_Evil"):
    """One more module, with an empty folder."""
    more = {"idx": 9, "name": "9", "path": path, "type": name}
    return both(put(f"{path}/config.json", "{}"), edit("modules.json", lambda before: [*before, more]))


def header(change):
    """Another header for model.safetensors, with the bytes that followed."""

    def make(folder):
        path = folder / "model.safetensors"
        raw = path.read_bytes()
        size = struct.unpack("<Q", raw[:8])[0]
        text = json.dumps(change(json.loads(raw[8 : 8 + size]))).encode()
        path.write_bytes(struct.pack("<Q", len(text)) + text + raw[8 + size :])

    return make


def overlapping(tensors):
    names = [name for name in tensors if name != "__metadata__"]
    return {**tensors, names[1]: {**tensors[names[1]], "data_offsets": tensors[names[0]]["data_offsets"]}}


def first(tensors, **values):
    name = next(name for name in tensors if name != "__metadata__")
    return {**tensors, name: {**tensors[name], **values}}


def fifo(name):
    def make(folder):
        (folder / name).unlink(missing_ok=True)
        os.mkfifo(folder / name)

    return make


def link(name, target):
    def make(folder):
        (folder / name).unlink(missing_ok=True)
        (folder / name).symlink_to(target)

    return make


def sparse_file(name, size=1 << 40):
    def make(folder):
        with (folder / name).open("wb") as file:
            file.truncate(size)

    return make


def router(folder_name, types, file="router_config.json"):
    """A Router in the place of the first module."""
    config = {"types": types, "structure": {"query": list(types), "document": list(types)}, "parameters": {}}
    return both(put(f"{folder_name}/{file}", json.dumps(config)), edit("modules.json", lambda before: [
        {"idx": 0, "name": "0", "path": folder_name, "type": f"{ST}.Router"}]))  # fmt: skip


def command_line_of_torch(field):
    """A function of torch's that runs other programs, in the place of an activation."""
    return merge("config.json", **field("torch.utils.collect_env.main"))


FOREIGN = (
    "os.system", "subprocess.Popen", "evil.Evil", "builtins.eval", "nearfar.cli.main.main",
    "sentence_transformers.util.http_get", "sentence_transformers.SentenceTransformer",
    f"{ST}.WordEmbeddings", f"{ST}.BoW", f"{ST}.CLIPModel", "sentence_transformers..os.system",
)  # fmt: skip

PICKLED = [
    Case("pytorch_model.bin alone", "encoder:bare",
         both(removed("model.safetensors"), put_pickle("pytorch_model.bin"))),
    Case("a folder in the place of the weights", "encoder:bare",
         both(removed("model.safetensors"), lambda folder: (folder / "model.safetensors").mkdir())),
    Case("pytorch_model.bin beside safetensors", "encoder:bare", put_pickle("pytorch_model.bin"), "as before"),
    Case("safetensors elsewhere, a pickle here", "encoder:bare",
         both(lambda folder: (folder / "other").mkdir(), renamed("model.safetensors", "other/model.safetensors"),
              put_pickle("pytorch_model.bin"))),
    Case("a pickle behind a module", "encoder:modules",
         both(added(f"{ST}.Dense"), merge("9_Evil/config.json", in_features=32, out_features=32, bias=True,
              activation_function="torch.nn.modules.activation.Tanh"), put_pickle("9_Evil/pytorch_model.bin"))),
    Case("a pickled table of tokens", "encoder:static",
         both(removed("model.safetensors"), put_pickle("pytorch_model.bin"), put("1_x/model.safetensors", ""))),
    Case("a pickle named as safetensors", "encoder:bare", put_pickle("model.safetensors")),
    Case("an index of pickled shards", "encoder:bare", both(
        removed("model.safetensors"), put_pickle("pytorch_model-00001-of-00001.bin"), put(
            "pytorch_model.bin.index.json",
            '{"metadata": {}, "weight_map": {"embeddings": "pytorch_model-00001-of-00001.bin"}}'))),
    Case("an index of safetensors that names a pickle", "encoder:bare", both(
        removed("model.safetensors"), put_pickle("x.bin"), put(
            "model.safetensors.index.json", '{"metadata": {}, "weight_map": {"embeddings": "x.bin"}}'))),
    Case("an index of safetensors that climbs", "encoder:bare", both(
        removed("model.safetensors"), put(
            "model.safetensors.index.json", '{"metadata": {}, "weight_map": {"e": "../../../../etc/passwd"}}'))),
    Case("pickles of everything else", "encoder:modules", put_pickle(
        "optimizer.pt", "scheduler.pt", "rng_state.pth", "training_args.bin", "tokenizer.pkl", "vocab.pkl", "model.pkl",
        "model.joblib", "head.joblib", "state.npy", "state.npz", "faiss.index", "checkpoint-5/pytorch_model.bin"), "as before"),
    Case("an adapter as a pickle", "encoder:bare", both(put_pickle("adapter_model.bin"), put(
        "adapter_config.json", '{"peft_type": "LORA", "base_model_name_or_path": ".", "target_modules": ["query"]}'))),
    Case("a reranker as a pickle", "reranker",
         both(removed("model.safetensors"), put_pickle("pytorch_model.bin"))),
    Case("a sparse encoder as a pickle", "sparse",
         both(removed("model.safetensors"), put_pickle("pytorch_model.bin"))),
]  # fmt: skip

NAMED = [
    *(Case(f"the module {name}", "encoder:modules", both(code("evil.py"), added(name))) for name in FOREIGN),
    Case("a foreign class for the transformer", "encoder:modules", both(code("modeling_evil.py"), typed(0, "modeling_evil.Evil"))),
    Case("a foreign class of a multi-vector encoder", "multi", both(code("modeling_evil.py"), typed(1, "modeling_evil.Evil"))),
    Case("a foreign class of a sparse encoder", "sparse", both(code("modeling_evil.py"), typed(1, "modeling_evil.Evil"))),
    Case("a foreign class behind a router", "encoder:modules",
         both(code("evil.py"), router("0_R", {"sub": "evil.Evil"}))),
    Case("a foreign class behind a router of old", "encoder:modules",
         both(code("evil.py"), router("0_R", {"sub": "evil.Evil"}, "config.json"))),
    Case("a foreign class behind a router behind a router", "encoder:modules",
         both(code("evil.py"), router("0_R", {"sub": f"{ST}.Router"}),
              put("0_R/sub/router_config.json", '{"types": {"x": "sentence_transformers.util.http_get"}, '
                                                '"structure": {"query": ["x"]}, "parameters": {}}'))),
    Case("a router of itself without end", "encoder:modules",
         both(router("0_R", {"sub": f"{ST}.Router"}), link("0_R/sub", "."))),
    Case("an activation that is no layer", "encoder:modules",
         both(added(f"{ST}.Dense"), merge("9_Evil/config.json", in_features=32, out_features=32, bias=True,
              activation_function="torch.utils.collect_env.main"))),
    Case("an activation of the folder's", "encoder:modules",
         both(code("evil.py"), added(f"{ST}.Dense"), merge("9_Evil/config.json", in_features=32, out_features=32,
              bias=True, activation_function="evil.Evil"))),
    Case("a reranker's activation that is a program", "reranker",
         command_line_of_torch(lambda name: {"sentence_transformers": {"activation_fn": name}})),
    Case("a saved reranker's activation that is a program", "reranker",
         merge("config_sentence_transformers.json", activation_fn="torch.utils.collect_env.main")),
    Case("a reranker's activation of old that is a program", "reranker",
         command_line_of_torch(lambda name: {"sbert_ce_default_activation_function": name})),
    Case("a multi-vector encoder's class by another name", "multi", typed(1, "sentence_transformers.util.http_get")),
]  # fmt: skip

TRUSTED = [
    Case("code of its own for a known kind", "encoder:bare", both(code("modeling_x.py"), code("configuration_x.py"), merge(
        "config.json", auto_map={"AutoModel": "modeling_x.Evil", "AutoConfig": "configuration_x.Evil"})), "as before"),
    Case("code of its own for a kind of its own", "encoder:bare", both(code("modeling_x.py"), code("configuration_x.py"), merge(
        "config.json", model_type="evil", auto_map={"AutoModel": "modeling_x.Evil", "AutoConfig": "configuration_x.Evil"}))),
    Case("code of its own behind modules", "encoder:modules", both(code("modeling_x.py"), code("configuration_x.py"), merge(
        "config.json", model_type="evil", auto_map={"AutoModel": "modeling_x.Evil", "AutoConfig": "configuration_x.Evil"}))),
    Case("trust in the folder's own words", "encoder:modules", both(code("modeling_x.py"), code("configuration_x.py"), merge(
        "config.json", model_type="evil", trust_remote_code=True, auto_map={"AutoModel": "modeling_x.Evil",
        "AutoConfig": "configuration_x.Evil"}), merge("sentence_bert_config.json", trust_remote_code=True,
        model_args={"trust_remote_code": True}, config_args={"trust_remote_code": True}, tokenizer_args={"trust_remote_code": True}))),
    Case("a reranker with code of its own", "reranker", both(code("modeling_x.py"), code("configuration_x.py"), merge(
        "config.json", model_type="evil", auto_map={"AutoModelForSequenceClassification": "modeling_x.Evil",
        "AutoConfig": "configuration_x.Evil"}))),
    Case("a tokenizer with code of its own", "encoder:bare", both(code("tokenization_x.py"), merge(
        "tokenizer_config.json", tokenizer_class="Evil", auto_map={"AutoTokenizer": ["tokenization_x.Evil", "tokenization_x.Evil"]})), "as before"),
    Case("a class of tokenizer that is a program", "encoder:bare", merge("tokenizer_config.json", tokenizer_class="os.system"), "as before"),
    Case("a template of chats that reaches out", "encoder:bare", merge(
        "tokenizer_config.json", chat_template="{{ ''.__class__.__mro__[1].__subclasses__()[0]('touch x') }}"), "as before"),
    Case("code beside", "encoder:modules", both(*(code(name) for name in (
        "__init__.py", "sitecustomize.py", "usercustomize.py", "modeling_x.py", "conftest.py", "torch.py", "1_Pooling/__init__.py"))), "as before"),
    Case("settings that name a path", "encoder:modules", merge("sentence_bert_config.json", model_args={"gguf_file": "/etc/passwd"})),
    Case("settings that name a program of the hub", "encoder:modules", merge(
        "sentence_bert_config.json", model_args={"attn_implementation": "evil/kernel"})),
    Case("a configuration that names a program of the hub", "encoder:bare", merge("config.json", _attn_implementation="evil/kernel",
        attn_implementation="evil/kernel")),
    Case("an adapter for a base of the hub", "encoder:bare", put("adapter_config.json", json.dumps(
        {"peft_type": "LORA", "base_model_name_or_path": "evil/base", "revision": "main", "target_modules": ["query"]}))),
    Case("an adapter for a base elsewhere", "encoder:bare", put("adapter_config.json", json.dumps(
        {"peft_type": "LORA", "base_model_name_or_path": "../../../..", "target_modules": ["query"]}))),
    Case("an adapter with code", "encoder:bare", both(code("evil.py"), put("adapter_config.json", json.dumps(
        {"peft_type": "LORA", "base_model_name_or_path": "..", "auto_mapping": {"base_model_class": "system", "parent_library": "os"}})))),
]  # fmt: skip

PLACES = [
    Case("a module's path that climbs", "encoder:modules", typed(1, f"{ST}.Pooling", path="../../../../etc")),
    Case("a module's absolute path", "encoder:modules", typed(1, f"{ST}.Pooling", path="/etc")),
    Case("a module's path that is no text", "encoder:modules", typed(1, f"{ST}.Pooling", path=7)),
    Case("a path with a NUL", "encoder:modules", typed(1, f"{ST}.Pooling", path="a\0b")),
    Case("a FIFO for the configuration", "encoder:bare", fifo("config.json")),
    Case("a FIFO for the modules", "encoder:modules", fifo("modules.json")),
    Case("a FIFO for the weights", "encoder:bare", fifo("model.safetensors")),
    Case("a FIFO for the tokenizer", "encoder:bare", fifo("tokenizer.json")),
    Case("a device for the configuration", "encoder:bare", link("config.json", "/dev/zero")),
    Case("a device for the tokenizer's settings", "encoder:bare", link("tokenizer_config.json", "/dev/zero")),
    Case("a device for the README", "encoder:modules", link("README.md", "/dev/zero")),
    Case("a link to a secret for the configuration", "encoder:bare", link("config.json", "/etc/passwd")),
    Case("a link without end", "encoder:bare", link("config.json", "config.json")),
    Case("a terabyte of nothing for the modules", "encoder:modules", sparse_file("modules.json")),
    Case("a terabyte of nothing for the tokenizer", "encoder:bare", sparse_file("tokenizer.json")),
    Case("a terabyte of nothing for the weights", "encoder:bare", sparse_file("model.safetensors")),
]  # fmt: skip

LYING = [
    Case("weights cut short", "encoder:bare", lambda folder: (folder / "model.safetensors").write_bytes((folder / "model.safetensors").read_bytes()[:-100])),
    Case("a header of 2^60 bytes", "encoder:bare", put("model.safetensors", struct.pack("<Q", 1 << 60) + b"{}")),
    Case("a header of 2^64 - 1 bytes", "encoder:bare", put("model.safetensors", b"\xff" * 8 + b"{}")),
    Case("a header of nested lists", "encoder:bare", put("model.safetensors", struct.pack("<Q", len(DEEP)) + DEEP.encode())),
    Case("tensors that overlap", "encoder:bare", header(overlapping)),
    Case("a tensor of 2^62 numbers", "encoder:bare", header(lambda tensors: first(tensors, shape=[1 << 31, 1 << 31]))),
    Case("a tensor of another kind", "encoder:bare", header(lambda tensors: first(tensors, dtype="I64"))),
    Case("a tensor of an unknown kind", "encoder:bare", header(lambda tensors: first(tensors, dtype="EVIL"))),
    Case("a tensor that begins below zero", "encoder:bare", header(lambda tensors: first(tensors, data_offsets=[-8, 8]))),
    Case("a configuration of nested lists", "encoder:bare", put("config.json", DEEP)),
    Case("modules of nested lists", "encoder:modules", put("modules.json", DEEP)),
    Case("a tokenizer of nested lists", "encoder:bare", put("tokenizer.json", DEEP)),
    Case("settings of nested lists", "encoder:modules", put("sentence_bert_config.json", '{"max_seq_length": ' + DEEP)),
    Case("100 MB of spaces", "encoder:bare", put("config.json", BOMB)),
    Case("a length of 1e400", "encoder:modules", put("sentence_bert_config.json", '{"max_seq_length": 1e400}')),
    Case("a width of NaN", "encoder:bare", merge("config.json", hidden_size=float("nan"))),
    Case("a key twice", "encoder:modules", put("modules.json", '[{"type": "a", "type": "os.system", "path": ""}]')),
    Case("10^9 layers", "encoder:bare", merge("config.json", num_hidden_layers=10**9)),
    Case("2^40 words", "encoder:bare", merge("config.json", vocab_size=1 << 40)),
    Case("2^40 places", "encoder:bare", merge("config.json", max_position_embeddings=1 << 40)),
    Case("2^31 words of 2^20 numbers", "encoder:bare", merge("config.json", vocab_size=1 << 31, hidden_size=1 << 20)),
    Case("-1 heads", "encoder:bare", merge("config.json", num_attention_heads=-1)),
    Case("no heads", "encoder:bare", merge("config.json", num_attention_heads=0)),
    Case("10^9 labels", "reranker", merge("config.json", id2label=None, num_labels=10**9)),
    Case("a class that is no text", "encoder:modules", typed(0, {"evil": 1})),
    Case("modules that are no list", "encoder:modules", put("modules.json", '"os.system"')),
    Case("no modules", "encoder:modules", put("modules.json", "[]")),
    Case("bytes that are no UTF-8", "encoder:modules", put("modules.json", b"\xff\xfe\x00")),
    Case("a configuration that is a list", "encoder:bare", put("config.json", "[1]")),
    Case("a regular expression without end", "encoder:bare", edit("tokenizer.json", lambda before: {**before, "normalizer": {
        "type": "Replace", "pattern": {"Regex": "(e|e?)*x$|(.*a){25}"}, "content": "x"}}), "as before"),
    Case("a regular expression that is none", "encoder:bare", edit("tokenizer.json", lambda before: {**before, "normalizer": {
        "type": "Replace", "pattern": {"Regex": "("}, "content": "x"}})),
    Case("a name that is markup", "encoder:modules", put(f"{CANARY}.html", "<script>alert(1)</script>"), "as before"),
]  # fmt: skip

CASES = [*PICKLED, *NAMED, *TRUSTED, *PLACES, *LYING]
