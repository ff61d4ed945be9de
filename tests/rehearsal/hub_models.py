"""Small models in the files of the repositories that the paper's configuration names.

The configuration is that of the real repository with small sizes, and so are the names of weights
(GPT-2's own have no prefix, old T5 and GPT-Neo files have weights that are not read any more) and
the form of the files: one safetensors file, several, or PyTorch's own.
"""

import hashlib
import io
from collections.abc import Callable, Mapping
from typing import Any

import hub_tokenizers as tokenizers
import torch
from hub_tokenizers import Files, as_json
from safetensors.torch import save
from transformers import AutoConfig, AutoModelForCausalLM, AutoModelForSeq2SeqLM

Weights = dict[str, torch.Tensor]
_CARD = b"---\nlicense: apache-2.0\n---\n\nA stand-in.\n"
_T5_ROWS = 828
"""Rows of T5's embeddings: more than it has tokens, as in the original (32,128 for 32,100)."""


def _t5_config(gated: bool) -> dict[str, Any]:
    config: dict[str, Any] = {
        "architectures": ["T5ForConditionalGeneration"],
        "model_type": "t5",
        "is_encoder_decoder": True,
        "d_model": 32,
        "d_kv": 16,
        "d_ff": 64,
        "num_layers": 2,
        "num_decoder_layers": 2,
        "num_heads": 2,
        "relative_attention_num_buckets": 32,
        "n_positions": 512,
        "dropout_rate": 0.1,
        "layer_norm_epsilon": 1e-06,
        "initializer_factor": 1.0,
        "feed_forward_proj": "relu",
        "decoder_start_token_id": 0,
        "eos_token_id": 1,
        "pad_token_id": 0,
        "use_cache": True,
        "vocab_size": _T5_ROWS,
    }
    if gated:
        config |= {"feed_forward_proj": "gated-gelu", "tie_word_embeddings": False}
    return config


def _gpt2_config(tokens: int, positions: int, **fields: Any) -> dict[str, Any]:
    return {
        "activation_function": "gelu_new",
        "architectures": ["GPT2LMHeadModel"],
        "attn_pdrop": 0.1,
        "bos_token_id": tokens - 1,
        "eos_token_id": tokens - 1,
        "embd_pdrop": 0.1,
        "resid_pdrop": 0.1,
        "model_type": "gpt2",
        "n_ctx": positions,
        "n_positions": positions,
        "n_embd": 32,
        "n_head": 2,
        "n_layer": 2,
        "vocab_size": tokens,
        **fields,
    }


def _neo_config(tokens: int) -> dict[str, Any]:
    return {
        "activation_function": "gelu_new",
        "architectures": ["GPTNeoForCausalLM"],
        "attention_dropout": 0,
        "attention_layers": ["global", "local"],
        "attention_types": [[["global", "local"], 1]],
        "bos_token_id": tokens - 1,
        "embed_dropout": 0,
        "eos_token_id": tokens - 1,
        "hidden_size": 32,
        "intermediate_size": None,
        "max_position_embeddings": 2048,
        "model_type": "gpt_neo",
        "num_heads": 2,
        "num_layers": 2,
        "resid_dropout": 0,
        "vocab_size": tokens,
        "window_size": 256,
    }


def _llama_config(rows: int) -> dict[str, Any]:
    return {
        "architectures": ["LlamaForCausalLM"],
        "bos_token_id": 1,
        "eos_token_id": 2,
        "hidden_act": "silu",
        "hidden_size": 32,
        "initializer_range": 0.02,
        "intermediate_size": 64,
        "max_position_embeddings": 2048,
        "model_type": "llama",
        "num_attention_heads": 2,
        "num_hidden_layers": 2,
        "pad_token_id": 0,
        "rms_norm_eps": 1e-06,
        "tie_word_embeddings": False,
        "torch_dtype": "float16",
        "vocab_size": rows,
    }


def random_weights(repo: str, config: Mapping[str, Any]) -> Weights:
    """Weights of a configuration, which depend on the repository's name alone."""
    from lamini.students.pretrained import separate_head

    torch.manual_seed(int(hashlib.sha256(repo.encode()).hexdigest()[:8], 16))
    made = AutoConfig.for_model(**dict(config))
    maker = AutoModelForSeq2SeqLM if made.is_encoder_decoder else AutoModelForCausalLM
    model = maker.from_config(made, dtype=torch.float32)
    if config.get("tie_word_embeddings") is False:
        separate_head(model)
    return {name: value.clone() for name, value in model.state_dict().items()}


def _without_copies(weights: Weights, *names: str) -> Weights:
    """Without copies of the embedding, which a safetensors file does not repeat."""
    return {name: value for name, value in weights.items() if name not in names}


