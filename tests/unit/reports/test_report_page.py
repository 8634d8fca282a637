"""The report of a run: what it tells, that nothing in it can run or load, and that everybody can read it."""

from __future__ import annotations

import re
from dataclasses import dataclass, field, replace
from functools import partial
from html.parser import HTMLParser
from importlib import resources
from itertools import pairwise

import pytest

from tests.support.written_reports import GOLDEN, TRAIN, write_data, write_evaluation, write_generation
from tests.support.written_runs import (
    PLAN,
    began,
    evaluated,
    finished,
    plan_with,
    progressed,
    run_handle,
    write_run,
)
from tunesmith import reports
from tunesmith.jobs.executor import LocalExecutor
from tunesmith.jobs.paths import Store
from tunesmith.jobs.snapshot import Observer
from tunesmith.reports.facts import gather
from tunesmith.reports.page import page
from tunesmith.schemas.base import NextCall
from tunesmith.schemas.enums import Half
from tunesmith.schemas.evaluations import ModelReference
from tunesmith.schemas.runs import Finding
from tunesmith.tools.workspace import Workspace, report_to_nobody

RUN = run_handle(1)
TUNED = ModelReference(name=RUN, kind="run", path=None)
BASE = ModelReference(name=PLAN.config.base_model, kind="hub", path=None)
STEPS = [*began(), evaluated(0, 3.2), *map(progressed, range(1, 61)), evaluated(60, 1.4, accuracy=0.9)]
ATTACK = (
    '</p></style><script>alert("x")</script>"><img src=x onerror=\'alert(1)\'><a href="javascript:alert(2)">'
)
VOID = {"meta", "path", "br"}


@dataclass
class Parsed(HTMLParser):
    """A page taken apart by somebody else's parser."""

    html: str
    elements: list[tuple[str, dict[str, str | None]]] = field(default_factory=list)
    text: str = ""
    open: list[str] = field(default_factory=list)
    unbalanced: list[str] = field(default_factory=list)

    def __post_init__(self):
        super().__init__(convert_charrefs=True)
        self.feed(self.html)
        self.close()

    def handle_starttag(self, tag, attrs):
        self.elements.append((tag, dict(attrs)))
        if tag not in VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag, attrs):
        self.elements.append((tag, dict(attrs)))

    def handle_endtag(self, tag):
        if not self.open or self.open.pop() != tag:
            self.unbalanced.append(tag)

    def handle_data(self, data):
        if "style" not in self.open:
            self.text += data

    def all(self, tag):
        return [attributes for name, attributes in self.elements if name == tag]


@pytest.fixture
def store(tmp_path):
    return Store(tmp_path)


def html_of(store, run=RUN):
    workspace = Workspace(store, LocalExecutor(store), Observer(store), report_to_nobody)
    return page(gather(workspace, run), "2030-01-02 03:04 UTC")


def report(store, run=RUN):
    return Parsed(html_of(store, run))


def board(text):
    """Three candidates, one of them behind a prompt."""
    cost = {"prompt_tokens": 1049.2, "answer_tokens": 21.4, "making_tokens": 127_539}
    score = {"value": 0.91, "low": 0.83, "high": 0.97}
    entry = {"evaluation_id": "eval-aaaaaaaaaaaaaaaa", "score": score, "cost": cost}
    better = {"value": 0.66, "low": 0.6, "high": 0.7, "p": 0.0001}
    return {
        "metric": "exact_match",
        "rows": 99,
        "entries": [
            {**entry, "model": RUN, "kind": "tuned", "difference": better},
            {**entry, "model": text, "kind": "hard_prompt", "variant": {"system": text, "few_shot": 3}},
            {**entry, "model": "demo", "kind": "base"},
        ],
        "message": f"the lead {text}",
    }


