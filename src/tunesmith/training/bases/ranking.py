"""Which base model to take first, and why. Pure functions."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from tunesmith.schemas.enums import TuningMethod
from tunesmith.schemas.models import FoundModel
from tunesmith.training.bases.candidate import Candidate
from tunesmith.training.bases.fit import MethodFit
from tunesmith.training.bases.rows import Rows

PATIENCE_S = 8 * 3600.0
"""Longer than a night is too long to try something out: such models come after those that are done by then."""

_ORDER = {"fits": 0, "tight": 1, "does_not_fit": 3}
_UNKNOWN = 2
Fit = Mapping[TuningMethod, MethodFit]


def in_order(candidates: Iterable[tuple[Candidate, MethodFit | None]], rows: Rows) -> list[Candidate]:
    """Best first, by the fit with the method asked for.

    What fits before what does not, then what is done in a night, then what has a chat template where the rows are
    chats; the largest of those that fit, the smallest of those that are too much. The embedded model, which is there to
    try things out, comes after all that fit as it does.
    """
    return [one for one, _ in sorted(candidates, key=lambda pair: _key(pair[0], pair[1], rows))]


def _key(
    candidate: Candidate, wanted: MethodFit | None, rows: Rows
) -> tuple[int, bool, bool, bool, int, str]:
    order = _UNKNOWN if wanted is None else _ORDER[wanted.fits]
    slow = wanted is not None and wanted.seconds > PATIENCE_S
    wrong = rows.chats and not candidate.chat_template
    size = candidate.parameters or 0
    too_much = slow or (wanted is not None and wanted.fits == "does_not_fit")
    toy = candidate.source == "demo"
    return order, toy, slow, wrong, size if too_much else -size, candidate.id


def told(candidate: Candidate, fit: Fit, method: TuningMethod, rows: Rows) -> FoundModel:
    """What the caller is told of a model, given its fit per method."""
    wanted = fit.get(method)
    return FoundModel(
        id=candidate.id,
        family=candidate.family,
        source=candidate.source,
        parameters=candidate.parameters,
        context=candidate.context,
        license=candidate.license,
        gated=candidate.gated,
        chat_template=candidate.chat_template,
        fit={name: found.fits for name, found in fit.items()},
        memory={name: found.memory_bytes for name, found in fit.items()},
        estimated_seconds=None if wanted is None else round(wanted.seconds, 1),
        note=" ".join(_remarks(candidate, fit, method, rows)),
    )


def _remarks(candidate: Candidate, fit: Fit, method: TuningMethod, rows: Rows) -> list[str]:
    remarks = [_about_fit(fit, method, rows)]
    if candidate.source == "demo":
        remarks.append("The embedded model: for trying Tunesmith out, not for work.")
    if candidate.source == "cache":
        remarks.append("It lies in the Hugging Face cache: nothing has to be downloaded.")
    if candidate.gated:
        remarks.append(
            "Gated: access has to be requested on its page on the Hub, and HF_TOKEN set for the server."
        )
    if rows.chats and candidate.chat_template is False:
        remarks.append("It has no chat template; Tunesmith's plain one is used.")
    if not rows.assumed and candidate.context is not None and rows.longest > candidate.context:
        remarks.append(f"The longest rows have about {rows.longest} tokens; it reads {candidate.context}.")
    return remarks


def _about_fit(fit: Fit, method: TuningMethod, rows: Rows) -> str:
    wanted = fit.get(method)
    if wanted is None:
        return "Its memory is not known before configure_lora has read it."
    if wanted.fits == "does_not_fit":
        needed = f"{wanted.memory_bytes / 1e9:.1f} GB"
        others = [name.value for name, found in fit.items() if found.fits != "does_not_fit"]
        return f"Too large here for {method.value}, which takes {needed}" + (
            f"; possible: {', '.join(others)}." if others else "."
        )
    how = "Fits" if wanted.fits == "fits" else "Just fits"
    data = f"{wanted.epochs:g} epochs of {rows.count:,} rows" + (" of 512 tokens" if rows.assumed else "")
    return (
        f"{how} with {method.value} in {wanted.memory_bytes / 1e9:.1f} GB; {data} take about "
        f"{_duration(wanted.seconds)}."
    )


def _duration(seconds: float) -> str:
    for unit, length in (("days", 86400), ("h", 3600), ("min", 60)):
        if seconds >= 2 * length:
            return f"{seconds / length:.0f} {unit}"
    return f"{seconds:.0f} s"
