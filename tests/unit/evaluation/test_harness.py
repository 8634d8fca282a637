"""lm-evaluation-harness for real, offline, on files of this test; left out where it is not installed."""

from __future__ import annotations

import json
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import pytest
import torch
import yaml
from peft import LoraConfig, PrefixTuningConfig, PromptTuningConfig, get_peft_model
from transformers import LlamaForCausalLM

from tests.unit.evaluation.conftest import WORDS
from tunesmith.evaluation.scoring import score
from tunesmith.jobs.context import JobContext, Stopped
from tunesmith.jobs.stopping import request_stop
from tunesmith.schemas.enums import Half, Work
from tunesmith.schemas.errors import HubUnavailable, InvalidArgument
from tunesmith.schemas.evaluations import EvaluateRequest, ModelReference
from tunesmith.training.rendering import NO_LOSS, Rendered

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(find_spec("lm_eval") is None, reason="lm-eval is not installed"),
]
MEAN = {"aggregation": "mean", "higher_is_better": True}
METHODS = {
    "lora": LoraConfig(task_type="CAUSAL_LM", r=4, target_modules=["q_proj"], init_lora_weights=False),
    "prompt_tuning": PromptTuningConfig(task_type="CAUSAL_LM", num_virtual_tokens=5),
    "prefix_tuning": PrefixTuningConfig(task_type="CAUSAL_LM", num_virtual_tokens=5),
}


@pytest.fixture
def tasks(tmp_path: Path) -> Path:
    """A folder with a task of each kind."""
    folder = tmp_path / "tasks"
    folder.mkdir()
    rows = [{"word": word, "answer": f" the {word} is green."} for word in WORDS]
    (folder / "rows.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    data = {
        "dataset_path": "json",
        "dataset_kwargs": {"data_files": {"test": "rows.jsonl"}},
        "test_split": "test",
    }
    asked = {
        **data,
        "doc_to_text": "colour of the {{word}}?",
        "doc_to_target": "{{answer}}",
        "target_delimiter": "",
    }
    choose = {
        **asked,
        "output_type": "multiple_choice",
        "doc_to_choice": ["the same", "another one"],
        "doc_to_target": 0,
        "target_delimiter": " ",
        "metric_list": [{"metric": "acc", **MEAN}],
    }
    read = {
        **asked,
        "output_type": "loglikelihood",
        "metric_list": [{"metric": "perplexity", "aggregation": "perplexity", "higher_is_better": False}],
    }
    write = {
        **asked,
        "output_type": "generate_until",
        "generation_kwargs": {"until": ["\n"], "max_gen_toks": 8},
        "metric_list": [{"metric": "exact_match", **MEAN}],
    }
    for name, task in {"choose": choose, "read": read, "write": write}.items():
        (folder / f"{name}.yaml").write_text(yaml.safe_dump(task))
    return folder


@pytest.fixture
def job(submit: Any, tiny_folder: Path) -> JobContext:
    reference = ModelReference(name="tiny", kind="local", path=str(tiny_folder))
    request = EvaluateRequest(model=reference, golden_set_id="gold-x", half=Half.DEV, metrics=[])
    return submit(Work.EVALUATE, request)


def results(job: JobContext, model: Any, tokenizer: Any, *paths: Path) -> dict[str, Any]:
    from tunesmith.evaluation.harness import load_benchmarks

    return load_benchmarks([str(path) for path in paths], job.scratch).run(
        model.eval(), tokenizer, job, "the model"
    )


def test_each_kind_of_task_is_scored_row_by_row(
    job: JobContext, tiny: Any, tokenizer: Any, tasks: Path
) -> None:
    found = results(job, tiny, tokenizer, *(tasks / f"{name}.yaml" for name in ("choose", "read", "write")))
    print(found)
    assert [*found] == ["lm_eval:choose/acc", "lm_eval:read/perplexity", "lm_eval:write/exact_match"]
    assert found["lm_eval:choose/acc"].rows.keys() == set(range(len(WORDS)))
    assert found["lm_eval:read/perplexity"].rows is None and found["lm_eval:read/perplexity"].error > 0
    assert set(found["lm_eval:write/exact_match"].rows.values()) <= {0.0, 1.0}


