"""`tunesmith report`: the page of a run, as a file."""

from __future__ import annotations

import subprocess
import sys

import pytest

from tests.support.server import environment
from tests.support.written_reports import write_data, write_evaluation
from tests.support.written_runs import began, evaluated, finished, progressed, run_handle, write_run
from tunesmith.jobs.paths import Store

RUN = run_handle(1)
HEAVY = ("torch", "numpy", "matplotlib", "pyarrow", "mcp")


def command(folder, *arguments, program=("-P", "-m", "tunesmith")):
    return subprocess.run(
        [sys.executable, *program, *arguments],
        capture_output=True,
        text=True,
        cwd=folder,
        env=environment(folder / "store"),
        stdin=subprocess.DEVNULL,
        timeout=60,
        check=False,
    )


@pytest.fixture
def folder(tmp_path):
    store = Store(tmp_path / "store")
    steps = [progressed(step) for step in range(1, 301)]
    write_run(store, RUN, [*began(), evaluated(0, 3.2), *steps, evaluated(300, 3.3), finished()])
    write_data(store)
    write_evaluation(store, RUN, verdict="worse")
    return tmp_path


def test_the_page_is_written_and_what_matters_is_told_in_lines_of_a_terminal(folder):
    answer = command(folder, "report", RUN)
    assert (answer.returncode, answer.stderr) == (0, "")
    file = folder / f"{RUN}.html"
    assert file.read_text().startswith("<!doctype html>")
    lines = answer.stdout.splitlines()
    assert lines[0] == f"{RUN} succeeded: lora of Qwen/Qwen3-0.6B, step 300 of 300"
    assert lines[1] == "Held-out loss 3.200 before, 3.300 now."
    assert lines[2] == "Verdict on 99 test rows: worse."
    assert "fail worse_than_base: " in answer.stdout
    assert f"Report: {file}" in lines
    assert all(len(line) <= 80 for line in lines if not line.startswith("Report: "))


@pytest.mark.parametrize("output", ["made.html", "."])
def test_the_file_is_where_it_was_asked_for_and_is_replaced(folder, output):
    expected = folder / (f"{RUN}.html" if output == "." else output)
    expected.write_text("older")
    assert command(folder, "report", RUN, "--output", output).returncode == 0
    assert "older" not in expected.read_text()


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        (("run-bbbbbbbbbbbbbbbb",), "unknown_handle: "),
        (("the-last-one",), "invalid_argument: "),
        (
            (RUN, "--output", "no/such/folder/x.html"),
            "The report could not be written to no/such/folder/x.html",
        ),
    ],
)
def test_what_cannot_be_reported_is_told_in_a_line(folder, arguments, told):
    answer = command(folder, "report", *arguments)
    assert answer.returncode == 2
    assert answer.stderr.startswith(told)
    assert answer.stderr.count("\n") == 1
    assert list(folder.glob("*.html")) == []


def test_a_report_needs_no_heavy_library(folder):
    program = (
        "import sys\n"
        "from tunesmith.cli.main import main\n"
        "main(sys.argv[1:])\n"
        f"print([name for name in {HEAVY!r} if name in sys.modules])"
    )
    answer = command(folder, "report", RUN, program=("-c", program))
    assert answer.stdout.splitlines()[-1] == "[]"
