"""`tunesmith demo`, and its adapter in the hands of somebody who does not have Tunesmith."""

from __future__ import annotations

import json
import os
import subprocess
import sys

import pytest

from tests.conftest import end_processes
from tunesmith.jobs.paths import Store

PLAIN_PEFT = """
import json, sys
from peft import AutoPeftModelForCausalLM
from transformers import AutoTokenizer

folder, prompts = sys.argv[1], json.loads(sys.argv[2])
assert "tunesmith" not in sys.modules
tokenizer = AutoTokenizer.from_pretrained(folder)
model = AutoPeftModelForCausalLM.from_pretrained(folder)
answers = []
for prompt in prompts:
    text = f"### Instruction\\n{prompt}\\n\\n### Response\\n"
    ids = tokenizer(text, return_tensors="pt")
    written = model.generate(**ids, max_new_tokens=48, do_sample=False)[0, ids["input_ids"].shape[1]:]
    assert written[-1] == tokenizer.eos_token_id, "the tuned model did not stop"
    answers.append(tokenizer.decode(written, skip_special_tokens=True))
print(json.dumps(answers))
"""


@pytest.fixture(scope="module")
def demonstrated(tmp_path_factory):
    """The demo's output folder and what it printed."""
    folder = tmp_path_factory.mktemp("demo")
    environment = {name: value for name, value in os.environ.items() if name != "TUNESMITH_HOME"}
    answer = subprocess.run(
        [sys.executable, "-P", "-m", "tunesmith", "demo", "--output", str(folder)],
        capture_output=True,
        text=True,
        env={**environment, "TUNESMITH_HOST_IDLE_S": "5"},
        timeout=170,
        check=False,
    )
    yield folder, answer
    end_processes(Store(folder / "store"))


def test_the_demo_shows_a_base_that_cannot_and_a_tuned_model_that_can(demonstrated):
    folder, answer = demonstrated
    assert answer.returncode == 0, answer.stdout[-2000:] + answer.stderr[-2000:]
    for tool in (
        "load_dataset",
        "build_golden_set",
        "configure_lora",
        "start_training",
        "get_status",
        "push_to_hub",
    ):
        assert f"] {tool} {{" in answer.stdout
    assert "Golden set, test half" in answer.stdout
    report = json.loads((folder / "report.json").read_text())
    evaluation = report["evaluation"]
    assert evaluation["baseline"]["exact_match"]["value"] <= 0.2
    assert evaluation["scores"]["exact_match"]["value"] >= 0.9
    assert evaluation["comparison"]["verdict"] == "improved"
    assert (folder / "loss.png").read_bytes().startswith(b"\x89PNG")
    page = (folder / "report.html").read_text()
    assert all(words in page for words in (report["run_id"], "Test half, 100 rows", "Before and after"))


def test_the_adapter_loads_in_plain_peft_and_writes_what_the_demo_printed(demonstrated):
    folder, _ = demonstrated
    report = json.loads((folder / "report.json").read_text())
    adapter = Store(folder / "store").handle(report["run_id"]).adapter
    prompts = [sample["prompt"] for sample in report["samples"]]
    answer = subprocess.run(
        [sys.executable, "-I", "-c", PLAIN_PEFT, str(adapter), json.dumps(prompts)],
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert answer.returncode == 0, answer.stderr[-2000:]
    assert json.loads(answer.stdout.splitlines()[-1]) == [sample["tuned"] for sample in report["samples"]]


def test_the_sample_prompts_stand_in_none_of_the_rows():
    from tunesmith import demo
    from tunesmith.cli.demo import SAMPLE_PROMPTS

    rows = {json.loads(line)["instruction"] for line in demo.dataset_path().read_text().splitlines()}
    assert not rows & set(SAMPLE_PROMPTS)
