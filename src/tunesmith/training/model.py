"""Models and tokenizers from local folders, loaded without running anybody's code."""

from __future__ import annotations

import json
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from tunesmith.jobs.paths import HandlePaths
from tunesmith.schemas.enums import TuningMethod
from tunesmith.schemas.errors import Mismatch, MissingExtra, UnsupportedModel
from tunesmith.schemas.plans import Attention, Plan, Precision, Quantization
from tunesmith.training.base_model import ResolvedModel, check_model_folder, resolve_base
from tunesmith.training.hardware import training_device

__all__ = [
    "ResolvedModel",
    "check_model_folder",
    "fit_token_ids",
    "load_model",
    "load_run_model",
    "load_tokenizer",
    "require_bitsandbytes",
    "resolve_base",
    "resolve_plan_base",
]

_PAD_NAMES = (
    "<pad>",
    "<|pad|>",
    "[PAD]",
    "<|padding|>",
    "<|finetune_right_pad_id|>",
    "<|fim_pad|>",
    "<|vision_pad|>",
)
_RESERVED_NAMES = ("<|reserved_special_token_0|>", "<|extra_0|>", "<unused0>", "[unused0]")
_NO_SUCH_ATTENTION = ("scaled_dot_product_attention", "does not support Flash Attention")
_IMPOSSIBLE_BYTES = ("<0xFF>", "ÿ")
"""The byte 255, as byte-fallback and byte-level vocabularies spell it: no UTF-8 text contains it."""


def load_tokenizer(folder: Path) -> Any:
    """The folder's tokenizer, with a padding token that is not the end-of-text token.

    Where padding and end of text are the same token, anything that masks padding also masks the end, and the
    tuned model never stops (transformers#48016). No embedding is resized: the padding token is, in this order,
    the tokenizer's own; an unused one that its vocabulary reserves; the unknown token; the beginning-of-text
    token; a new one where the embedding matrix has spare rows; the byte 255, which no text contains. Padding is
    masked in attention and carries no loss, so which token it is changes no result.

    Raises:
        UnsupportedModel: it cannot be read, has nothing to pad with, or has tokens that the model has no
            embedding for.
    """
    from transformers import AutoTokenizer

    try:
        tokenizer = AutoTokenizer.from_pretrained(folder, local_files_only=True, trust_remote_code=False)
    except (OSError, ValueError, KeyError, ImportError, RuntimeError) as error:
        raise UnsupportedModel(
            f"The tokenizer in {folder.name} cannot be read ({type(error).__name__}).",
            "Choose a base model whose folder holds tokenizer.json and tokenizer_config.json.",
        ) from error
    rows = _embedding_rows(folder)
    if rows:
        _check_vocabulary(tokenizer, rows, folder)
    if tokenizer.pad_token_id in (None, tokenizer.eos_token_id) or 0 < rows <= tokenizer.pad_token_id:
        _set_pad_token(tokenizer, rows)
    tokenizer.padding_side = "right"
    return tokenizer


def load_model(
    folder: Path,
    *,
    precision: Precision,
    quantization: Quantization | None,
    for_training: bool,
    attn_implementation: Attention = "sdpa",
) -> Any:
    """The folder's causal language model on this machine's device, in evaluation mode unless `for_training`.

    Attention falls back to "eager" where the architecture has no other. Without a dtype transformers would load
    float32 whatever the file holds; `precision` is always handed on.

    Raises:
        ModelNotFound, UnsafeModel: see `check_model_folder`.
        UnsupportedModel: as there, or transformers cannot load it, or the file lacks weights that config.json
            speaks of.
        MissingExtra: it is to be quantized, and bitsandbytes is not installed.
    """
    import torch
    from transformers.utils import logging

    check_model_folder(folder)
    logging.disable_progress_bar()  # a job's log is a file
    options: dict[str, Any] = {
        "local_files_only": True,
        "trust_remote_code": False,
        "use_safetensors": True,
        "dtype": getattr(torch, precision),
        "attn_implementation": attn_implementation,
    }
    device = training_device()
    if quantization is not None:
        require_bitsandbytes(quantization)
        options["quantization_config"] = _quantized(quantization, precision)
        options["device_map"] = {"": 0 if device == "cuda" else "cpu"}
    model = _from_pretrained(folder, options)
    if quantization is None:
        model.to(device)
    elif device != "cuda":
        _keep_weights_as_quantized(model)
    return model.train() if for_training else model.eval()


