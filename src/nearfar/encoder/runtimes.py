"""Which servers can take a model folder as it is, by what each reads of it; nothing is loaded."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from itertools import chain
from pathlib import Path

from nearfar.encoder.model_files import ModelFiles

Rule = Callable[[ModelFiles], str]  # "" where it is kept, else what is wrong
OWN = "sentence_transformers."
PARTS = ("Transformer", "Pooling", "Dense", "Normalize")
FEW = frozenset({"cls", "mean"})
LAST = FEW | {"lasttoken"}
TEI_POOLINGS: Mapping[str, frozenset[str]] = {  # by model_type: `Config` and the models of TEI's backends/candle
    **dict.fromkeys(["bert", "camembert", "roberta", "xlm-roberta", "distilbert", "mpnet", "deberta-v2"], FEW),
    **dict.fromkeys(["gte", "new", "modernbert", "nomic_bert"], FEW),
    **dict.fromkeys(["qwen3", "gemma3_text", "mistral", "qwen2", "llama"], LAST),
}
TEI_CUDA = frozenset({"mistral", "qwen2", "llama"})
TEI_ACTIVATIONS = frozenset({None, "torch.nn.modules.activation.Tanh", "torch.nn.modules.linear.Identity"})
VLLM_ENCODERS = frozenset({  # docs/models/pooling_models/embed.md of vLLM
    "BertModel", "RobertaModel", "RobertaForMaskedLM", "XLMRobertaModel", "ModernBertModel", "NomicBertModel",
    "GteModel", "GteNewModel",
})  # fmt: skip
VLLM_DECODERS = frozenset({
    "Gemma2Model", "Gemma3TextModel", "LlamaModel", "LlamaBidirectionalModel", "MistralModel", "Qwen2Model",
    "Qwen3Model",
})  # fmt: skip
VLLM_BOTH_WAYS = frozenset({"llama", "mistral", "qwen2", "qwen3"})  # whose code reads is_causal
AGAIN = "save it again with nearfar"
LONGEST = 2**63  # tokens, the largest number that TEI reads


@dataclass(frozen=True)
class Fit:
    """Whether a server gives a folder's vectors as nearfar does."""

    name: str
    fits: bool
    why: str  # it does not; where it fits, what is left to the caller; "" if nothing is


@dataclass(frozen=True)
class Runtime:
    """A server, and what it asks of a folder."""

    read: str  # the version in whose source the rules were read
    rules: Sequence[Rule]
    notes: Sequence[Rule] = ()


def fits(folder: str | Path) -> list[Fit]:
    """For each of RUNTIMES whether it serves the model of a folder or run.

    Raises:
        BadInput: there is no model, or a file of it is damaged.
    """
    files = ModelFiles.of(Path(folder))
    return [_fit(name, runtime, files) for name, runtime in RUNTIMES.items()]


def _fit(name: str, runtime: Runtime, files: ModelFiles) -> Fit:
    wrong = next((said for rule in runtime.rules if (said := rule(files))), "")
    return Fit(name, not wrong, wrong or "; ".join(said for note in runtime.notes if (said := note(files))))


def _is_bi_encoder(files: ModelFiles) -> str:
    kind = files.settings.get("model_type", "SentenceTransformer")
    heads = ("ForSequenceClassification", "HF_ColBERT")
    if kind != "SentenceTransformer" or (not files.modules and files.architecture.endswith(heads)):
        return f"it is no bi-encoder, but {kind if kind != 'SentenceTransformer' else files.architecture}"
    return ""


def _modules_are_known(files: ModelFiles) -> str:
    routes = files.json("router_config.json") or {}
    types = chain((module.type for module in files.modules), routes.get("types", {}).values())
    foreign = next((name for name in types if not name.startswith(OWN)), "")
    return (
        f"it has the module {foreign}, which sentence-transformers does not know; open it with nearfar"
        if foreign
        else ""
    )


def _is_one_transformer(files: ModelFiles) -> str:
    first = files.modules[0] if files.modules else None
    if first is None or first.name == "Transformer":
        return f"its transformer lies in {first.path}, not in the folder itself" if first and first.path else ""
    names = {"Router": "an encoder for queries and one for documents", "StaticEmbedding": "a token table"}
    return f"it is {names.get(first.name, first.name)}, not one transformer"


