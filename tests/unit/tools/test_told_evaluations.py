"""What evaluate_model proposes after an evaluation."""

from __future__ import annotations

from tunesmith.jobs.executor import LocalExecutor
from tunesmith.jobs.paths import Store
from tunesmith.jobs.snapshot import Observer
from tunesmith.jobs.submission import create_finished
from tunesmith.schemas.base import NextCall
from tunesmith.schemas.enums import Half, Work
from tunesmith.schemas.evaluations import Comparison, EvaluateRequest, Evaluation, ModelReference, Score
from tunesmith.schemas.handles import new_handle
from tunesmith.schemas.runs import Finding
from tunesmith.tools.evaluate_model import result_of
from tunesmith.tools.workspace import Workspace, report_to_nobody

RUN = "run-aaaaaaaaaaaaaaaa"
GOLD = "gold-aaaaaaaaaaaaaaaa"


def test_what_addresses_a_grave_finding_is_proposed_before_the_test_half_is_opened(tmp_path):
    store = Store(tmp_path / "store")
    fix = NextCall(tool="configure_lora", arguments={"base_model": "demo"}, why="other rows")
    grave = Finding(code="trained_on_held_out", severity="fail", message="m", recovery="r", fix=fix)
    score = Score(value=-0.5, low=-0.6, high=-0.4)
    evaluation = Evaluation(
        evaluation_id=new_handle(Work.EVALUATE),
        model=RUN,
        golden_set_id=GOLD,
        half=Half.DEV,
        rows=20,
        scores={},
        comparison=Comparison(verdict="improved", loss_difference=score, message="m"),
        targets={},
        created_at="2030-01-02T00:00:00Z",
    )
    request = EvaluateRequest(
        model=ModelReference(name=RUN, kind="run", path=None),
        golden_set_id=GOLD,
        half=Half.DEV,
        metrics=[],
    )
    workspace = Workspace(store, LocalExecutor(store), Observer(store), report_to_nobody)

    def proposed(findings):
        handle = new_handle(Work.EVALUATE)
        told = evaluation.model_copy(update={"evaluation_id": handle, "findings": findings})
        create_finished(store, handle, request, told, lambda paths: None)
        return result_of(workspace, workspace.observer.look(handle)).next

    assert proposed([grave]) == [fix]
    assert proposed([])[0].arguments["half"] == "test"
