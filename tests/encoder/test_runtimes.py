import json
import shutil
import subprocess
import sys

import pytest
from sentence_transformers import SentenceTransformer
from sentence_transformers.sentence_transformer.modules import Dense, Normalize, Pooling, Transformer

from nearfar.core.errors import BadInput
from nearfar.encoder.encoder import Encoder
from nearfar.encoder.runtimes import RUNTIMES, fits
from nearfar.encoder.save import save_encoder
from tiny_models import save_tiny_bert, save_tiny_decoder, tiny_static

SERVERS = ("TEI", "vLLM", "infinity")


def saved(folder, transformer, *rest):
    modules = [Transformer(str(transformer)), *rest]
    save_encoder(Encoder(SentenceTransformer(modules=modules, device="cpu")), folder, card="")
    return folder


@pytest.fixture(scope="module")
def bert(tmp_path_factory):
    folder = tmp_path_factory.mktemp("bert")
    parts = Pooling(32, pooling_mode="mean"), Dense(32, 16), Normalize()
    return saved(folder / "model", save_tiny_bert(folder / "base"), *parts)


@pytest.fixture(scope="module")
def decoder(tmp_path_factory):
    folder = tmp_path_factory.mktemp("decoder")
    base = save_tiny_decoder(folder / "base", "qwen3")
    return saved(folder / "model", base, Pooling(32, pooling_mode="lasttoken"), Normalize())


def of(folder):
    return {fit.name: fit for fit in fits(folder)}


def edited(folder, target, file, change):
    """A copy of a folder in which a JSON file is changed."""
    shutil.copytree(folder, target)
    value = json.loads((target / file).read_text())
    change(value)
    (target / file).write_text(json.dumps(value))
    return target


def test_a_plain_encoder_fits_everywhere_with_nothing_to_do(bert):
    assert [(fit.name, fit.fits, fit.why) for fit in fits(bert)] == [(name, True, "") for name in RUNTIMES]


def test_a_run_is_looked_at_by_its_model(bert):
    assert fits(bert.parent) == fits(bert)


def test_a_decoder_that_pools_its_last_token_fits_where_that_is_known(decoder):
    found = of(decoder)
    assert all(found[name].fits for name in found)


def test_a_decoder_that_sees_both_ways_fits_where_is_causal_is_read(decoder, tmp_path):
    found = of(edited(decoder, tmp_path / "m", "config.json", lambda config: config.update(is_causal=False)))
    assert found["vLLM"].fits
    assert all("both ways" in found[name].why for name in ("TEI", "infinity"))


def mode(folder, target, mode):
    def change(settings):
        settings.update({key: False for key in settings if key.startswith("pooling_mode")}, **{mode: True})

    return edited(folder, target, "1_Pooling/config.json", change)


def poolings_of_others(settings):
    settings.pop("pooling_mode_cls_token")


def two_poolings(settings):
    settings["pooling_mode_max_tokens"] = True


def newer_schema(settings):
    settings.clear()
    settings.update(embedding_dimension=32, pooling_mode="mean")


def foreign(modules):
    modules[2]["type"] = "nearfar.encoder.latent_attention.LatentAttention"


def unknown_part(modules):
    modules[2]["type"] = "sentence_transformers.models.LayerNorm"


def newer_names(modules):
    modules[1]["type"] = "sentence_transformers.sentence_transformer.modules.pooling.Pooling"


def swapped(modules):
    modules[1], modules[2] = modules[2], modules[1]


def elsewhere(modules):
    modules[1]["path"] = "2_Dense"


ALL = ("sentence-transformers", *SERVERS)
CHANGES = [  # file, change, who cannot take it then, what is said to each of them
    ("config.json", lambda config: config.update(model_type="electra"), ("TEI",), "no code for electra"),
    ("config.json", lambda config: config.pop("max_position_embeddings"), ("TEI",), "lacks max_position_embeddings"),
    ("config.json", lambda config: config.update(architectures=["ElectraModel"]), ("vLLM",), "has no ElectraModel"),
    ("1_Pooling/config.json", two_poolings, ("TEI", "vLLM"), "'mean', 'max'|mean and max"),
    ("1_Pooling/config.json", poolings_of_others, ("TEI",), "lacks pooling_mode_cls_token"),
    ("1_Pooling/config.json", newer_schema, ("TEI",), "lacks pooling_mode_cls_token"),
    ("modules.json", foreign, ALL, "LatentAttention"),
    ("modules.json", unknown_part, ("TEI", "vLLM"), "LayerNorm"),
    ("modules.json", newer_names, ("TEI", "vLLM", "infinity"), "sentence_transformer.modules.pooling.Pooling"),
    ("modules.json", swapped, ("TEI", "vLLM"), "order"),
    ("modules.json", elsewhere, ("TEI", "vLLM"), "pooling"),
    ("sentence_bert_config.json", lambda limits: limits.pop("max_seq_length"), ("TEI",), "lacks max_seq_length"),
    ("sentence_bert_config.json", lambda limits: limits.update(max_seq_length=None), ("TEI",), "lacks max_seq_length"),
    ("sentence_bert_config.json", lambda limits: limits.update(unpad_inputs=True), ("infinity",), "unpad_inputs"),
    ("2_Dense/config.json", lambda dense: dense.update(activation_function="torch.nn.ReLU"), ("TEI",), "torch.nn.ReLU"),
    ("2_Dense/config.json", lambda dense: dense.update(module_input_name="x"), ("infinity",), "module_input_name"),
    ("config_sentence_transformers.json", lambda own: own.update(model_type="CrossEncoder"), ALL, "CrossEncoder"),
]  # fmt: skip