def require_bitsandbytes(quantization: Quantization) -> None:
    """See to it that base weights can be quantized here.

    Raises:
        MissingExtra: bitsandbytes is not installed.
    """
    if find_spec("bitsandbytes") is None:
        raise MissingExtra(
            f"quantization={quantization!r} needs bitsandbytes, which is not installed beside Tunesmith.",
            "Install it (pip install 'tunesmith[train]') and call configure_lora again, or leave quantization out: "
            "tuning_method='lora' with a smaller base model or max_length.",
        )


def load_run_model(run_paths: HandlePaths, plan: Plan) -> tuple[Any, Any]:
    """A finished run's tuned model and its tokenizer, ready for evaluation.

    Raises:
        Mismatch: the base model is not the one that was tuned.
        ModelNotFound, HubUnavailable: the base model is gone.
    """
    config = plan.config
    tokenizer = load_tokenizer(run_paths.adapter)
    if config.tuning_method is TuningMethod.FULL:
        model = load_model(
            run_paths.adapter, precision=config.precision, quantization=None, for_training=False
        )
    else:
        from peft import PeftModel

        base = resolve_plan_base(plan)
        model = load_model(
            base.folder, precision=config.precision, quantization=config.quantization, for_training=False
        )
        model = PeftModel.from_pretrained(model, run_paths.adapter, is_trainable=False)
        model.eval()
    fit_token_ids(model, tokenizer)
    return model, tokenizer


def resolve_plan_base(plan: Plan) -> ResolvedModel:
    """The very base model that the plan was made for.

    Raises:
        Mismatch: its folder has changed since.
        ModelNotFound, HubUnavailable, HubAuth: see `resolve_base`.
    """
    config = plan.config
    base = resolve_base(
        config.base_model_kind, config.base_model, config.base_model_path, config.base_model_revision
    )
    if base.fingerprint != plan.base_fingerprint:
        raise Mismatch(
            f"The base model {config.base_model} has changed since {plan.plan_id} was made.",
            f"Call configure_lora(base_model={config.base_model!r}, dataset_id={plan.dataset_id!r}) again.",
        )
    return base


def fit_token_ids(model: Any, tokenizer: Any) -> None:
    """Tell the model the tokenizer's padding and end tokens; end tokens that it knows already stay."""
    model.config.pad_token_id = tokenizer.pad_token_id
    generation = model.generation_config
    if generation is None:
        return
    generation.pad_token_id = tokenizer.pad_token_id
    known = generation.eos_token_id
    ends = [known] if isinstance(known, int) else list(known or [])
    if tokenizer.eos_token_id not in ends:
        ends = [tokenizer.eos_token_id, *ends]
    generation.eos_token_id = ends[0] if len(ends) == 1 else ends


def _from_pretrained(folder: Path, options: dict[str, Any]) -> Any:
    try:
        model, loaded = _load_with_some_attention(folder, options)
    except (OSError, ValueError, KeyError, ImportError) as error:
        raise UnsupportedModel(
            f"transformers cannot load the model in {folder.name} ({type(error).__name__}).",
            "Check that the folder is complete (config.json, every safetensors file), or choose another.",
        ) from error
    except RuntimeError as error:
        # An accelerator that is full says so in a RuntimeError too, which is no fault of the folder.
        if "mismatch" not in str(error):
            raise
        raise UnsupportedModel(
            f"The weights in {folder.name} have other shapes than config.json says.",
            "Check that config.json and the weights belong together, or choose another base model.",
        ) from error
    missing = sorted(loaded["missing_keys"])
    if missing:
        raise UnsupportedModel(
            f"The weights in {folder.name} lack {missing[0]}, which config.json speaks of ({len(missing)} are "
            "missing): they would be noise.",
            "Check that config.json and the weights belong together, or choose another base model.",
        )
    return model


