"""Which weight matrices LoRA adapts: the architecture's own names for what the request means."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from typing import Any

from tunesmith.schemas.errors import InvalidArgument, UnsupportedModel

DEFAULT = ("q_proj", "v_proj")
ALL_LINEAR = "all-linear"

_OWN_NAMES: tuple[tuple[str, ...], ...] = (
    DEFAULT,  # Llama, Mistral, Mixtral, Qwen, Gemma, OPT, GPT-Neo, GPT-J, Phi, StableLM ...
    ("query_key_value",),  # GPT-NeoX, Falcon, BLOOM: queries, keys and values are one matrix
    ("qkv_proj",),  # Phi-3, CodeGen
    ("c_attn",),  # GPT-2, GPT-BigCode
    ("Wqkv",),  # MPT
    ("att_proj",),  # OLMo
    ("q_b_proj", "kv_b_proj"),  # DeepSeek, MiniCPM3: from the latents to queries, and to keys and values
    ("q_proj", "kv_b_proj"),  # the same without a latent for queries
    ("q_b_proj", "kv_proj"),  # DeepSeek-V4
    ("q_proj", "v_proj_current", "v_proj_delayed"),  # Zaya
    ("kv_proj",),  # JetMoE: its queries are experts
    ("Wq", "Wv"),  # CTRL
    ("q_lin", "v_lin"),  # XLM
    ("project_q", "project_v"),  # CPM-Ant
    ("query", "value"),  # encoder families used as decoders
    ("receptance", "value"),  # RWKV
    ("q", "v"),  # xLSTM
    ("in_proj", "x_proj"),  # Mamba: what each token writes into the state, and how
    ("in_proj",),  # Mamba 2, LFM
    ("in_proj_qkv",),
    ("in_proj_qkvz",),
)
_LINEAR_ATTENTION = ("in_proj_qkv", "in_proj_qkvz")
"""Queries, keys and values of Qwen's linear attention: three layers in four, beside layers with q_proj and v_proj."""
_STATE_SPACE_MODELS = {"falcon_h1", "mamba", "mamba2", "falcon_mamba", "nemotron_h"}
_FUSED_AWAY = ("out_proj", "conv1d")
"""Mamba's kernels read these weights past the module's forward pass, so an adapter there would do nothing."""

_EXPERTS_NAMES = ("gate", "gate_proj", "up_proj", "down_proj", "w1", "w2", "w3")
"""In many mixtures of experts PEFT takes these for the experts' fused tensors, whose adapters are as many times as
large and cannot have dropout, and leaves the dense layers of that name alone."""


@dataclass(frozen=True)
class Matrix:
    """One adaptable matrix: its full name in the model, inputs and outputs.

    `suffix` is the end of the name that no module of another kind shares, where the last part alone is not enough.
    `transposed`: it is stored as [inputs, outputs] (GPT-2's Conv1D).
    """

    name: str
    inputs: int
    outputs: int
    suffix: str | None = None
    transposed: bool = False

    @property
    def short_name(self) -> str:
        return self.suffix or self.name.rpartition(".")[2]

    @property
    def full_rank(self) -> int:
        return min(self.inputs, self.outputs)

    def answers_to(self, target: str) -> bool:
        """Whether PEFT would adapt it for a target of this name: the whole of its own, or an end of it."""
        return self.name == target or self.name.endswith(f".{target}")


def matrices_of(model: Any) -> list[Matrix]:
    """The linear layers that an adapter can be put on.

    The output head is none of them: PEFT's adapter would be left out of the fused loss (and TRL refuses it). Nor are
    layers that compute something else than a product (routers, grouped projections), nor what
    PEFT takes for experts.
    """
    import torch
    from transformers.pytorch_utils import Conv1D

    head = model.get_output_embeddings()
    left_out = set(_taken_for_experts(model))
    if model.config.model_type in _STATE_SPACE_MODELS:
        left_out.update(_FUSED_AWAY)
    found, others = [], []
    for name, module in model.named_modules():
        if module is head or name.rpartition(".")[2] in left_out:
            others.append(name)
        elif isinstance(module, torch.nn.Linear) and _is_a_product(module):
            found.append(Matrix(name, module.in_features, module.out_features))
        elif isinstance(module, Conv1D):
            inputs, outputs = (int(size) for size in module.weight.shape)
            found.append(Matrix(name, inputs, outputs, transposed=True))
        else:
            others.append(name)
    return _told_apart(found, others)


