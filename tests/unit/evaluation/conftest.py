"""A tiny random model, a store, and ways to put a golden set, a run and a job into it."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

pytest.importorskip("torch")

import torch
from transformers import LlamaConfig, LlamaForCausalLM

from tunesmith.data.rows import Message, Row, write_rows
from tunesmith.demo.tokenizer import train_tokenizer
from tunesmith.jobs.context import JobContext
from tunesmith.jobs.files import write_document
from tunesmith.jobs.journal import Journal
from tunesmith.jobs.paths import HandlePaths, Store
from tunesmith.jobs.submission import create, create_finished
from tunesmith.schemas.base import Document
from tunesmith.schemas.datasets import BuildGoldenSetRequest, GoldenSetCard
from tunesmith.schemas.enums import DataFormat, Half, TrainingMode, TuningMethod, Work
from tunesmith.schemas.handles import new_handle
from tunesmith.schemas.plans import Plan, PlanConfig, RenderedExample
from tunesmith.schemas.runs import TrainOutcome, TrainRequest
from tunesmith.training.base_model import fingerprint
from tunesmith.training.rendering import NO_LOSS, Rendered

WORDS = ["apple", "pear", "plum", "fig", "grape", "melon", "peach", "lime", "kiwi", "date", "olive", "berry"]


@pytest.fixture(autouse=True, scope="module")
def _one_thread() -> Iterator[None]:
    """The models are so small that a second thread only waits, and on a busy machine for seconds."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)


@pytest.fixture(scope="session")
def tokenizer() -> Any:
    return train_tokenizer([f"colour of the {word}? the {word} is green." for word in WORDS])


@pytest.fixture(scope="session")
def tiny_folder(tmp_path_factory: pytest.TempPathFactory, tokenizer: Any) -> Path:
    """A random Llama with its tokenizer, as a folder in the Hugging Face layout."""
    folder = tmp_path_factory.mktemp("tiny-base")
    torch.manual_seed(0)
    config = LlamaConfig(
        vocab_size=len(tokenizer),
        hidden_size=32,
        intermediate_size=64,
        num_hidden_layers=2,
        num_attention_heads=2,
        num_key_value_heads=1,
        max_position_embeddings=96,
        initializer_range=0.3,
        pad_token_id=tokenizer.pad_token_id,
        bos_token_id=None,
        eos_token_id=tokenizer.eos_token_id,
    )
    LlamaForCausalLM(config).save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    return folder


@pytest.fixture
def tiny(tiny_folder: Path) -> Any:
    return LlamaForCausalLM.from_pretrained(tiny_folder).eval()


@pytest.fixture
def rendered_rows() -> list[Rendered]:
    """Rows of several lengths, with answers that begin at several places."""
    generator = torch.Generator().manual_seed(1)
    rows = []
    for length, start in ((5, 2), (9, 8), (9, 1), (14, 5), (30, 3), (31, 29)):
        ids = torch.randint(2, 300, (length,), generator=generator).tolist()
        rows.append(Rendered(ids, [NO_LOSS] * start + ids[start:]))
    return rows


@pytest.fixture(scope="session")
def golden_rows() -> list[Row]:
    return [
        Row(number=place, prompt=f"colour of the {word}? ", completion=f"the {word} is green.")
        for place, word in enumerate(WORDS, start=1)
    ]


@pytest.fixture(scope="session")
def chat_rows(golden_rows: list[Row]) -> list[Row]:
    return [
        Row(number=row.number, messages=(Message("user", row.prompt), Message("assistant", row.completion)))
        for row in golden_rows
    ]


@pytest.fixture
def store(tmp_path: Path) -> Store:
    return Store(tmp_path / "store")


