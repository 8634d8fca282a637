"""Base models to choose from: what is asked for, what is known of each, how each fits."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from tunesmith.schemas.base import SCHEMA_VERSION, Document, NextCall
from tunesmith.schemas.enums import RunState, TuningMethod
from tunesmith.schemas.plans import Fits

ModelSource = Literal["demo", "local", "cache", "table", "hub"]
"""Where a model was found; `cache` is the Hugging Face cache of this machine: nothing has to be downloaded."""
HubAnswer = Literal["searched", "unreachable", "refused", "offline"]


class FindModelsRequest(Document):
    """`roots` are the resolved folders that local models are looked for in."""

    query: str | None
    dataset_id: str | None
    tuning_method: TuningMethod
    max_parameters: float | None
    limit: int
    roots: list[str]


class FoundModel(Document):
    """One base model. `id` is what base_model takes; `fit` and `memory` (bytes) are told per tuning method.

    They are missing where the shape is not known; `chat_template` and `gated` where nobody has said.
    """

    id: str
    family: str
    source: ModelSource
    parameters: int | None = None
    context: int | None = Field(default=None, description="tokens")
    license: str | None = None
    gated: bool | None = None
    chat_template: bool | None = None
    fit: dict[TuningMethod, Fits] = {}
    memory: dict[TuningMethod, int] = {}
    estimated_seconds: float | None = Field(
        default=None, description="of training on the rows with the method asked for"
    )
    note: str


class ModelSearch(Document):
    """What a search found, best first; `total` counts those beyond the limit too."""

    schema_version: int = SCHEMA_VERSION
    search_id: str
    models: list[FoundModel]
    total: int
    machine: str
    hub: HubAnswer
    table_date: str
    warnings: list[str]
    created_at: str


class FindModelsResult(Document):
    """While `state` is not succeeded the other fields are empty: ask get_status with the search_id."""

    search_id: str
    state: RunState
    models: list[FoundModel] | None = None
    total: int | None = None
    machine: str | None = None
    warnings: list[str] | None = None
    next: list[NextCall]
