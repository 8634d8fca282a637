"""A tiny random Llama, a byte-level tokenizer, and stores with data and runs: everything a training test needs."""

from __future__ import annotations

import random
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from tunesmith.data.rows import Message, Row, RowsWriter
from tunesmith.jobs.context import JobContext
from tunesmith.jobs.files import write_document
from tunesmith.jobs.journal import Journal
from tunesmith.jobs.paths import HandlePaths, Store
from tunesmith.schemas.datasets import DatasetCard, GoldenSetCard, RowKind
from tunesmith.schemas.enums import DataFormat, Half, TrainingMode, Work
from tunesmith.schemas.handles import new_handle
from tunesmith.schemas.plans import ConfigureRequest, Plan, PlanConfig
from tunesmith.schemas.runs import TrainRequest

EOS = "<|eos|>"
WHEN = "2026-11-21T00:00:00Z"
COLOURS = {"sky": "blue", "grass": "green", "snow": "white", "coal": "black", "blood": "red"}


def byte_tokenizer(
    *, pad: str | None = "<|pad|>", bos: str | None = None, chat_template: str | None = None
) -> Any:
    """One token for each byte of UTF-8, and the special tokens that are named."""
    from tokenizers import Tokenizer, decoders, models, pre_tokenizers
    from transformers import PreTrainedTokenizerFast

    special = list(dict.fromkeys(token for token in (pad, EOS, bos) if token is not None))
    alphabet = sorted(pre_tokenizers.ByteLevel.alphabet())
    vocabulary = {token: index for index, token in enumerate([*special, *alphabet])}
    backend = Tokenizer(models.BPE(vocabulary, []))
    backend.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False)
    backend.decoder = decoders.ByteLevel()
    backend.add_special_tokens(special)
    tokenizer = PreTrainedTokenizerFast(
        tokenizer_object=backend,
        eos_token=EOS,
        pad_token=pad,
        bos_token=bos,
        clean_up_tokenization_spaces=False,
    )
    tokenizer.chat_template = chat_template
    return tokenizer


def make_model(folder: Path, *, seed: int = 0, context: int = 128, reads: bool = True, **shape: int) -> Path:
    """A Llama of about 30 thousand weights with its tokenizer, in the Hugging Face layout.

    Unless it `reads` nothing, it has seen lines like the ones it will be tuned on, with answers that mean nothing: a
    random model gives an adapter nothing to work with.
    """
    import torch
    from transformers import LlamaConfig, LlamaForCausalLM

    tokenizer = byte_tokenizer()
    torch.manual_seed(seed)
    sizes = {"hidden_size": 32, "intermediate_size": 64, "num_hidden_layers": 2, "num_attention_heads": 4}
    config = LlamaConfig(
        vocab_size=len(tokenizer),
        max_position_embeddings=context,
        tie_word_embeddings=True,
        bos_token_id=None,
        eos_token_id=tokenizer.eos_token_id,
        **{**sizes, **shape},
    )
    model = LlamaForCausalLM(config)
    if reads:
        _read_nonsense(model, tokenizer, random.Random(seed))
    model.save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    return folder


def _read_nonsense(model: Any, tokenizer: Any, rng: random.Random) -> None:
    import torch

    optimizer = torch.optim.AdamW(model.parameters(), lr=1e-2)
    names, colours = list(COLOURS), list(COLOURS.values())
    for _ in range(80):
        lines = [f"{rng.randrange(100)} {rng.choice(names)}: {rng.choice(colours)}{EOS}" for _ in range(16)]
        batch = tokenizer(lines, padding=True, return_tensors="pt")
        labels = batch["input_ids"].masked_fill(batch["attention_mask"] == 0, -100)
        model(**batch, labels=labels).loss.backward()
        optimizer.step()
        optimizer.zero_grad()


def colour_rows(count: int, start: int = 0) -> list[Row]:
    """Questions with one-word answers, each with a number that makes it different from the others."""
    names = list(COLOURS)
    return [
        Row(index + 1, prompt=f"{start + index} {names[index % 5]}: ", completion=COLOURS[names[index % 5]])
        for index in range(count)
    ]


def green_rows(count: int, start: int = 0) -> list[Row]:
    """The same questions, always answered "green": what even a soft prompt can teach."""
    return [Row(row.number, prompt=row.prompt, completion="green") for row in colour_rows(count, start)]


def chat_rows(count: int) -> list[Row]:
    names = list(COLOURS)
    return [
        Row(
            index + 1,
            messages=(
                Message("user", f"{index} {names[index % 5]}?"),
                Message("assistant", COLOURS[names[index % 5]]),
            ),
        )
        for index in range(count)
    ]


def add_dataset(store: Store, rows: Sequence[Row], row_kind: RowKind = "prompt_completion") -> str:
    """A finished dataset; returns its handle."""
    handle = new_handle(Work.LOAD_DATASET)
    paths = store.handle(handle)
    fingerprint = _write_rows(paths.rows, rows, row_kind)
    card = DatasetCard(
        dataset_id=handle,
        source="test",
        source_kind="local",
        format=DataFormat.CHAT if row_kind == "messages" else DataFormat.INSTRUCTION,
        row_kind=row_kind,
        columns={},
        rows=len(rows),
        rows_read=len(rows),
        dropped={},
        quality={},
        fingerprint=fingerprint,
        created_at=WHEN,
    )
    write_document(paths.result, card)
    return handle