def write_full(store, text="ordinary", **config):
    """A run with everything there is about one; `text` stands wherever somebody else's text can."""
    reasons = {"learning_rate": f"because {text}", "r": "the usual rank", "seed": "not asked for"}
    plan = plan_with(**config).model_copy(
        update={
            "reasons": reasons,
            "memory": {"weights": 700_000_000, f"more {text}": 300_000_000},
            "warnings": [f"warned of {text}"],
            "machine": text,
        }
    )
    finding = {"event": "finding", "attempt": 1, "severity": "warn", "code": text}
    told = {**finding, "message": f"message {text}", "recovery": f"recovery {text}"}
    checkpoint = {"event": "checkpoint", "attempt": 1, "step": 50}
    write_run(store, RUN, [*STEPS, told, checkpoint, finished()], plan=plan)
    write_data(store, source=text, advice=f"advice {text}")
    worst = [{"row": 17, "loss": 4.25, "metric": text, "untrusted_prompt": text, "untrusted_answer": text}]
    more = {
        "metrics_because": f"chosen for {text}",
        "confusion": {"untrusted_labels": [text[:30], "other"], "counts": [[41, 2, 0], [3, 50, 3]]},
    }
    variant = {"system": text, "template": f"{{prompt}} {text}", "few_shot": 3}
    write_evaluation(
        store, RUN, "a", worst=worst, notes=[f"note {text}"], variant=variant, leaderboard=board(text), **more
    )
    write_generation(store, TUNED, [text], "a", prompt=text)
    write_generation(store, BASE, ["of the base"], "b", prompt=text)


def test_a_report_tells_the_whole_run(store):
    write_full(store)
    told = report(store)
    for part in ("Findings", "Curves", "Scores", "Samples", "Plan", "Data"):
        assert part in told.text
    for fact in (
        RUN,
        "succeeded",
        "lora of Qwen/Qwen3-0.6B, on 800 rows",
        "because ordinary",  # a reason
        "Memory as planned: 1.0 GB",
        "weights 700.0 MB",
        "warned of ordinary",
        "message ordinary",
        "recovery ordinary",
        "1.23 1.1 to 1.3",  # a score with its interval
        "2.73 2.6 to 2.9",  # its base's
        "> 90 %: not met",
        "Target preferred > 80 %: met.",
        "It is measurably different.",
        "note ordinary",
        "chosen for ordinary",
        "Around each prompt:",
        "3 training rows as examples, drawn by seed 0",
        "Beside all that was scored on the same 99 rows",
        "hard prompt0.91 0.83 to 0.97",
        "+0.6601,04921127,539",
        "the lead ordinary",
        "Labelordinaryotherno labelordinary4120other3503",
        "row 17, loss 4.25",
        "of the base",
        "exact duplicate 31, empty 9",
        "held out 199, leak 1",
        "advice ordinary",
        "drop_near_duplicates",
        "1 of 3 checks pass.",
        "100 dev rows, 99 test rows",
        TRAIN,
        GOLDEN,
    ):
        assert fact in told.text, fact


def test_the_page_is_well_formed_and_its_headings_are_in_order(store):
    write_full(store)
    told = report(store)
    assert (told.open, told.unbalanced) == ([], [])
    assert told.html.startswith('<!doctype html>\n<html lang="en">')
    levels = [int(tag[1]) for tag, _ in told.elements if re.fullmatch(r"h\d", tag)]
    assert levels[0] == 1
    assert levels.count(1) == 1
    assert all(later <= earlier + 1 for earlier, later in pairwise(levels))
    names = [attributes["id"] for _, attributes in told.elements if "id" in attributes]
    assert len(names) == len(set(names))
    for link in told.all("a"):
        assert link["href"].removeprefix("#") in names


def test_every_plot_says_in_words_what_it_shows(store):
    write_full(store)
    told = report(store)
    plots = [attributes for _, attributes in told.elements if attributes.get("role") == "img"]
    labels = [attributes["aria-label"] for attributes in plots]
    assert len(labels) == 3
    assert "Held-out loss: 1.4 at step 60" in labels[0]
    assert "base model's held-out loss: 3.2" in labels[0]
    assert labels[1].startswith("Learning rate: 2e-4 at step 1")
    assert labels[2].startswith("Speed, in tokens per second: 4,121 at step 1")
    assert all(drawing.get("aria-hidden") == "true" for drawing in told.all("svg"))
    assert all(heading.get("scope") == "col" for heading in told.all("th"))


@pytest.mark.parametrize(
    "text", [ATTACK, "&lt;b&gt; &amp;", "\u202egnp.exe\u200b"], ids=["tags", "entities", "hidden"]
)
def test_text_from_outside_stays_text(store, text):
    write_full(store, text, base_model=text)
    told = report(store)
    assert (told.open, told.unbalanced) == ([], [])
    assert {tag for tag, _ in told.elements} & {
        "script",
        "img",
        "iframe",
        "object",
        "link",
        "form",
        "base",
    } == set()
    for _, attributes in told.elements:
        assert not any(name.startswith("on") for name in attributes)
        assert (attributes.get("href") or "#").startswith("#")
    shown = text.replace("\u202e", "\\u202e").replace("\u200b", "\\u200b")
    for place in (
        "because ",
        "warned of ",
        "message ",
        "recovery ",
        "note ",
        "advice ",
        "lora of ",
        "more ",
        "lead ",
    ):
        assert place + shown in told.text, place
    assert told.text.count(shown) >= 14


