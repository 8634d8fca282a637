"""The README.md of a published model: what it is, what it came from, how well it does, how to load it.

Everything in it is a name, a number or a fixed sentence. Rows never get here, and paths become names.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field

from huggingface_hub import ModelCard, ModelCardData

from tunesmith.publishing.local_paths import base_model_name, without_paths
from tunesmith.schemas.datasets import SourceKind
from tunesmith.schemas.evaluations import Score
from tunesmith.schemas.plans import ModelKind

_HUB_ID = re.compile(r"[A-Za-z0-9][\w.-]*(/[A-Za-z0-9][\w.-]*)?", re.ASCII)
_LEFT_OUT = frozenset(
    {"base_model", "base_model_kind", "base_model_path", "base_model_revision", "tuning_method"}
)


@dataclass(frozen=True)
class DatasetLineage:
    """Where the training rows came from. Of a local `source` only the file's name is published."""

    dataset_id: str
    source: str
    source_kind: SourceKind
    format: str
    rows: int
    fingerprint: str
    subset: str | None = None
    split: str | None = None
    revision: str | None = None


@dataclass(frozen=True)
class GoldenLineage:
    golden_set_id: str
    dev_rows: int
    test_rows: int


@dataclass(frozen=True)
class CardScores:
    """One evaluation: `scores` of the tuned model, `baseline` of its base on the same rows."""

    half: str
    rows: int
    scores: Mapping[str, Score]
    baseline: Mapping[str, Score] | None = None
    verdict: str | None = None


@dataclass(frozen=True)
class CardInputs:
    """What a card is made of. `license` is the base model's, if known, as the Hub spells it: apache-2.0."""

    base_model: str
    base_model_kind: ModelKind
    tuning_method: str
    dataset: DatasetLineage
    run_id: str | None = None
    base_model_revision: str | None = None
    golden_set: GoldenLineage | None = None
    configuration: Mapping[str, object] = field(default_factory=dict[str, object])
    evaluations: tuple[CardScores, ...] = ()
    versions: Mapping[str, str] = field(default_factory=dict[str, str])
    license: str | None = None
    language: str | None = None


def model_card(inputs: CardInputs, repo_id: str) -> str:
    """The text of README.md, metadata first."""
    sections = [
        _introduction(inputs, repo_id),
        _base_model(inputs),
        _lineage(inputs),
        _configuration(inputs),
        _scores(inputs),
        _loading(inputs, repo_id),
        _LIMITS,
    ]
    content = f"---\n{_metadata(inputs).to_yaml()}\n---\n\n" + "\n\n".join(sections) + "\n"
    return str(ModelCard(content))


def _metadata(inputs: CardInputs) -> ModelCardData:
    adapter = inputs.tuning_method != "full"
    base = base_model_name(inputs.base_model, inputs.base_model_kind)
    dataset = inputs.dataset
    on_hub = inputs.base_model_kind == "hub" and _HUB_ID.fullmatch(base)
    dataset_on_hub = dataset.source_kind == "hub" and _HUB_ID.fullmatch(dataset.source)
    return ModelCardData(
        # The Hub refuses a card whose base_model is not an id of the Hub.
        base_model=base if on_hub else None,
        datasets=[dataset.source] if dataset_on_hub else None,
        language=inputs.language,
        library_name="peft" if adapter else "transformers",
        license=inputs.license,
        pipeline_tag="text-generation",
        tags=["tunesmith", "fine-tuned", inputs.tuning_method, *(["peft"] if adapter else [])],
    )


def _introduction(inputs: CardInputs, repo_id: str) -> str:
    what = (
        "The full weights" if inputs.tuning_method == "full" else f"A {_label(inputs.tuning_method)} adapter"
    )
    base = base_model_name(inputs.base_model, inputs.base_model_kind)
    lines = [f"# {_plain(repo_id.split('/')[-1])}", ""]
    lines.append(f"{what} of a causal language model, fine-tuned from {_code(base)} with Tunesmith.")
    if inputs.run_id:
        lines.append(f"Run: {_code(inputs.run_id)}.")
    return "\n".join(lines)


def _base_model(inputs: CardInputs) -> str:
    base = base_model_name(inputs.base_model, inputs.base_model_kind)
    revision = f" at revision {_code(inputs.base_model_revision)}" if inputs.base_model_revision else ""
    origin = {
        "hub": "from the Hugging Face Hub",
        "local": "a local model, which is not published here",
        "demo": "the demonstration model that comes with Tunesmith",
    }[inputs.base_model_kind]
    return f"## Base model\n\n{_code(base)}{revision}: {origin}."