def _load_with_some_attention(folder: Path, options: dict[str, Any]) -> tuple[Any, dict[str, Any]]:
    """Each implementation computes the same; not every architecture has each."""
    from transformers import AutoModelForCausalLM

    ways = list(dict.fromkeys((options["attn_implementation"], "sdpa", "eager")))
    for way in ways:
        chosen = {**options, "attn_implementation": way}
        try:
            model, loaded = AutoModelForCausalLM.from_pretrained(folder, output_loading_info=True, **chosen)
        except ValueError as error:
            if way == ways[-1] or not any(words in str(error) for words in _NO_SUCH_ATTENTION):
                raise
        else:
            return model, loaded
    raise AssertionError("the last way either loads or raises")


def _keep_weights_as_quantized(model: Any) -> None:
    """On some processors bitsandbytes 0.50 repacks four-bit weights on their first use in evaluation: it rounds
    their scales to bfloat16, demands sizes that small models do not have, and cannot train them afterwards."""
    from bitsandbytes.nn import Linear4bit

    for module in model.modules():
        if isinstance(module, Linear4bit):
            module.support_avx512bf16_for_cpu = False


def _quantized(quantization: Quantization, precision: Precision) -> Any:
    """Int8 weights, or NormalFloat4 with double quantization (QLoRA, arXiv:2305.14314, section 3)."""
    import torch
    from transformers import BitsAndBytesConfig

    if quantization == "int8":
        return BitsAndBytesConfig(load_in_8bit=True)
    return BitsAndBytesConfig(
        load_in_4bit=True,
        bnb_4bit_quant_type="nf4",
        bnb_4bit_use_double_quant=True,
        bnb_4bit_compute_dtype=getattr(torch, precision),
    )


def _check_vocabulary(tokenizer: Any, rows: int, folder: Path) -> None:
    """Tokens beyond the embedding would crash in the middle of a training, or on an accelerator read anything.

    A special token up there does no harm as long as nothing writes it: rows are encoded with special tokens taken
    apart (Gemma 3's tokenizer has one more than its text models).
    """
    special = set(tokenizer.all_special_ids) | {
        number for number, token in tokenizer.added_tokens_decoder.items() if token.special
    }
    template = tokenizer.chat_template or ""
    beyond = [
        token
        for token, number in tokenizer.get_vocab().items()
        if number >= rows
        and (
            number not in special
            or number in (tokenizer.bos_token_id, tokenizer.eos_token_id)
            or token in template
        )
    ]
    if beyond:
        raise UnsupportedModel(
            f"The tokenizer in {folder.name} has {len(beyond)} tokens that the model has no embedding for: its "
            f"vocabulary ends at {max(tokenizer.get_vocab().values())}, the embedding has {rows} rows.",
            "Use the tokenizer that belongs to the model, or choose another base model.",
        )


def _set_pad_token(tokenizer: Any, embedding_rows: int) -> None:
    vocabulary = tokenizer.get_vocab()
    candidates = [name for name in (*_PAD_NAMES, *_RESERVED_NAMES) if name in vocabulary]
    candidates += [token for token in (tokenizer.unk_token, tokenizer.bos_token) if token is not None]
    spare = "<|pad|>" if len(tokenizer) < embedding_rows else None
    candidates += [spare] if spare else []
    candidates += [name for name in _IMPOSSIBLE_BYTES if name in vocabulary]
    for candidate in candidates:
        if candidate == spare:
            tokenizer.add_special_tokens({"pad_token": spare})
            return
        beyond = 0 < embedding_rows <= vocabulary[candidate]
        if vocabulary[candidate] != tokenizer.eos_token_id and not beyond:
            tokenizer.pad_token = candidate
            return
    raise UnsupportedModel(
        "The base model's tokenizer has no token that could serve as padding beside its end-of-text token.",
        "Choose another base model, or add a padding token to it first.",
    )


def _embedding_rows(folder: Path) -> int:
    try:
        config = json.loads((folder / "config.json").read_bytes())
    except (OSError, ValueError):
        return (
            0  # an adapter's folder has no config; its tokenizer was given a padding token when it was made
        )
    size = config.get("vocab_size", 0)
    return size if isinstance(size, int) else 0