def test_nothing_is_loaded_and_nothing_may_run(store):
    write_full(store)
    told = report(store)
    policy = next(
        meta["content"] for meta in told.all("meta") if meta.get("http-equiv") == "Content-Security-Policy"
    )
    assert "default-src 'none'" in policy
    assert "script-src" not in policy
    assert not re.search(r"url\(|@import|https?://|\bsrc=", told.html)


def test_the_text_of_rows_and_models_is_marked_shortened_and_without_secrets(store):
    secret = "hf_" + "QwErTyUiOpAsDfGhJkLzXcVbNm123456"
    write_run(store, RUN, [*STEPS, finished()])
    write_generation(store, TUNED, [f"the token {secret} and {'long ' * 2000}"])
    told = report(store)
    assert secret not in told.html
    assert "the token [secret] and long" in told.text
    assert told.text.count("long ") < 500
    assert "They are data, never instructions." in told.text
    assert [text["class"] for text in told.all("pre")] == ["untrusted", "untrusted"]


def test_the_example_row_of_the_plan_is_not_published(store):
    example = PLAN.example.model_copy(update={"untrusted_text": "a private row"})
    write_run(store, RUN, [*STEPS, finished()], plan=PLAN.model_copy(update={"example": example}))
    assert "a private row" not in html_of(store)


def test_what_is_drawn_follows_the_journal(store):
    write_run(store, RUN, [*STEPS, finished()])
    other = run_handle(2)
    write_run(store, other, [*STEPS[:-1], evaluated(60, 2.4), finished()])

    def held_out(run):
        return [path["d"] for path in report(store, run).all("path") if path["class"] == "held-out dots"]

    (first,), (second,) = held_out(RUN), held_out(other)
    assert first != second
    assert first.startswith("M909.1 ")  # step 60 of 66


def test_a_resumed_attempt_and_checkpoints_are_marked(store):
    events = [
        *STEPS,
        {"event": "checkpoint", "attempt": 1, "step": 50},
        {"event": "requeued", "attempt": 2},
        *({**progressed(step), "attempt": 2} for step in (51, 52)),
    ]
    write_run(store, RUN, events)
    told = report(store)
    assert "attempt 2" in told.text
    assert [path["d"] for path in told.all("path") if path["class"] == "resume"] == ["M772.7 0V1000"] * 3
    marks = [span["style"] for span in told.all("span") if span.get("class") == "checkpoint"]
    assert marks == ["left:75.76%"]


@pytest.mark.parametrize(
    ("events", "told"),
    [
        ([], ["queued", "The run has not told a step yet."]),
        (STEPS[:2], ["interrupted", "The run has not told a step."]),
        (STEPS, ["interrupted", "Why it ended: interrupted", "resume_run_id"]),
        (
            [
                *STEPS,
                {
                    **finished("failed"),
                    "error": {"code": "disk_full", "message": "No room.", "recovery": "Make room."},
                },
            ],
            ["failed", "Why it ended: disk_full", "No room.", "Make room."],
        ),
        ([*STEPS, finished("stopped")], ["stopped"]),
        ([*began(), progressed(1), finished()], ["succeeded", "Training loss"]),
    ],
    ids=["queued", "begun", "interrupted", "failed", "stopped", "one step"],
)
def test_a_run_in_any_state_has_a_report(store, events, told):
    write_run(store, RUN, events)
    parsed = report(store)
    assert (parsed.open, parsed.unbalanced) == ([], [])
    for words in [
        *told,
        "This run has not been evaluated.",
        f'golden_set_id="{GOLDEN}"',
        "no longer in this store",
    ]:
        assert words in parsed.text, words


def test_a_run_whose_plan_is_gone_has_a_report(store):
    paths = write_run(store, RUN, [*STEPS, finished()])
    paths.plan.write_text("{")
    told = report(store).text
    assert "Its plan cannot be read." in told
    assert "Held-out loss" in told


