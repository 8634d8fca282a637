"""Plans: fully resolved, frozen training configurations."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from tunesmith.schemas.base import SCHEMA_VERSION, Document, NextCall
from tunesmith.schemas.enums import ComputeBudget, DataFormat, DatasetSize, RunState, TuningMethod

ModelKind = Literal["demo", "local", "hub"]
Precision = Literal["float32", "bfloat16", "float16"]
Quantization = Literal["nf4", "int8"]
LoraInit = Literal["default", "pissa", "olora"]
Attention = Literal["sdpa", "eager", "flash_attention_2"]
Optimizer = Literal["adamw_torch", "adamw_torch_fused", "adamw_8bit"]
Fits = Literal["fits", "tight", "does_not_fit"]


class ConfigureRequest(Document):
    """What the caller asked for; None means "you decide". `base_model_path` is None for a Hub id."""

    base_model: str
    base_model_kind: ModelKind
    base_model_path: str | None
    dataset_id: str
    golden_set_id: str | None
    tuning_method: TuningMethod
    dataset_size: DatasetSize | None
    compute_budget: ComputeBudget
    learning_rate: float | Literal["auto"] | None
    batch_size: int | None
    epochs: float | None
    max_steps: int | None
    max_length: int | None
    r: int | None
    alpha: int | None
    dropout: float | None
    target_modules: list[str] | None
    quantization: Quantization | None
    use_rslora: bool = False
    use_dora: bool = False
    init_lora_weights: LoraInit = "default"
    num_virtual_tokens: int | None = None
    prompt_tuning_init_text: str | None = None
    seed: int


class PlanConfig(Document):
    """Every number of a training. Names are TRL's and PEFT's where they have one."""

    base_model: str
    base_model_kind: ModelKind
    base_model_path: str | None
    base_model_revision: str | None
    tuning_method: TuningMethod
    dataset_size: DatasetSize
    compute_budget: ComputeBudget
    learning_rate: float
    learning_rate_probe: bool = Field(default=False, description="learning_rate comes from a range test")
    lr_scheduler_type: Literal["linear", "cosine", "constant"]
    warmup_steps: int
    weight_decay: float
    max_grad_norm: float
    batch_size: int = Field(description="examples per optimizer step")
    micro_batch_size: int = Field(description="examples per forward pass")
    gradient_accumulation_steps: int
    epochs: float
    total_steps: int = Field(description="optimizer steps")
    max_length: int = Field(description="tokens")
    r: int | None
    alpha: int | None
    dropout: float | None
    target_modules: list[str] | None
    use_rslora: bool = Field(default=False, description="scale by alpha / sqrt(r) instead of alpha / r")
    use_dora: bool = Field(default=False, description="learn the weights' magnitudes apart")
    init_lora_weights: LoraInit = "default"
    num_virtual_tokens: int | None
    prompt_tuning_init_text: str | None = Field(
        default=None, description="the soft prompt begins as this text"
    )
    quantization: Quantization | None
    precision: Precision
    attn_implementation: Attention = "sdpa"
    packing: bool = Field(default=False, description="several rows to a sequence, each seeing only itself")
    optim: Optimizer
    activation_checkpointing: bool = Field(description="recompute activations to save memory")
    early_stopping_patience: int | None = Field(
        default=None, description="evaluations of the dev half without a better eval_loss before the run ends"
    )
    eval_steps: int
    save_steps: int
    logging_steps: int
    loss_on: Literal["completion", "assistant"]
    chat_template: Literal["model", "tunesmith"] | None
    metric: Literal["loss"] = "loss"
    seed: int

    @property
    def in_words(self) -> str:
        """Such as `lora of Qwen/Qwen3-0.6B`."""
        return f"{self.tuning_method.value} of {self.base_model}"


class RenderedExample(Document):
    """One training row exactly as the model will see it.

    In `untrusted_text` the stretches that carry loss stand between ⟦ and ⟧; special tokens are spelled out.
    """

    tokens: int
    loss_tokens: int
    untrusted_text: str


class Remedy(Document):
    """Arguments for configure_lora with which the training takes less memory, and what they cost."""

    arguments: dict[str, str | int]
    cost: str
    peak_bytes: int
    fit: Fits


class Plan(Document):
    """A frozen training configuration with the reason of each number and what it will cost.

    `remedies` are told where the training does not fit with room to spare, the cheapest first.
    """

    schema_version: int = SCHEMA_VERSION
    plan_id: str
    dataset_id: str
    golden_set_id: str | None
    format: DataFormat
    train_rows: int
    config: PlanConfig
    reasons: dict[str, str]
    memory: dict[str, int] = Field(description="component: bytes")
    peaks: dict[str, int] = Field(default={}, description="phase: bytes")
    fit: Fits = "fits"
    machine: str = ""
    remedies: list[Remedy] = []
    usual_learning_rate: float | None = Field(
        default=None,
        description="what the planner takes for this method and size where nobody asks for another",
    )
    estimated_seconds: float
    warnings: list[str]
    example: RenderedExample
    dataset_fingerprint: str
    golden_dev_fingerprint: str | None
    base_fingerprint: str = Field(
        description="sha256 over config.json and the names, sizes and heads of weights"
    )
    versions: dict[str, str] = Field(description="library: version")
    created_at: str


class ConfigureLoraResult(Document):
    """While `state` is not succeeded the other fields are empty: ask get_status with the plan_id."""

    plan_id: str
    state: RunState
    config: PlanConfig | None = None
    reasons: dict[str, str] | None = None
    memory: dict[str, int] | None = Field(default=None, description="bytes by component, at training's peak")
    peaks: dict[str, int] | None = Field(default=None, description="bytes by phase")
    fit: Fits | None = None
    machine: str | None = None
    remedies: list[Remedy] | None = None
    estimated_seconds: float | None = None
    warnings: list[str] | None = None
    example: RenderedExample | None = None
    next: list[NextCall]
