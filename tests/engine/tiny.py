"""Tiny models of many architectures and one tiny tokenizer, made from scratch."""

from __future__ import annotations

import functools

import torch
from lm_eval.api.instance import Instance
from tokenizers import Tokenizer, decoders, models, pre_tokenizers, processors, trainers
from transformers import (
    AutoConfig,
    AutoModelForCausalLM,
    PreTrainedModel,
    PreTrainedTokenizerBase,
    PreTrainedTokenizerFast,
)

from archbench.models.known import check_known

torch.set_num_threads(1)

SENTENCES = [
    "The baker of Elmford has seven copper kettles and one grey cat.",
    "Where does Ada live? Ada lives in Brackwater, near the old mill.",
    "Question: which town is larger?\nA. Elmford\nB. Brackwater\nAnswer: B",
    "12 and 30 make 42; the smith counted them twice.",
]
VOCAB = 320

_BODY = {"vocab_size": VOCAB, "hidden_size": 32, "num_hidden_layers": 2}
_ATTENTION = {
    "num_attention_heads": 4,
    "num_key_value_heads": 2,
    "intermediate_size": 48,
    "max_position_embeddings": 256,
}
_SSD = {
    "mamba_n_heads": 4,
    "mamba_d_head": 16,
    "mamba_d_state": 8,
    "mamba_n_groups": 1,
    "mamba_chunk_size": 8,
}
_NEMOTRON = {
    **_BODY,
    **_ATTENTION,
    "head_dim": 8,
    "mamba_num_heads": 4,
    "mamba_head_dim": 16,
    "ssm_state_size": 8,
    "n_groups": 1,
    "chunk_size": 8,
}
_DELTA = {
    "layer_types": ["linear_attention", "full_attention"],
    "head_dim": 8,
    "linear_conv_kernel_dim": 4,
    "linear_key_head_dim": 8,
    "linear_value_head_dim": 8,
    "linear_num_key_heads": 2,
    "linear_num_value_heads": 4,
}
_EXPERTS = {"num_experts_per_tok": 2, "moe_intermediate_size": 16}

CONFIGS: dict[str, tuple[str, dict[str, object]]] = {
    "llama": ("llama", {**_BODY, **_ATTENTION}),
    "llama_tied": ("llama", {**_BODY, **_ATTENTION, "tie_word_embeddings": True}),
    "gpt_neox": (
        "gpt_neox",
        {**_BODY, "num_attention_heads": 4, "intermediate_size": 48, "max_position_embeddings": 256},
    ),
    "mistral": ("mistral", {**_BODY, **_ATTENTION, "sliding_window": 8}),
    "gemma2": (
        "gemma2",
        {
            **_BODY,
            **_ATTENTION,
            "head_dim": 8,
            "query_pre_attn_scalar": 8,
            "sliding_window": 8,
            "final_logit_softcapping": 2.0,
        },
    ),
    "granite": ("granite", {**_BODY, **_ATTENTION, "logits_scaling": 3.0}),
    "mamba": ("mamba", {**_BODY, "state_size": 8}),
    "mamba2": (
        "mamba2",
        {**_BODY, "state_size": 8, "num_heads": 4, "head_dim": 16, "n_groups": 1, "chunk_size": 8},
    ),
    "falcon_mamba": ("falcon_mamba", {**_BODY, "state_size": 8}),
    "nemotron_h": ("nemotron_h", {**_NEMOTRON, "hybrid_override_pattern": "M-*-"}),
    "nemotron_h_pure": ("nemotron_h", {**_NEMOTRON, "hybrid_override_pattern": "M-M-"}),
    "nemotron_h_attention": ("nemotron_h", {**_NEMOTRON, "hybrid_override_pattern": "*-*-"}),
    "nemotron_h_moe": (
        "nemotron_h",
        {
            **_NEMOTRON,
            **_EXPERTS,
            "hybrid_override_pattern": "ME*E",
            "n_routed_experts": 4,
            "moe_shared_expert_intermediate_size": 16,
        },
    ),
    "jamba": (
        "jamba",
        {
            **_BODY,
            **_ATTENTION,
            "num_experts": 4,
            "num_experts_per_tok": 2,
            "expert_layer_period": 2,
            "expert_layer_offset": 1,
            "attn_layer_period": 2,
            "attn_layer_offset": 1,
            "mamba_d_state": 8,
            "mamba_dt_rank": 4,
        },
    ),
    "bamba": ("bamba", {**_BODY, **_ATTENTION, **_SSD, "attn_layer_indices": [1]}),
    "falcon_h1": (
        "falcon_h1",
        {**_BODY, **_ATTENTION, **_SSD, "head_dim": 8, "mamba_d_ssm": 64, "lm_head_multiplier": 0.5},
    ),
    "granitemoehybrid": (
        "granitemoehybrid",
        {
            **_BODY,
            **_ATTENTION,
            **_SSD,
            "layer_types": ["mamba", "attention"],
            "num_local_experts": 4,
            "num_experts_per_tok": 2,
            "shared_intermediate_size": 16,
            "logits_scaling": 2.0,
        },
    ),
    "lfm2": (
        "lfm2",
        {**_BODY, **_ATTENTION, "layer_types": ["conv", "full_attention"], "block_multiple_of": 16},
    ),
    "mixtral": (
        "mixtral",
        {**_BODY, **_ATTENTION, "num_local_experts": 4, "num_experts_per_tok": 2, "sliding_window": None},
    ),
    "qwen3_next": ("qwen3_next", {**_BODY, **_ATTENTION, **_DELTA, **_EXPERTS, "num_experts": 4}),
    "olmo_hybrid": ("olmo_hybrid", {**_BODY, **_ATTENTION, **_DELTA}),
    "delta_rule": ("delta_rule", {**_BODY, "num_heads": 2, "head_dim": 8, "intermediate_size": 48}),
    "min_gru": ("min_gru", {**_BODY, "expand": 2, "intermediate_size": 48}),
    "delta_rule_plain": (
        "delta_rule",
        {
            **_BODY,
            "num_heads": 2,
            "head_dim": 8,
            "intermediate_size": 0,
            "gated": False,
            "negative_eigenvalues": True,
        },
    ),
    "zamba2": (
        "zamba2",
        {
            **_BODY,
            **_ATTENTION,
            **_SSD,
            "layers_block_type": ["mamba", "hybrid"],
            "num_mem_blocks": 1,
        },
    ),
}
"""Architectures whose prefixes can be shared."""