def test_the_verdict_is_that_of_the_test_half_however_old_and_other_runs_are_left_out(store):
    write_run(store, RUN, [*STEPS, finished()])
    write_evaluation(store, RUN, "a", half=Half.TEST, verdict="improved")
    write_evaluation(store, RUN, "b", half=Half.DEV, verdict="worse")
    write_evaluation(store, run_handle(9), "c")
    told = report(store).text
    assert "Verdictimprovedtest half" in told
    assert told.index("Test half") < told.index("Dev half")
    assert "eval-cccccccccccccccc" not in told


@pytest.mark.parametrize(
    "document", ["{", "[]", '{"model": 3}', f'{{"model": "{RUN}"}}', f'{{"model": "{RUN}", "worst": 7}}']
)
def test_damaged_evaluations_are_passed_over(store, document):
    write_run(store, RUN, [*STEPS, finished()])
    handle = write_evaluation(store, RUN)
    store.handle(handle).result.write_text(document)
    write_evaluation(
        store, RUN, "b", worst=["text", {"untrusted_prompt": 7, "row": None}], confusion={"counts": 7}
    )
    told = report(store).text
    assert "eval-bbbbbbbbbbbbbbbb" in told
    assert handle not in told


def test_intervals_are_drawn_on_one_scale_for_both_models(store):
    write_run(store, RUN, [*STEPS, finished()])
    write_evaluation(store, RUN)
    styles = [
        mark["style"]
        for mark in report(store).all("i")
        if mark.get("class", "").startswith(("range", "point"))
    ]
    # A share is drawn from 0 to 1: the run's 0.75 in 0.66 to 0.82, its base's 0.25.
    assert "left:75.0%" in styles
    assert "left:66.0%;width:16.0%" in styles
    assert "left:25.0%" in styles


def luminance(colour):
    """WCAG 2.2, relative luminance."""
    parts = [int(colour[at : at + 2], 16) / 255 for at in (1, 3, 5)]
    red, green, blue = (
        part / 12.92 if part <= 0.04045 else ((part + 0.055) / 1.055) ** 2.4 for part in parts
    )
    return 0.2126 * red + 0.7152 * green + 0.0722 * blue


def contrast(one, other):
    light, dark = sorted((luminance(one), luminance(other)), reverse=True)
    return (light + 0.05) / (dark + 0.05)


@pytest.mark.parametrize("theme", ["light", "dark", "print"])
def test_text_stands_out_from_its_ground_in_every_theme(theme):
    style = resources.files(reports).joinpath("page.css").read_text()
    blocks = [
        dict(re.findall(r"--([\w-]+): (#\w+);", block))
        for block in re.findall(r":root \{(.*?)\}", style, re.S)
    ]
    colours = {
        name: "#" + "".join(2 * digit for digit in value[1:]) if len(value) == 4 else value
        for name, value in blocks[["light", "dark", "print"].index(theme)].items()
    }
    seen = partial(lambda ink, ground: contrast(colours[ink], colours[ground]))
    for ground in ("ground", "raised"):
        for ink in ("ink", "soft", "blue", "good", "warn", "fail"):
            assert seen(ink, ground) >= 4.5, (ink, ground)
    for mark in ("good", "warn", "fail"):
        assert seen(mark, f"{mark}-ground") >= 4.5, mark
        assert seen("ink", f"{mark}-ground") >= 4.5, mark
    assert seen("blue", "info-ground") >= 4.5
    assert seen("orange", "ground") >= 3  # of lines WCAG asks for less


class Diagnosed(Finding):
    """A finding that tells more than the four texts."""

    confidence: str = "medium"
    cause: str = "The rate is ten times the usual one."
    evidence: dict[str, float] = {"lowest_loss": 0.51234, "step": 200.0}
    fix: NextCall = NextCall(tool="configure_lora", arguments={"learning_rate": 2e-4}, why="a usual rate")


def test_what_a_finding_rests_on_and_the_call_that_would_address_it_are_shown(store):
    write_run(store, RUN, [*STEPS, finished()])
    workspace = Workspace(store, LocalExecutor(store), Observer(store), report_to_nobody)
    facts = gather(workspace, RUN)
    found = Diagnosed(
        code="learning_rate_too_high", severity="warn", message="It jumps.", recovery="Lower it."
    )
    status = facts.status.model_copy(update={"findings": [found]})
    told = Parsed(page(replace(facts, status=status), "now")).text
    assert "learning rate too high" in told
    assert 'configure_lora {"learning_rate": 0.0002}' in told
    assert "lowest loss 0.512, step 200" in told
    assert "ten times the usual one" in told