def _parts_are_plain(files: ModelFiles) -> str:
    order = [PARTS.index(module.name) if module.name in PARTS else -1 for module in files.modules]
    foreign = next((module.type for module, place in zip(files.modules, order, strict=True) if place < 0), "")
    if foreign:
        return f"it has the module {foreign}, which would be left out without a word"
    return "" if order == sorted(order) and order.count(1) <= 1 else "its modules are in an order of their own"


def _legacy_names(files: ModelFiles) -> str:
    other = next((module.type for module in files.modules if module.type != f"{OWN}models.{module.name}"), "")
    return (
        f"modules.json names {other}, and only sentence_transformers.models.* is read: save it again with nearfar"
        if other
        else ""
    )


def _has_safetensors(files: ModelFiles) -> str:
    at = files.modules[0].path if files.modules else ""
    if files.has("model.safetensors", "model.safetensors.index.json") or any((files.path / at).rglob("*.safetensors")):
        return ""
    return "its weights are not safetensors"


def _has_weights(files: ModelFiles) -> str:
    found = files.has("model.safetensors", "model.safetensors.index.json")
    return "" if found else "there is no model.safetensors beside config.json"


def _has_fast_tokenizer(files: ModelFiles) -> str:
    return "" if files.has("tokenizer.json") else "there is no tokenizer.json"


def _states_pooling(files: ModelFiles) -> str:
    return "" if files.pooling else "it states no pooling, and another one would be taken: save it again with nearfar"


def _prompts_are_pooled(files: ModelFiles) -> str:
    left_out = files.pooling is not None and files.pooling.settings.get("include_prompt") is False
    return "its pooling leaves prompts out, which this server pools too" if left_out and files.prompts else ""


def _tei_names(files: ModelFiles) -> str:
    if files.model_type not in TEI_POOLINGS:
        return f"it has no code for {files.model_type or 'a model without model_type'}"
    missing = [key for key in ("architectures", "max_position_embeddings") if not files.config.get(key)]
    return f"config.json lacks {missing[0]}" if missing else ""


def _tei_pooling(files: ModelFiles) -> str:
    modes = files.pooling_modes
    known = TEI_POOLINGS[files.model_type]
    if len(modes) != 1 or modes[0] not in known:
        return f"its pooling of {files.model_type} is {' or '.join(sorted(known))}, not {' and '.join(modes) or 'none'}"
    if files.pooling is None or files.pooling.path != "1_Pooling":
        return "the pooling is read from 1_Pooling alone"
    old = {"pooling_mode_cls_token", "pooling_mode_mean_tokens"} <= files.pooling.settings.keys()
    return "" if old else "1_Pooling/config.json lacks pooling_mode_cls_token: save it again with nearfar"


def _tei_limit(files: ModelFiles) -> str:
    settings = files.json("sentence_bert_config.json")
    limit = settings.get("max_seq_length") if settings is not None else 0
    readable = isinstance(limit, int) and 0 <= limit < LONGEST
    return "" if readable else "sentence_bert_config.json lacks max_seq_length: save it again with nearfar"


def _tei_dense(files: ModelFiles) -> str:
    stated = (module.settings.get("activation_function") for module in files.modules if module.name == "Dense")
    other = next((name for name in stated if name not in TEI_ACTIVATIONS), "")
    return f"its dense layer's activation is {other}, and Tanh or none alone are known" if other else ""


def _tei_attention(files: ModelFiles) -> str:
    both_ways = files.config.get("is_causal") is False
    return "its decoder attends both ways, which is not read: other vectors would come" if both_ways else ""


def _tei_machine(files: ModelFiles) -> str:
    return f"{files.model_type} runs on CUDA alone" if files.model_type in TEI_CUDA else ""


def _tei_prompts(files: ModelFiles) -> str:
    return "name the prompt (prompt_name of /embed, or --default-prompt-name)" if files.prompts else ""


def _tei_normalises(files: ModelFiles) -> str:
    return "ask for normalize: false at /embed" if _has_lengths(files) else ""