UNSHARED: dict[str, tuple[str, dict[str, object]]] = {
    "rwkv": ("rwkv", {**_BODY, "attention_hidden_size": 32, "context_length": 256}),
    "xlstm": ("xlstm", {**_BODY, "num_heads": 4, "chunk_size": 16}),
    "recurrent_gemma": (
        "recurrent_gemma",
        {**_BODY, **_ATTENTION, "num_hidden_layers": 3, "lru_width": 32, "attention_window_size": 16},
    ),
}
"""Architectures whose states transformers does not hand out in a way that they could be gone on from."""


@functools.cache
def make_tokenizer(*, bos: bool = False, vocab: int = VOCAB) -> PreTrainedTokenizerBase:
    """A byte-level BPE of at most so many tokens with an end-of-text token.

    With `bos`, it has a begin-of-text token too and puts it before every text, as Llama's does.
    """
    bpe = Tokenizer(models.BPE())
    bpe.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    bpe.decoder = decoders.ByteLevel()
    bpe.train_from_iterator(
        SENTENCES,
        trainers.BpeTrainer(
            vocab_size=vocab,
            special_tokens=["<|endoftext|>", "<s>"] if bos else ["<|endoftext|>"],
            initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
            show_progress=False,
        ),
    )
    if not bos:
        return PreTrainedTokenizerFast(tokenizer_object=bpe, eos_token="<|endoftext|>")
    bpe.post_processor = processors.TemplateProcessing(single="<s> $A", special_tokens=[("<s>", 1)])
    return PreTrainedTokenizerFast(tokenizer_object=bpe, eos_token="<|endoftext|>", bos_token="<s>")


@functools.cache
def make_model(name: str) -> PreTrainedModel:
    """A tiny random model. Its weights are large, so that predictions differ and ties do not occur."""
    model_type, fields = (CONFIGS | UNSHARED)[name]
    check_known(model_type, "tests")
    config = AutoConfig.for_model(model_type, **fields, bos_token_id=None, eos_token_id=0, pad_token_id=None)
    torch.manual_seed(0)
    model = AutoModelForCausalLM.from_config(config).eval()
    for parameter in model.parameters():
        if parameter.dim() >= 2:
            torch.nn.init.normal_(parameter.data, std=0.3)
    return model


def scored(*pairs: tuple[str, str]) -> list[Instance]:
    """lm-eval requests for log-likelihoods."""
    return [Instance("loglikelihood", {}, pair, i) for i, pair in enumerate(pairs)]


def rolling(*texts: str) -> list[Instance]:
    """lm-eval requests for rolling log-likelihoods."""
    return [Instance("loglikelihood_rolling", {}, (text,), i) for i, text in enumerate(texts)]


def prompts(*pairs: tuple[str, dict[str, object]]) -> list[Instance]:
    """lm-eval requests for generations."""
    return [Instance("generate_until", {}, pair, i) for i, pair in enumerate(pairs)]
