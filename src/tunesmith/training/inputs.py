"""What a training reads: checked against its plan, rendered, and its loss mask verified."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import Any

from tunesmith.data.rows import fingerprint, iter_rows
from tunesmith.jobs.files import read_document
from tunesmith.jobs.paths import Store
from tunesmith.schemas.datasets import DatasetCard
from tunesmith.schemas.enums import Half, TuningMethod
from tunesmith.schemas.errors import EmptyMask, Mismatch
from tunesmith.schemas.plans import Plan
from tunesmith.training.end_token import end_tokens
from tunesmith.training.model import (
    ResolvedModel,
    fit_token_ids,
    load_model,
    load_tokenizer,
    resolve_plan_base,
)
from tunesmith.training.rendering import Rendered, RenderedRows, Renderer, verify_mask

VERIFIED_ROWS = 64


@dataclass(frozen=True)
class Inputs:
    """`dev` is empty where the plan has no golden set. `end_ids` are the tokens that end the rows' answers."""

    base: ResolvedModel
    tokenizer: Any
    train: RenderedRows
    dev: list[Rendered]
    end_ids: list[int]


def read_inputs(store: Store, plan: Plan, max_rows: int | None = None) -> Inputs:
    """Everything that the plan trains and evaluates on; with `max_rows` only so many training rows.

    Raises:
        Mismatch: the dataset, the golden set or the base model is not the one that the plan was made for.
        EmptyMask: the loss would fall on the wrong tokens, or on none.
        ModelNotFound, HubUnavailable, UnsupportedModel: the base model cannot be had.
    """
    card = _check_dataset(store, plan)
    base = resolve_plan_base(plan)
    tokenizer = load_tokenizer(base.folder)
    renderer = Renderer(tokenizer, card.row_kind, plan.config.max_length)
    rows_path = store.handle(plan.dataset_id).rows
    verify_mask(renderer, list(islice(_rows(rows_path, max_rows), VERIFIED_ROWS)))
    train = renderer.render_all(_rows(rows_path, max_rows))
    if not train.rows:
        raise EmptyMask(
            f"None of the rows of {plan.dataset_id} leaves a token to learn within {plan.config.max_length} tokens.",
            "Call configure_lora with a larger max_length, or shorten the prompts.",
        )
    dev: list[Rendered] = []
    if plan.golden_set_id is not None:
        dev = renderer.render_all(iter_rows(store.handle(plan.golden_set_id).half(Half.DEV))).rows
    return Inputs(base, tokenizer, train, dev, end_tokens(train.rows[:VERIFIED_ROWS], renderer.stop_ids()))


def renderer_of(store: Store, plan: Plan, inputs: Inputs) -> Renderer:
    """What renders the plan's rows. Raises Mismatch: the dataset is gone."""
    card = read_document(store.handle(plan.dataset_id).result, DatasetCard)
    if card is None:
        raise _changed("dataset", plan.dataset_id, plan)
    return Renderer(inputs.tokenizer, card.row_kind, plan.config.max_length)


def stored_rows(store: Store, plan: Plan, count: int) -> list[Any]:
    """The first rows of the plan's dataset."""
    return list(_rows(store.handle(plan.dataset_id).rows, count))


def load_base(inputs: Inputs, plan: Plan) -> Any:
    """The plan's base model, ready to be trained. Raises as `load_model`."""
    config = plan.config
    model = load_model(
        inputs.base.folder,
        # All weights learn in full fine-tuning: bfloat16 would swallow their small updates, so they stay in
        # float32 and the Trainer computes in the plan's precision.
        precision="float32" if config.tuning_method is TuningMethod.FULL else config.precision,
        quantization=config.quantization,
        for_training=True,
        attn_implementation=config.attn_implementation,
    )
    fit_token_ids(model, inputs.tokenizer)
    return model


def _check_dataset(store: Store, plan: Plan) -> DatasetCard:
    """The dataset's card, once the rows themselves have been found to be those that were planned with."""
    dataset = store.handle(plan.dataset_id)
    card = read_document(dataset.result, DatasetCard)
    if card is None or not _holds(dataset.rows, plan.dataset_fingerprint):
        raise _changed("dataset", plan.dataset_id, plan)
    if plan.golden_set_id is not None:
        dev = store.handle(plan.golden_set_id).half(Half.DEV)
        if not _holds(dev, plan.golden_dev_fingerprint or ""):
            raise _changed("golden set", plan.golden_set_id, plan)
    return card


def _holds(path: Path, expected: str) -> bool:
    return path.exists() and fingerprint(iter_rows(path)) == expected


def _changed(noun: str, handle: str, plan: Plan) -> Mismatch:
    return Mismatch(
        f"The {noun} {handle} is gone, or not the one that {plan.plan_id} was made for.",
        "Load the data again with load_dataset, then call build_golden_set and configure_lora for a new plan.",
    )


def _rows(path: Path, max_rows: int | None) -> Iterator[Any]:
    rows: Iterable[Any] = iter_rows(path)
    return islice(rows, max_rows)