def _vllm_architecture(files: ModelFiles) -> str:
    name = files.architecture
    known = name in VLLM_ENCODERS | VLLM_DECODERS or name.endswith("ForCausalLM")
    return "" if known else f"its list of embedding models has no {name or 'model without architectures'}"


def _vllm_pooling(files: ModelFiles) -> str:
    modes = files.pooling_modes
    return "" if len(modes) == 1 and modes[0] in LAST else f"its poolings are {', '.join(sorted(LAST))}, not {modes}"


def _vllm_attention(files: ModelFiles) -> str:
    lost = files.config.get("is_causal") is False and files.model_type not in VLLM_BOTH_WAYS
    return f"its decoder attends both ways, which is not read for {files.model_type}" if lost else ""


def _no_prompts(files: ModelFiles) -> str:
    return "put the prompts before the texts yourself" if files.prompts else ""


def _vllm_normalises(files: ModelFiles) -> str:
    cosine = files.settings.get("similarity_fn_name", "cosine") != "dot" and _has_lengths(files, cosine=True)
    return "its vectors are not normalised: compare them by cosine" if cosine else ""


def _transformers_4(files: ModelFiles) -> str:
    tokenizer = (files.json("tokenizer_config.json") or {}).get("tokenizer_class")
    if tokenizer == "TokenizersBackend":
        return "its tokenizer is of a class of transformers 5, and it runs with 4"
    both_ways = files.config.get("is_causal") is False
    return (
        "its decoder attends both ways, which transformers 4 does not read: other vectors would come"
        if both_ways
        else ""
    )


def _sentence_transformers_3(files: ModelFiles) -> str:
    others = (files.json("sentence_bert_config.json") or {}).keys() - {"max_seq_length", "do_lower_case"}
    if others:
        return f"sentence_bert_config.json has {min(others)}, which its sentence-transformers 3 refuses: {AGAIN}"
    named = any("module_input_name" in module.settings for module in files.modules if module.name == "Dense")
    return f"its dense layer has module_input_name, which its sentence-transformers 3 refuses: {AGAIN}" if named else ""


def _infinity_normalises(files: ModelFiles) -> str:
    return "its vectors have lengths, and it makes them all 1" if _has_lengths(files) else ""


def _has_lengths(files: ModelFiles, *, cosine: bool = False) -> bool:
    """Whether vectors come as they are, for inner products unless `cosine`."""
    normalised = any(module.name == "Normalize" for module in files.modules)
    return not normalised and (cosine or files.settings.get("similarity_fn_name") == "dot")


def _examples(files: ModelFiles) -> str:
    return "put the examples of the folder 'examples' before queries" if (files.path / "examples").is_dir() else ""


def _both_roles(files: ModelFiles) -> str:
    return "call encode_query and encode_document" if files.prompts or files.has("router_config.json") else ""


ALONE: Sequence[Rule] = (_is_bi_encoder, _modules_are_known, _is_one_transformer)  # what every server but one asks
SERVED: Sequence[Rule] = (
    *ALONE, _parts_are_plain, _legacy_names, _has_weights, _has_fast_tokenizer, _states_pooling, _prompts_are_pooled,
)  # fmt: skip
RUNTIMES: Mapping[str, Runtime] = {
    "sentence-transformers": Runtime(
        "6.2.0", (_is_bi_encoder, _modules_are_known, _has_safetensors), (_both_roles, _examples)
    ),
    "TEI": Runtime(
        "1.9.3",  # router/src/lib.rs, backends/src/lib.rs, backends/candle
        (*SERVED, _tei_names, _tei_pooling, _tei_limit, _tei_dense, _tei_attention),
        (_tei_prompts, _tei_normalises, _tei_machine, _examples),
    ),
    "vLLM": Runtime(
        "0.24",  # vllm/transformers_utils/config.py, vllm/model_executor/models
        (*SERVED, _vllm_architecture, _vllm_pooling, _vllm_attention),
        (_no_prompts, _vllm_normalises, _examples),
    ),
    "infinity": Runtime(
        "0.0.78",  # with sentence-transformers 3.4 and transformers 4, which it asks for
        (*ALONE, _legacy_names, _has_weights, _transformers_4, _sentence_transformers_3, _prompts_are_pooled,
         _infinity_normalises),
        (_no_prompts, _examples),
    ),
}  # fmt: skip
