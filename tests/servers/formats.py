"""Write the scripted model as the files that the servers load: GGUF for llama.cpp, a Hugging Face folder for vLLM.

The libraries that write them are imported when needed: GGUF wants `gguf`, the folder `safetensors` and `tokenizers`.
"""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np

from tests.servers.network import CONTEXT, EPSILON, FEED_FORWARD, HEAD_SIZE, Network, Table
from tests.servers.script import CONTROL_TOKENS, END_OF_TURN, PADDING, chat_template

_NORMAL, _CONTROL = 1, 3  # token types of the GGUF format


def _zeros(*shape: int) -> Table:
    return np.zeros(shape, np.float32)


def _ones(size: int) -> Table:
    return np.ones(size, np.float32)


def write_gguf(network: Network, path: Path) -> None:
    """Write one GGUF file, as a Llama of one block."""
    import gguf

    size, ids = network.size, network.ids
    writer = gguf.GGUFWriter(str(path), "llama")
    writer.add_name("tiny-scripted")
    writer.add_context_length(CONTEXT)
    writer.add_embedding_length(size)
    writer.add_block_count(1)
    writer.add_feed_forward_length(FEED_FORWARD)
    writer.add_head_count(size // HEAD_SIZE)
    writer.add_head_count_kv(1)
    writer.add_layer_norm_rms_eps(EPSILON)
    writer.add_rope_dimension_count(HEAD_SIZE)
    writer.add_vocab_size(size)
    writer.add_file_type(0)
    writer.add_tokenizer_model("gpt2")
    writer.add_tokenizer_pre("gpt-2")
    writer.add_token_list(list(network.vocabulary))
    writer.add_token_types(
        [_CONTROL if token in network.special else _NORMAL for token in network.vocabulary]
    )
    writer.add_token_merges([" ".join(merge) for merge in network.merges])
    writer.add_eos_token_id(ids[END_OF_TURN])
    writer.add_bos_token_id(ids[PADDING])
    writer.add_add_bos_token(False)
    writer.add_chat_template(chat_template())
    tensors = {
        "token_embd": np.eye(size, dtype=np.float32),
        "output": network.output_matrix(),
        "output_norm": _ones(size),
        "blk.0.attn_norm": _ones(size),
        "blk.0.ffn_norm": _ones(size),
        "blk.0.attn_q": _zeros(size, size),
        "blk.0.attn_k": _zeros(HEAD_SIZE, size),
        "blk.0.attn_v": _zeros(HEAD_SIZE, size),
        "blk.0.attn_output": _zeros(size, size),
        "blk.0.ffn_gate": _zeros(FEED_FORWARD, size),
        "blk.0.ffn_up": _zeros(FEED_FORWARD, size),
        "blk.0.ffn_down": _zeros(size, FEED_FORWARD),
    }
    for name, tensor in tensors.items():
        writer.add_tensor(f"{name}.weight", tensor)
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()


def write_folder(network: Network, folder: Path) -> None:
    """Write a Hugging Face model folder, as a Qwen2 of one layer."""
    from safetensors.numpy import save_file

    folder.mkdir(parents=True, exist_ok=True)
    _write_tokenizer(network, folder)
    size, ids = network.size, network.ids
    special = {"eos_token_id": ids[END_OF_TURN], "pad_token_id": ids[PADDING]}
    config = {
        "architectures": ["Qwen2ForCausalLM"],
        "model_type": "qwen2",
        "vocab_size": size,
        "hidden_size": size,
        "intermediate_size": FEED_FORWARD,
        "num_hidden_layers": 1,
        "num_attention_heads": size // HEAD_SIZE,
        "num_key_value_heads": 1,
        "head_dim": HEAD_SIZE,
        "max_position_embeddings": CONTEXT,
        "rms_norm_eps": EPSILON,
        "rope_theta": 10000.0,
        "tie_word_embeddings": False,
        "hidden_act": "silu",
        "use_sliding_window": False,
        "torch_dtype": "float32",
        "bos_token_id": ids[PADDING],
        **special,
    }
    (folder / "config.json").write_text(json.dumps(config, indent=1))
    (folder / "generation_config.json").write_text(json.dumps({**special, "do_sample": False}))
    layer = {
        "input_layernorm.weight": _ones(size),
        "post_attention_layernorm.weight": _ones(size),
        "self_attn.q_proj.weight": _zeros(size, size),
        "self_attn.k_proj.weight": _zeros(HEAD_SIZE, size),
        "self_attn.v_proj.weight": _zeros(HEAD_SIZE, size),
        "self_attn.o_proj.weight": _zeros(size, size),
        "self_attn.q_proj.bias": _zeros(size),
        "self_attn.k_proj.bias": _zeros(HEAD_SIZE),
        "self_attn.v_proj.bias": _zeros(HEAD_SIZE),
        "mlp.gate_proj.weight": _zeros(FEED_FORWARD, size),
        "mlp.up_proj.weight": _zeros(FEED_FORWARD, size),
        "mlp.down_proj.weight": _zeros(size, FEED_FORWARD),
    }
    tensors = {
        "model.embed_tokens.weight": np.eye(size, dtype=np.float32),
        "lm_head.weight": network.output_matrix(),
        "model.norm.weight": _ones(size),
        **{f"model.layers.0.{name}": tensor for name, tensor in layer.items()},
    }
    save_file(tensors, str(folder / "model.safetensors"), metadata={"format": "pt"})


def _write_tokenizer(network: Network, folder: Path) -> None:
    from tokenizers import AddedToken, Tokenizer, decoders, models, pre_tokenizers

    tokenizer = Tokenizer(
        models.BPE(vocab=network.ids, merges=list(network.merges), fuse_unk=False)
    )
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    tokenizer.add_special_tokens([AddedToken(token, special=True) for token in CONTROL_TOKENS])
    tokenizer.save(str(folder / "tokenizer.json"))
    config = {
        "tokenizer_class": "PreTrainedTokenizerFast",
        "eos_token": END_OF_TURN,
        "pad_token": PADDING,
        "bos_token": None,
        "model_max_length": CONTEXT,
        "clean_up_tokenization_spaces": False,
        "chat_template": chat_template(),
    }
    (folder / "tokenizer_config.json").write_text(json.dumps(config))
    (folder / "chat_template.jinja").write_text(chat_template())