def _t5(repo: str, gated: bool) -> Files:
    config = _t5_config(gated)
    weights = random_weights(repo, config)
    copies = ["encoder.embed_tokens.weight", "decoder.embed_tokens.weight"]
    weights = _without_copies(weights, *copies, *([] if gated else ["lm_head.weight"]))
    if not gated:  # of the first release, in each of T5's files since
        unread = "decoder.block.0.layer.1.EncDecAttention.relative_attention_bias.weight"
        weights[unread] = torch.zeros(32, 2)
    return {
        **_common(config),
        **tokenizers.t5(),
        "generation_config.json": as_json(
            {"decoder_start_token_id": 0, "eos_token_id": 1, "pad_token_id": 0}
        ),
        "model.safetensors": save(weights, {"format": "pt"}),
    }


def _gpt2(repo: str) -> Files:
    tokenizer = tokenizers.gpt2(1024, named=False)
    config = _gpt2_config(_size(tokenizer), 1024)
    weights = _without_copies(random_weights(repo, config), "lm_head.weight")
    bare = {name.removeprefix("transformer."): value for name, value in weights.items()}
    for layer in range(2):  # a buffer that is not read any more
        bare[f"h.{layer}.attn.bias"] = torch.ones(1, 1, 1024, 1024).tril()
    return {**_common(config), **tokenizer, "model.safetensors": save(bare, {"format": "pt"})}


def _neo(repo: str) -> Files:
    tokenizer = tokenizers.gpt2(2048, named=True)
    config = _neo_config(_size(tokenizer))
    weights = _without_copies(random_weights(repo, config), "lm_head.weight")
    for layer in range(2):
        attention = f"transformer.h.{layer}.attn.attention"
        weights[f"{attention}.bias"] = torch.ones(1, 1, 64, 64, dtype=torch.bool).tril()
        weights[f"{attention}.masked_bias"] = torch.tensor(-1e9)
    return {**_common(config), **tokenizer, "model.safetensors": save(weights, {"format": "pt"})}


def _cerebras(repo: str) -> Files:
    """Cerebras-GPT: GPT-2's type with 2,048 positions, published as PyTorch's file only."""
    tokenizer = tokenizers.gpt2(2048, named=True)
    config = _gpt2_config(
        _size(tokenizer), 2048, activation_function="gelu", attn_pdrop=0.0, n_inner=128
    )
    return {
        **_common(config),
        **tokenizer,
        "pytorch_model.bin": _torch_file(random_weights(repo, config)),
    }


def _llama(repo: str) -> Files:
    """LLaMA of huggyllama: two safetensors files in fp16, with the old rotary frequencies."""
    config = _llama_config(700)
    weights = {name: value.half() for name, value in random_weights(repo, config).items()}
    for layer in range(2):
        weights[f"model.layers.{layer}.self_attn.rotary_emb.inv_freq"] = torch.ones(8)
    files = _in_shards(
        weights, 2, "model", "safetensors", lambda part: save(part, {"format": "pt"})
    )
    return {**_common(config), **tokenizers.llama(), **files}


def _alpaca(repo: str) -> Files:
    """Alpaca: PyTorch's files in fp32, with a row for `[PAD]`."""
    config = {**_llama_config(701), "torch_dtype": "float32"}
    files = _in_shards(random_weights(repo, config), 3, "pytorch_model", "bin", _torch_file)
    return {**_common(config), **tokenizers.alpaca(700), **files}


def _qwen2(repo: str) -> Files:
    """The teacher: four safetensors files in bf16."""
    tokenizer = tokenizers.qwen2()
    config = _llama_config(_size(tokenizer)) | {
        "architectures": ["Qwen2ForCausalLM"],
        "model_type": "qwen2",
        "num_key_value_heads": 2,
        "torch_dtype": "bfloat16",
    }
    weights = {name: value.bfloat16() for name, value in random_weights(repo, config).items()}
    files = _in_shards(
        weights, 4, "model", "safetensors", lambda part: save(part, {"format": "pt"})
    )
    return {**_common(config), **tokenizer, **files}


def _released(repo: str) -> Files:
    """A released student: PyTorch's file, and the arguments of its training."""
    if "T5" in repo:
        files = _t5(repo, gated="Flan" in repo)
        config = _t5_config("Flan" in repo)
        del files["model.safetensors"]
    else:
        positions = 1024 if "LaMini-GPT" in repo else 2048
        files = tokenizers.lamini_gpt(positions)
        tokens = _size(files)
        config = _neo_config(tokens) if "Neo" in repo else _gpt2_config(tokens, positions)
        files |= _common(config)
    arguments = io.BytesIO()
    torch.save({"learning_rate": 5e-4}, arguments)
    return {
        **files,
        "pytorch_model.bin": _torch_file(random_weights(repo, config)),
        "training_args.bin": arguments.getvalue(),
    }