def _lineage(inputs: CardInputs) -> str:
    dataset = inputs.dataset
    source = dataset.source if dataset.source_kind == "hub" else base_model_name(dataset.source, "local")
    rows: list[tuple[str, object]] = [
        ("Dataset", dataset.dataset_id),
        ("Source", source),
        ("Subset", dataset.subset),
        ("Split", dataset.split),
        ("Revision", dataset.revision),
        ("Format", dataset.format),
        ("Training rows", dataset.rows),
        ("Fingerprint", dataset.fingerprint),
    ]
    if inputs.golden_set:
        golden = inputs.golden_set
        rows.append(("Golden set", golden.golden_set_id))
        rows.append(("Golden rows", f"{golden.dev_rows} for development, {golden.test_rows} for the test"))
    told = [(name, value) for name, value in rows if value is not None]
    note = "The rows themselves are not part of this repository."
    return f"## Data\n\n{_table(('', ''), told)}\n\n{note}"


def _configuration(inputs: CardInputs) -> str:
    rows: list[tuple[str, object]] = [("tuning_method", inputs.tuning_method)]
    kept = {name: value for name, value in inputs.configuration.items() if name not in _LEFT_OUT}
    rows += [(name, _shown(value)) for name, value in kept.items() if value is not None]
    rows += [(f"{library} version", version) for library, version in sorted(inputs.versions.items())]
    return f"## Configuration\n\n{_table(('Setting', 'Value'), rows)}"


def _scores(inputs: CardInputs) -> str:
    if not inputs.evaluations:
        return "## Scores\n\nNot evaluated on held-out rows."
    parts = ["## Scores", "Values with their 95 % confidence intervals, on rows that were not trained on."]
    for evaluation in inputs.evaluations:
        parts.append(f"### Golden set, {_plain(evaluation.half)} half ({evaluation.rows} rows)")
        baseline = evaluation.baseline
        heads = ("Metric", "This model") if baseline is None else ("Metric", "This model", "Base model")
        rows: list[tuple[object, ...]] = []
        for metric, score in evaluation.scores.items():
            beside = () if baseline is None else (_interval(baseline.get(metric)),)
            rows.append((metric, _interval(score), *beside))
        parts.append(_table(heads, rows))
        if evaluation.verdict:
            parts.append(_plain(evaluation.verdict))
    return "\n\n".join(parts)


def _loading(inputs: CardInputs, repo_id: str) -> str:
    # Without a namespace the id depends on who pushes; the card must not, or a dry run would not be exact.
    name = repo_id if "/" in repo_id else f"<namespace>/{repo_id}"
    base = base_model_name(inputs.base_model, inputs.base_model_kind)
    if inputs.tuning_method == "full":
        code = [
            "from transformers import AutoModelForCausalLM, AutoTokenizer",
            "",
            f'tokenizer = AutoTokenizer.from_pretrained("{name}")',
            f'model = AutoModelForCausalLM.from_pretrained("{name}")',
        ]
    else:
        where = _string(base if inputs.base_model_kind == "hub" else f"path/to/{base}")
        revision = f", revision={_string(inputs.base_model_revision)}" if inputs.base_model_revision else ""
        code = [
            "from peft import PeftModel",
            "from transformers import AutoModelForCausalLM, AutoTokenizer",
            "",
            f"base = AutoModelForCausalLM.from_pretrained({where}{revision})",
            f"tokenizer = AutoTokenizer.from_pretrained({where}{revision})",
            f'model = PeftModel.from_pretrained(base, "{name}")',
        ]
    return "## How to load it\n\n```python\n" + "\n".join(code) + "\n```"


_LIMITS = """## Limits

- It inherits the limits, the biases and the license terms of its base model.
- It was tuned on one dataset; outside that dataset's subject and format expect less than the scores above.
- The scores say nothing about safety. Look at its answers before you let others rely on them."""


def _label(tuning_method: str) -> str:
    names = {
        "lora": "LoRA",
        "qlora": "QLoRA",
        "prompt_tuning": "prompt tuning",
        "prefix_tuning": "prefix tuning",
    }
    return names.get(tuning_method, _plain(tuning_method))


def _interval(score: Score | None) -> str:
    return "" if score is None else f"{score.value:.4g} ({score.low:.4g} to {score.high:.4g})"


def _shown(value: object) -> str:
    if isinstance(value, float):
        return f"{value:g}"
    if isinstance(value, (list, tuple)):
        return ", ".join(map(str, value))
    return str(value)


def _table(heads: tuple[str, ...], rows: list[tuple[str, object]] | list[tuple[object, ...]]) -> str:
    lines = [heads, tuple("---" for _ in heads), *rows]
    return "\n".join("| " + " | ".join(_plain(str(cell)) for cell in line) + " |" for line in lines)


def _plain(text: str) -> str:
    """One line without markup or paths: names in a card come from files that anyone may have written."""
    line = " ".join(without_paths(text).split())
    return re.sub(r"([|<>`\[\]*\\])", r"\\\1", line)


def _code(text: str) -> str:
    return "`" + re.sub(r"[`\s|]+", " ", without_paths(text)).strip() + "`"


def _string(text: str) -> str:
    return '"' + re.sub(r"[\"\\`\s]+", " ", text).strip() + '"'