@pytest.mark.parametrize(("file", "change", "who", "said"), CHANGES)
def test_what_a_server_lacks_is_said_of_it_alone(bert, tmp_path, file, change, who, said):
    found = of(edited(bert, tmp_path / "m", file, change))
    assert tuple(name for name in found if not found[name].fits) == who
    assert all(any(word in found[name].why for word in said.split("|")) for name in who)


@pytest.mark.parametrize(
    ("pooling", "who"),
    [
        ("pooling_mode_cls_token", ()),
        ("pooling_mode_lasttoken", ("TEI",)),
        ("pooling_mode_max_tokens", ("TEI", "vLLM")),
        ("pooling_mode_weightedmean_tokens", ("TEI", "vLLM")),
    ],
)
def test_each_server_has_its_poolings(bert, tmp_path, pooling, who):
    found = of(mode(bert, tmp_path / "m", pooling))
    assert tuple(name for name in found if not found[name].fits) == who


@pytest.mark.parametrize(("file", "who"), [("model.safetensors", SERVERS), ("tokenizer.json", ("TEI", "vLLM"))])
def test_files_that_are_missing(bert, tmp_path, file, who):
    shutil.copytree(bert, tmp_path / "m")
    (tmp_path / "m" / file).unlink()
    found = of(tmp_path / "m")
    assert tuple(name for name in SERVERS if not found[name].fits) == who
    assert all(file in found[name].why for name in who)


def test_weights_that_are_a_pickle_are_no_weights(bert, tmp_path):
    shutil.copytree(bert, tmp_path / "m")
    for weights in (tmp_path / "m").rglob("*.safetensors"):
        weights.rename(weights.with_name("pytorch_model.bin"))
    assert not any(fit.fits for fit in fits(tmp_path / "m"))


def test_prompts_are_left_to_the_caller_where_no_server_puts_them(bert, tmp_path):
    change = {"prompts": {"query": "query: ", "document": ""}}
    found = of(edited(bert, tmp_path / "m", "config_sentence_transformers.json", lambda own: own.update(change)))
    assert all(found[name].fits for name in found)
    assert "encode_query" in found["sentence-transformers"].why
    assert "prompt_name" in found["TEI"].why
    assert found["vLLM"].why == found["infinity"].why == "put the prompts before the texts yourself"


def test_a_pooling_that_leaves_prompts_out_fits_nowhere_else_unless_there_are_none(bert, tmp_path):
    folder = edited(bert, tmp_path / "m", "1_Pooling/config.json", lambda own: own.update(include_prompt=False))
    assert all(fit.fits for fit in fits(folder))
    change = {"prompts": {"query": "query: "}}
    found = of(edited(folder, tmp_path / "n", "config_sentence_transformers.json", lambda own: own.update(change)))
    assert [name for name in found if not found[name].fits] == list(SERVERS)


def test_vectors_that_have_lengths(bert, tmp_path):
    folder = edited(bert, tmp_path / "m", "modules.json", lambda modules: modules.pop())
    assert "by cosine" in of(folder)["vLLM"].why
    change = {"similarity_fn_name": "dot"}
    found = of(edited(folder, tmp_path / "n", "config_sentence_transformers.json", lambda own: own.update(change)))
    assert (found["vLLM"].fits, found["vLLM"].why) == (True, "")
    assert "normalize: false" in found["TEI"].why
    assert not found["infinity"].fits


def test_a_bare_transformer_states_no_pooling(bert):
    found = of(bert.parent / "base")
    assert all("no pooling" in found[name].why for name in ("TEI", "vLLM"))
    assert "transformers 5" in found["infinity"].why  # saved by these alone, it names its tokenizer as they do


def test_a_token_table_and_a_router_are_for_sentence_transformers_alone(tmp_path, bert):
    save_encoder(tiny_static(), tmp_path / "static", card="")
    routed = edited(bert, tmp_path / "router", "modules.json", lambda modules: modules[0].update(type=ROUTER))
    for folder, said in ((tmp_path / "static", "a token table"), (routed, "an encoder for queries")):
        found = of(folder)
        assert [name for name in found if found[name].fits] == ["sentence-transformers"]
        assert all(said in found[name].why for name in SERVERS)


ROUTER = "sentence_transformers.base.modules.router.Router"


@pytest.mark.parametrize(("file", "text"), [("modules.json", "{"), ("modules.json", "[1]"), ("config.json", "[")])
def test_a_damaged_folder_is_one_error(bert, tmp_path, file, text):
    shutil.copytree(bert, tmp_path / "m")
    (tmp_path / "m" / file).write_text(text)
    with pytest.raises(BadInput, match=file):
        fits(tmp_path / "m")


def test_no_folder_is_one_error(tmp_path):
    with pytest.raises(BadInput, match="expected a model folder"):
        fits(tmp_path)


def test_nothing_is_loaded_for_it():
    code = "import sys, nearfar.encoder.runtimes; raise SystemExit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