def _mpnet(repo: str) -> Files:
    """all-mpnet-base-v2: an encoder, a mean over tokens, and a normalisation without a file."""
    from transformers import MPNetConfig, MPNetModel

    config = {
        "architectures": ["MPNetForMaskedLM"],
        "attention_probs_dropout_prob": 0.1,
        "bos_token_id": 0,
        "eos_token_id": 2,
        "hidden_act": "gelu",
        "hidden_dropout_prob": 0.1,
        "hidden_size": 32,
        "intermediate_size": 64,
        "layer_norm_eps": 1e-05,
        "max_position_embeddings": 514,
        "model_type": "mpnet",
        "num_attention_heads": 2,
        "num_hidden_layers": 2,
        "pad_token_id": 1,
        "relative_attention_num_buckets": 32,
        "vocab_size": 600,
    }
    torch.manual_seed(0)
    weights = MPNetModel(MPNetConfig(**config)).state_dict()
    kinds = (
        ("0", "", "Transformer"),
        ("1", "1_Pooling", "Pooling"),
        ("2", "2_Normalize", "Normalize"),
    )
    modules = [
        {"idx": int(n), "name": n, "path": path, "type": f"sentence_transformers.models.{kind}"}
        for n, path, kind in kinds
    ]
    pooling = {
        "word_embedding_dimension": 32,
        "pooling_mode_cls_token": False,
        "pooling_mode_mean_tokens": True,
        "pooling_mode_max_tokens": False,
        "pooling_mode_mean_sqrt_len_tokens": False,
    }
    versions = {"sentence_transformers": "2.0.0", "transformers": "4.6.1", "pytorch": "1.8.1"}
    return {
        **_common(config),
        **tokenizers.mpnet(),
        "modules.json": as_json(modules),
        "config_sentence_transformers.json": as_json({"__version__": versions}),
        "sentence_bert_config.json": as_json({"max_seq_length": 384, "do_lower_case": False}),
        "1_Pooling/config.json": as_json(pooling),
        "model.safetensors": save(dict(weights), {"format": "pt"}),
    }


def _bert(repo: str) -> Files:
    """Only the tokenizer is read of it."""
    config = {"architectures": ["BertForMaskedLM"], "model_type": "bert", "vocab_size": 600}
    return {**_common(config), **tokenizers.bert()}


def _gpt4(repo: str) -> Files:
    return {"README.md": _CARD, **tokenizers.gpt4()}


def _common(config: Mapping[str, Any]) -> Files:
    return {"README.md": _CARD, ".gitattributes": b"", "config.json": as_json(dict(config))}


def _size(tokenizer: Files) -> int:
    import json

    return len(json.loads(tokenizer["vocab.json"]))


def _torch_file(weights: Weights) -> bytes:
    written = io.BytesIO()
    torch.save(weights, written)
    return written.getvalue()


def _in_shards(
    weights: Weights, shards: int, stem: str, ending: str, write: Callable[[Weights], bytes]
) -> Files:
    names, files, places = list(weights), {}, {}
    for shard in range(shards):
        file = f"{stem}-{shard + 1:05}-of-{shards:05}.{ending}"
        part = names[shard::shards]
        files[file] = write({name: weights[name] for name in part})
        places.update(dict.fromkeys(part, file))
    size = sum(value.numel() * value.element_size() for value in weights.values())
    index = {"metadata": {"total_size": size}, "weight_map": places}
    return {**files, f"{stem}.{ending}.index.json": as_json(index)}


_MAKERS: dict[str, Callable[[str], Files]] = {
    "google-t5/": lambda repo: _t5(repo, gated=False),
    "google/flan-t5": lambda repo: _t5(repo, gated=True),
    "openai-community/": _gpt2,
    "EleutherAI/gpt-neo": _neo,
    "cerebras/": _cerebras,
    "huggyllama/": _llama,
    "chavinlo/alpaca-native": _alpaca,
    "Qwen/Qwen2.5": _qwen2,
    "MBZUAI/LaMini-": _released,
    "sentence-transformers/all-mpnet": _mpnet,
    "google-bert/": _bert,
    "Xenova/gpt-4": _gpt4,
}


def model_files(repo: str) -> Files:
    """Files of a model's or tokenizer's repository.

    Raises:
        KeyError: nobody wrote down what the repository looks like.
    """
    for start, make in _MAKERS.items():
        if repo.startswith(start):
            return make(repo)
    raise KeyError(f"the stand-in hub has no model {repo}; describe it in {__file__}")