def resolve_targets(wanted: Sequence[str] | None, matrices: Sequence[Matrix]) -> tuple[list[str], str]:
    """The names to adapt, in the model's own terms, and why these.

    Raises:
        InvalidArgument: a wanted name is not in the model (the output head never is).
        UnsupportedModel: nothing was wanted and no attention matrices are known for the architecture.
    """
    available = sorted({matrix.short_name for matrix in matrices})
    if wanted is not None:
        return _as_wanted(wanted, matrices, available)
    for names in _OWN_NAMES:
        if set(names) <= set(available):
            return _with_linear_attention(names, available)
    raise UnsupportedModel(
        f"No attention matrices are known for this architecture; it has {', '.join(available) or 'none'}.",
        f"Pass target_modules with some of these names, or [{ALL_LINEAR!r}].",
    )


def adapted(names: Iterable[str], matrices: Sequence[Matrix]) -> list[Matrix]:
    """The matrices that PEFT adapts for these target names."""
    targets = tuple(names)
    return [matrix for matrix in matrices if any(matrix.answers_to(target) for target in targets)]


def adapter_parameters(names: Sequence[str], matrices: Sequence[Matrix], r: int) -> int:
    """How many weights a LoRA of rank `r` on the named matrices has: r (inputs + outputs) each."""
    return sum(r * (matrix.inputs + matrix.outputs) for matrix in adapted(names, matrices))


def largest_useful_rank(names: Sequence[str], matrices: Sequence[Matrix]) -> int:
    """The rank beyond which no adapted matrix gains anything: a product of that rank is any matrix already."""
    return max((matrix.full_rank for matrix in adapted(names, matrices)), default=0)


def _taken_for_experts(model: Any) -> tuple[str, ...]:
    """The names that PEFT would rewrite on this architecture, asked of PEFT itself."""
    from peft import LoraConfig
    from peft.utils.transformers_weight_conversion import convert_peft_config_for_transformers

    config = LoraConfig(target_modules=set(_EXPERTS_NAMES))
    convert_peft_config_for_transformers(config, model, conversions=None)
    return tuple(name for name in _EXPERTS_NAMES if name not in config.target_modules)


def _is_a_product(module: Any) -> bool:
    """Whether a linear layer maps [..., inputs] to [..., outputs]; subclasses may do anything."""
    import torch

    if type(module).forward is torch.nn.Linear.forward:
        return True
    weight = module.weight
    try:
        with torch.no_grad():
            out = module(torch.empty((1, 1, module.in_features), dtype=weight.dtype, device=weight.device))
    except (RuntimeError, ValueError, TypeError):
        return False
    return isinstance(out, torch.Tensor) and out.shape == (1, 1, module.out_features)


def _with_linear_attention(names: tuple[str, ...], available: list[str]) -> tuple[list[str], str]:
    more = [name for name in _LINEAR_ATTENTION if name in available]
    if names != DEFAULT:
        return list(names), "this architecture's own names for q_proj and v_proj"
    if more:
        return [*names, *more], "queries and values, in the layers with linear attention too"
    return list(names), "queries and values, as in the LoRA paper (arXiv:2106.09685)"


def _told_apart(matrices: Sequence[Matrix], others: Sequence[str]) -> list[Matrix]:
    """The matrices, each with as long an end of its name as keeps PEFT from taking another module for it."""
    known: dict[str, str | None] = {}
    return [replace(matrix, suffix=_suffix(matrix.name, others, known)) for matrix in matrices]


def _suffix(name: str, others: Sequence[str], known: dict[str, str | None]) -> str | None:
    """None where the last part will do."""
    parts = name.split(".")
    for count in range(1, len(parts) + 1):
        end = ".".join(parts[-count:])
        if end not in known:
            taken = any(other == end or other.endswith(f".{end}") for other in others)
            known[end] = None if taken else end
        if known[end] is not None:
            return None if count == 1 else end
    return name


def _as_wanted(
    wanted: Sequence[str], matrices: Sequence[Matrix], available: list[str]
) -> tuple[list[str], str]:
    if list(wanted) == [ALL_LINEAR]:
        return available, "every linear layer except the output head and fused experts, as you asked"
    unknown = [name for name in wanted if not adapted([name], matrices)]
    if unknown or not wanted:
        what = ", ".join(unknown) or "nothing"
        raise InvalidArgument(
            f"target_modules names {what}, which this model cannot adapt; it has {', '.join(available)}.",
            f"Use some of these names, [{ALL_LINEAR!r}], or leave target_modules out.",
        )
    return list(dict.fromkeys(wanted)), "as you asked"