@pytest.mark.parametrize("method", METHODS)
def test_adapters_and_learned_prompts_are_scored_as_they_are_elsewhere(
    method: str, job: JobContext, tiny_folder: Path, tokenizer: Any, tasks: Path
) -> None:
    torch.manual_seed(0)
    model = get_peft_model(LlamaForCausalLM.from_pretrained(tiny_folder), METHODS[method]).eval()
    rows = []
    for word in WORDS:
        asked = tokenizer(f"colour of the {word}?", add_special_tokens=False).input_ids
        whole = tokenizer(f"colour of the {word}? the {word} is green.", add_special_tokens=False).input_ids
        rows.append(Rendered(whole, [NO_LOSS] * len(asked) + whole[len(asked) :]))
    losses = [token.loss for token in score(model, rows, lambda _: None)]
    found = results(job, model, tokenizer, tasks / "read.yaml", tasks / "write.yaml")
    told = torch.tensor(found["lm_eval:read/perplexity"].value).log().item()
    assert told == pytest.approx(sum(losses) / len(losses), rel=1e-4)


def test_a_stop_is_heard(job: JobContext, tiny: Any, tokenizer: Any, tasks: Path) -> None:
    request_stop(job.paths, 1, 60)
    with pytest.raises(Stopped):
        results(job, tiny, tokenizer, tasks / "write.yaml")


def test_a_template_cannot_reach_out_of_its_sandbox(
    job: JobContext, tiny: Any, tokenizer: Any, tasks: Path, tmp_path: Path
) -> None:
    reach = "{{ cycler.__init__.__globals__.os.system('touch " + str(tmp_path / "reached") + "') }}"
    task = {**yaml.safe_load((tasks / "read.yaml").read_text()), "doc_to_text": reach}
    (tasks / "reach.yaml").write_text(yaml.safe_dump(task))
    with pytest.raises(InvalidArgument, match="SecurityError"):
        results(job, tiny, tokenizer, tasks / "reach.yaml")
    assert not (tmp_path / "reached").exists()


def test_tasks_that_are_not_there_cannot_be_reached_or_execute_code_are_refused(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    from tunesmith.evaluation.harness import load_benchmarks

    with pytest.raises(InvalidArgument, match=r"no task 'arc_eazy'. Near it: .*arc_easy"):
        load_benchmarks(["arc_eazy"], tmp_path)
    with pytest.raises(InvalidArgument, match="never run"):
        load_benchmarks(
            ["humaneval"], tmp_path
        )  # it begins with a program of the Hub that executes what models write
    import datasets

    def unreachable(*_: Any, **__: Any) -> None:
        raise ConnectionError("https://somebody:secret@hub.example")

    monkeypatch.setattr(datasets, "load_dataset", unreachable)
    with pytest.raises(HubUnavailable, match="arc_easy") as told:
        load_benchmarks(["arc_easy"], tmp_path)
    assert "secret" not in str(told.value)


def test_a_run_and_its_base_are_benchmarked_and_compared_row_by_row(
    submit: Any, add_golden_set: Any, add_run: Any, golden_rows: Any, tiny_folder: Path, tasks: Path
) -> None:
    from tunesmith.evaluation import evaluate_job
    from tunesmith.schemas.enums import TuningMethod

    def save(folder: Path) -> None:
        torch.manual_seed(3)
        get_peft_model(LlamaForCausalLM.from_pretrained(tiny_folder), METHODS["lora"]).save_pretrained(folder)

    run_id = add_run(save, TuningMethod.LORA)
    card = add_golden_set(golden_rows)
    asked = ["loss", f"lm_eval:{tasks / 'choose.yaml'}", f"lm_eval:{tasks / 'read.yaml'}"]
    reference = ModelReference(name=run_id, kind="run", path=None)
    request = EvaluateRequest(model=reference, golden_set_id=card.golden_set_id, half=Half.DEV, metrics=asked)
    job = submit(Work.EVALUATE, request)
    found = evaluate_job.run(job)
    assert not job.scratch.exists(), "copies of the rows go with the job"
    names = {"loss", "lm_eval:choose/acc", "lm_eval:read/perplexity"}
    assert found.scores.keys() == names and found.baseline is not None and found.baseline.keys() == names
    assert found.comparison is not None
    assert found.comparison.differences.keys() == {"loss", "lm_eval:choose/acc"}
    assert found.scores["lm_eval:read/perplexity"] != found.baseline["lm_eval:read/perplexity"]
    print(found.model_dump_json(indent=1))