@pytest.fixture
def add_golden_set(store: Store) -> Callable[..., GoldenSetCard]:
    def add(rows: list[Row], **changes: Any) -> GoldenSetCard:
        handle = new_handle(Work.BUILD_GOLDEN_SET)
        kind = "messages" if rows and rows[0].messages else "prompt_completion"
        card = GoldenSetCard(
            golden_set_id=handle,
            dataset_id=new_handle(Work.LOAD_DATASET),
            train_dataset_id=new_handle(Work.LOAD_DATASET),
            row_kind=kind,
            dev_rows=len(rows),
            test_rows=0,
            train_rows=100,
            leaks_removed=0,
            stratify_by=None,
            strata={},
            seed=0,
            dev_fingerprint="",
            test_fingerprint="",
            created_at="2026-11-01T00:00:00Z",
        ).model_copy(update=changes)
        request = BuildGoldenSetRequest(
            dataset_id=card.dataset_id,
            size=1,
            stratify_by=None,
            seed=0,
            train_dataset_id=card.train_dataset_id,
        )

        def fill(paths: HandlePaths) -> None:
            write_rows(paths.half(Half.DEV), rows, kind)
            write_rows(paths.half(Half.TEST), [], kind)

        create_finished(store, handle, request, card, fill)
        return card

    return add


@pytest.fixture
def add_run(store: Store, tiny_folder: Path, tokenizer: Any) -> Callable[..., str]:
    def add(save: Callable[[Path], None], method: TuningMethod, **changes: Any) -> str:
        handle = new_handle(Work.TRAIN)
        plan = _plan(tiny_folder, method).model_copy(update=changes)
        request = TrainRequest(
            plan_id=plan.plan_id, mode=TrainingMode.FULL, request_key=None, created_at="2026-11-01T00:00:00Z"
        )
        outcome = TrainOutcome(
            adapter="adapter",
            steps=1,
            train_loss=1.0,
            base_eval_loss=None,
            eval_loss=None,
            trained_tokens=1,
            smoke=None,
        )

        def fill(paths: HandlePaths) -> None:
            write_document(paths.plan, plan)
            save(paths.adapter)
            tokenizer.save_pretrained(paths.adapter)

        create_finished(store, handle, request, outcome, fill)
        return handle

    return add


@pytest.fixture
def submit(store: Store) -> Callable[[Work, Document], JobContext]:
    def put(work: Work, request: Document) -> JobContext:
        handle = new_handle(work)
        create(store, handle, request)
        paths = store.handle(handle)
        return JobContext(store, paths, Journal(paths.journal, attempt=1))

    return put


@pytest.fixture
def no_news() -> SimpleNamespace:
    """What scoring and generation are told when nobody listens and nobody interrupts."""
    return SimpleNamespace(on_batch=lambda rows: None, interrupted=lambda: False)


def _plan(base: Path, method: TuningMethod) -> Plan:
    config = PlanConfig(
        base_model="tiny",
        base_model_kind="local",
        base_model_path=str(base),
        base_model_revision=None,
        tuning_method=method,
        dataset_size="small",
        compute_budget="low",
        learning_rate=1e-3,
        lr_scheduler_type="linear",
        warmup_steps=0,
        weight_decay=0.0,
        max_grad_norm=1.0,
        batch_size=8,
        micro_batch_size=8,
        gradient_accumulation_steps=1,
        epochs=1.0,
        total_steps=1,
        max_length=64,
        r=4,
        alpha=8,
        dropout=0.0,
        target_modules=["q_proj", "v_proj"],
        num_virtual_tokens=None,
        quantization=None,
        precision="float32",
        activation_checkpointing=False,
        optim="adamw_torch",
        eval_steps=1,
        save_steps=1,
        logging_steps=1,
        loss_on="completion",
        chat_template=None,
        seed=0,
    )
    return Plan(
        plan_id=new_handle(Work.CONFIGURE),
        dataset_id=new_handle(Work.LOAD_DATASET),
        golden_set_id=None,
        format=DataFormat.COMPLETION,
        train_rows=100,
        config=config,
        reasons={},
        memory={},
        estimated_seconds=1.0,
        warnings=[],
        example=RenderedExample(tokens=1, loss_tokens=1, untrusted_text=""),
        dataset_fingerprint="",
        golden_dev_fingerprint=None,
        base_fingerprint=fingerprint(base),
        versions={},
        created_at="2026-11-01T00:00:00Z",
    )
