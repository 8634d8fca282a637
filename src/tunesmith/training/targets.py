"""Which weight matrices LoRA adapts: the architecture's own names for what the request means."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from tunesmith.schemas.errors import InvalidArgument, UnsupportedModel

DEFAULT = ("q_proj", "v_proj")
ALL_LINEAR = "all-linear"

_OWN_NAMES: tuple[tuple[str, ...], ...] = (
    DEFAULT,  # Llama, Mistral, Qwen, Gemma, OPT, GPT-Neo, GPT-J, Phi, StableLM ...
    ("query_key_value",),  # GPT-NeoX, Falcon, BLOOM: queries, keys and values are one matrix
    ("qkv_proj",),  # Phi-3
    ("c_attn",),  # GPT-2, GPT-BigCode
    ("Wqkv",),  # MPT
    ("att_proj",),  # OLMo
    ("query", "value"),  # encoder families used as decoders
)


@dataclass(frozen=True)
class Matrix:
    """One adaptable matrix: its full name in the model, inputs and outputs."""

    name: str
    inputs: int
    outputs: int

    @property
    def short_name(self) -> str:
        return self.name.rpartition(".")[2]


def adaptable_matrices(folder: Path) -> list[Matrix]:
    """The linear layers of the folder's model except its output head, from config.json alone.

    Raises:
        UnsupportedModel: transformers cannot build the model.
    """
    import torch
    from transformers import AutoConfig, AutoModelForCausalLM
    from transformers.pytorch_utils import Conv1D

    try:
        config = AutoConfig.from_pretrained(folder, local_files_only=True, trust_remote_code=False)
        with torch.device("meta"):
            model = AutoModelForCausalLM.from_config(config, trust_remote_code=False)
    except (OSError, ValueError, KeyError, TypeError, AttributeError, ImportError) as error:
        raise UnsupportedModel(
            f"transformers cannot build the model in {folder.name} from its config.json "
            f"({type(error).__name__}).",
            "Check config.json, or choose another base model.",
        ) from error
    head = model.get_output_embeddings()
    found = []
    for name, module in model.named_modules():
        if module is head:
            continue
        if isinstance(module, torch.nn.Linear):
            found.append(Matrix(name, module.in_features, module.out_features))
        elif isinstance(module, Conv1D):
            found.append(Matrix(name, int(module.weight.shape[0]), int(module.weight.shape[1])))
    return found


def resolve_targets(wanted: Sequence[str] | None, matrices: Sequence[Matrix]) -> tuple[list[str], str]:
    """The names to adapt, in the model's own terms, and why these.

    Raises:
        InvalidArgument: a wanted name is not in the model (the output head never is).
        UnsupportedModel: nothing was wanted and no attention matrices are known for the architecture.
    """
    available = sorted({matrix.short_name for matrix in matrices})
    if wanted is not None:
        return _as_wanted(wanted, available)
    for names in _OWN_NAMES:
        if set(names) <= set(available):
            same = names == DEFAULT
            return list(names), (
                "queries and values, as in the LoRA paper (arXiv:2106.09685)"
                if same
                else "this architecture's own names for q_proj and v_proj"
            )
    raise UnsupportedModel(
        f"No attention matrices are known for this architecture; it has {', '.join(available) or 'none'}.",
        f"Pass target_modules with some of these names, or [{ALL_LINEAR!r}].",
    )


def adapter_parameters(names: Sequence[str], matrices: Sequence[Matrix], r: int) -> int:
    """How many weights a LoRA of rank `r` on the named matrices has: r (inputs + outputs) each."""
    return sum(r * (matrix.inputs + matrix.outputs) for matrix in matrices if matrix.short_name in names)


def _as_wanted(wanted: Sequence[str], available: list[str]) -> tuple[list[str], str]:
    if list(wanted) == [ALL_LINEAR]:
        return available, "every linear layer except the output head, as you asked"
    unknown = [name for name in wanted if name not in available]
    if unknown or not wanted:
        what = ", ".join(unknown) or "nothing"
        raise InvalidArgument(
            f"target_modules names {what}, which this model cannot adapt; it has {', '.join(available)}.",
            f"Use some of these names, [{ALL_LINEAR!r}], or leave target_modules out.",
        )
    return list(dict.fromkeys(wanted)), "as you asked"