def add_golden_set(
    store: Store, train_dataset_id: str, rows: Sequence[Row], row_kind: RowKind = "prompt_completion"
) -> str:
    """A finished golden set with the same rows in both halves; returns its handle."""
    handle = new_handle(Work.BUILD_GOLDEN_SET)
    paths = store.handle(handle)
    fingerprint = _write_rows(paths.half(Half.DEV), rows, row_kind)
    _write_rows(paths.half(Half.TEST), rows, row_kind)
    card = GoldenSetCard(
        golden_set_id=handle,
        dataset_id=train_dataset_id,
        train_dataset_id=train_dataset_id,
        row_kind=row_kind,
        dev_rows=len(rows),
        test_rows=len(rows),
        train_rows=1,
        leaks_removed=0,
        stratify_by=None,
        strata={},
        seed=0,
        dev_fingerprint=fingerprint,
        test_fingerprint=fingerprint,
        created_at=WHEN,
    )
    write_document(paths.result, card)
    return handle


def job_for(store: Store, handle: str, request: Any, attempt: int = 1) -> JobContext:
    """What a job process would be given for the handle."""
    paths = store.handle(handle)
    paths.folder.mkdir(parents=True, exist_ok=True)
    if attempt == 1:
        write_document(paths.request, request)
    return JobContext(store, paths, Journal(paths.journal, attempt))


def configure_request(
    base: Path, dataset_id: str, golden_set_id: str | None = None, **chosen: Any
) -> ConfigureRequest:
    left_out = dict.fromkeys(
        [
            "dataset_size",
            "learning_rate",
            "batch_size",
            "epochs",
            "max_steps",
            "max_length",
            "r",
            "alpha",
            "dropout",
            "target_modules",
            "quantization",
        ]
    )
    return ConfigureRequest.model_validate(
        {
            "base_model": base.name,
            "base_model_kind": "local",
            "base_model_path": str(base),
            "dataset_id": dataset_id,
            "golden_set_id": golden_set_id,
            "tuning_method": "lora",
            "compute_budget": "medium",
            "seed": 0,
            **left_out,
            **chosen,
        }
    )


def plan_config(**chosen: Any) -> PlanConfig:
    """The numbers of a LoRA plan that no planner made, for what looks at a configuration alone."""
    numbers: dict[str, Any] = {
        "base_model": "tiny",
        "base_model_kind": "local",
        "base_model_path": None,
        "base_model_revision": None,
        "tuning_method": "lora",
        "dataset_size": "small",
        "compute_budget": "medium",
        "learning_rate": 1e-3,
        "lr_scheduler_type": "linear",
        "warmup_steps": 0,
        "weight_decay": 0.0,
        "max_grad_norm": 1.0,
        "batch_size": 8,
        "micro_batch_size": 8,
        "gradient_accumulation_steps": 1,
        "epochs": 1,
        "total_steps": 4,
        "max_length": 64,
        "r": 4,
        "alpha": 8,
        "dropout": 0.0,
        "target_modules": ["q_proj", "v_proj"],
        "num_virtual_tokens": None,
        "quantization": None,
        "precision": "float32",
        "optim": "adamw_torch",
        "activation_checkpointing": False,
        "eval_steps": 1,
        "save_steps": 4,
        "logging_steps": 1,
        "loss_on": "completion",
        "chat_template": None,
        "seed": 0,
    }
    return PlanConfig.model_validate({**numbers, **chosen})


def make_plan(store: Store, request: ConfigureRequest, changed: Mapping[str, Any] | None = None) -> Plan:
    """The plan that the real configuring job makes of the request, with some of its numbers replaced."""
    from tunesmith.training import configure_job

    plan = configure_job.run(job_for(store, new_handle(Work.CONFIGURE), request))
    return plan.model_copy(update={"config": plan.config.model_copy(update=dict(changed or {}))})


def make_run(store: Store, plan: Plan, mode: TrainingMode = TrainingMode.FULL) -> JobContext:
    """A run of the plan, as start_training leaves it for the host."""
    request = TrainRequest(plan_id=plan.plan_id, mode=mode, request_key=None, created_at=WHEN)
    job = job_for(store, new_handle(Work.TRAIN), request)
    write_document(job.paths.plan, plan)
    return job


def next_attempt(job: JobContext) -> JobContext:
    return JobContext(job.store, job.paths, Journal(job.paths.journal, job.attempt + 1))


def losses(paths: HandlePaths) -> dict[int, float]:
    """Training loss by step, from the journal; a step that was repeated counts once, with its last value."""
    from tunesmith.jobs.journal import read_events

    events = [event for event in read_events(paths.journal) if event["event"] == "progress"]
    return {event["step"]: event["loss"] for event in events}


def _write_rows(path: Path, rows: Iterable[Row], row_kind: RowKind) -> str:
    path.parent.mkdir(parents=True, exist_ok=True)
    with RowsWriter(path, row_kind) as writer:
        for row in rows:
            writer.append(row)
    return writer.fingerprint
