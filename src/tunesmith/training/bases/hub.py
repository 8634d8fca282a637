"""Base models of the Hugging Face Hub. `HF_ENDPOINT`, `HF_TOKEN` and `HF_HUB_OFFLINE` are honoured.

One listing, and the config.json of each model in it. The client's own list_models has no
timeout and goes on trying for half a minute; these requests are made with its session, and give up.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field, replace
from typing import Any

from huggingface_hub import constants
from huggingface_hub.errors import HfHubHTTPError, OfflineModeIsEnabled
from huggingface_hub.utils import build_hf_headers, get_session, hf_raise_for_status, httpx

from tunesmith.schemas.models import HubAnswer
from tunesmith.training.bases.candidate import Candidate, family_of
from tunesmith.training.bases.shape import context_of, shape_of

TIMEOUT_S = 5.0
LISTED = 30
_THREADS = 8
_LARGEST_CONFIG_BYTES = 1_000_000
_EXPAND = ("config", "gated", "safetensors", "tags")
_FILTER = ("text-generation", "safetensors")
_ID = re.compile(r"[A-Za-z0-9][\w.-]{0,95}/[A-Za-z0-9][\w.-]{0,95}", re.ASCII)
_SLUG = re.compile(r"[\w.-]{1,60}", re.ASCII)
_CAUSAL = ("ForCausalLM", "LMHeadModel")


@dataclass(frozen=True)
class Listing:
    """What the Hub answered. `left_out` says of models found why they cannot be base models."""

    answer: HubAnswer
    candidates: Sequence[Candidate] = ()
    left_out: Mapping[str, str] = field(default_factory=dict)
    warning: str | None = None


def search_hub(query: str | None, max_parameters: float | None, known: Mapping[str, Candidate]) -> Listing:
    """The most downloaded models that fit the query; `known` stands in for what this token may not read."""
    try:
        items = _list(query, max_parameters)
        with ThreadPoolExecutor(_THREADS) as pool:
            looked_at = list(pool.map(lambda item: _look(item, known), items))
    except OfflineModeIsEnabled:
        return Listing("offline", warning="HF_HUB_OFFLINE is set, so the Hub was not asked.")
    except HfHubHTTPError as error:
        return _refusal(error.response.status_code)
    except (httpx.HTTPError, httpx.InvalidURL, OSError, ValueError):
        return Listing(
            "unreachable",
            warning="The Hub could not be reached: these are the table's models and this machine's own.",
        )
    return Listing(
        "searched",
        candidates=[candidate for candidate in looked_at if isinstance(candidate, Candidate)],
        left_out={
            str(item.get("id")): reason
            for item, reason in zip(items, looked_at, strict=True)
            if isinstance(reason, str)
        },
    )


def look_up(repo_id: str) -> Candidate | str:
    """One model by its id, or why it cannot be a base model.

    Raises:
        HfHubHTTPError, httpx.HTTPError: it cannot be had.
    """
    response = _get(f"{constants.ENDPOINT}/api/models/{repo_id}", {"expand": list(_EXPAND)})
    return _look(response.json(), {})


def _list(query: str | None, max_parameters: float | None) -> list[Mapping[str, Any]]:
    asked: dict[str, Any] = {
        "filter": list(_FILTER),
        "sort": "downloads",
        "limit": LISTED,
        "expand": list(_EXPAND),
    }
    if query:
        asked["search"] = query
    if max_parameters is not None:
        asked["num_parameters"] = f"max:{max_parameters / 1e9:g}B"
    answer = _get(f"{constants.ENDPOINT}/api/models", asked).json()
    return [item for item in answer if isinstance(item, dict)] if isinstance(answer, list) else []


def _look(item: Mapping[str, Any], known: Mapping[str, Candidate]) -> Candidate | str:
    """The candidate that an item of the listing is, or why it is none."""
    repo_id, summary = str(item.get("id", "")), _mapping(item, "config")
    architectures = summary.get("architectures")
    names = architectures if isinstance(architectures, list) else []
    if _ID.fullmatch(repo_id) is None or not any(str(name).endswith(_CAUSAL) for name in names):
        return "no causal language model"
    if "quantization_config" in summary:
        return "quantized already"
    told = _told(repo_id, item, summary)
    if repo_id in known:
        told = _with_what_is_known(told, known[repo_id])
    try:
        config = _config(repo_id)
    except (HfHubHTTPError, httpx.HTTPError, ValueError):
        return told  # gated, gone, slow or damaged: what the listing said of it is all there is
    if "auto_map" in config:
        return "bring code of their own"
    shape = shape_of(config, told.parameters)
    if shape is None or told.parameters is None:
        return replace(told, context=context_of(config) or told.context)
    return replace(told, parameters=shape.distinct(told.parameters), context=context_of(config), shape=shape)


def _with_what_is_known(told: Candidate, known: Candidate) -> Candidate:
    """The listing's word, and what it leaves out from the table."""
    return replace(
        told,
        family=known.family,
        parameters=known.parameters,
        context=known.context,
        shape=known.shape,
        license=told.license or known.license,
        chat_template=told.chat_template or known.chat_template,
    )


def _told(repo_id: str, item: Mapping[str, Any], summary: Mapping[str, Any]) -> Candidate:
    total = _mapping(item, "safetensors").get("total")
    model_type = str(summary.get("model_type", ""))
    template = _mapping(summary, "tokenizer_config").get("chat_template") or summary.get(
        "chat_template_jinja"
    )
    return Candidate(
        id=repo_id,
        family=family_of(model_type if _SLUG.fullmatch(model_type) else ""),
        source="hub",
        parameters=total if isinstance(total, int) and total > 0 else None,
        context=None,
        shape=None,
        license=next(_licenses(item), None),
        gated=bool(item.get("gated")),
        chat_template=bool(template),
    )


def _licenses(item: Mapping[str, Any]) -> Iterator[str]:
    tags = item.get("tags")
    for tag in tags if isinstance(tags, list) else ():
        name = str(tag).removeprefix("license:")
        if name != tag and _SLUG.fullmatch(name):
            yield name


def _config(repo_id: str) -> Mapping[str, Any]:
    content = _get(f"{constants.ENDPOINT}/{repo_id}/resolve/main/config.json", {}).content
    value = json.loads(content) if len(content) <= _LARGEST_CONFIG_BYTES else None
    return value if isinstance(value, dict) else {}


def _get(url: str, asked: Mapping[str, Any]) -> Any:
    response = get_session().get(url, params=asked, headers=build_hf_headers(), timeout=TIMEOUT_S)
    hf_raise_for_status(response)
    return response


def _mapping(value: Mapping[str, Any], name: str) -> Mapping[str, Any]:
    inner = value.get(name)
    return inner if isinstance(inner, dict) else {}


def _refusal(status: int) -> Listing:
    if status in (401, 403):
        why = "does not accept the token. Set HF_TOKEN for the server to a valid read token, or unset it"
    else:
        why = f"answered {status}"
    return Listing("refused", warning=f"The Hub {why}: these are the table's models and this machine's own.")
