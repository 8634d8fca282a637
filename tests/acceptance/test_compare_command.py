"""`tunesmith compare`: the page is served until all pairs are voted, and the outcome is told in the terminal."""

from __future__ import annotations

import subprocess
import sys
import urllib.request

import pytest

from tests.support.server import environment
from tests.support.written_comparisons import plain_pairs, write_comparison
from tunesmith.jobs.paths import Store

HEAVY = ("torch", "numpy", "matplotlib", "pyarrow", "mcp")
PROGRAM = (
    "import sys\n"
    "from tunesmith.cli.main import main\n"
    "status = main(sys.argv[1:])\n"
    f"print('heavy:', [name for name in {HEAVY!r} if name in sys.modules])\n"
    "sys.exit(status)"
)


def command(folder, *arguments):
    return subprocess.Popen(
        [sys.executable, "-c", PROGRAM, "compare", *arguments],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env=environment(folder / "store"),
        stdin=subprocess.DEVNULL,
    )


@pytest.fixture
def comparison(tmp_path):
    return write_comparison(Store(tmp_path / "store"), plain_pairs(2)).handle


def test_the_votes_of_the_page_end_the_command_with_the_outcome(tmp_path, comparison):
    with command(tmp_path, comparison, "--no-browser") as process:
        url = process.stdout.readline().removeprefix("Vote on this page: ").strip()
        for number, choice in ((1, b"choice=first"), (2, b"choice=second")):
            # a browser is sent on to the next pair, and from the last one to the outcome
            with urllib.request.urlopen(f"{url}?pair={number}", choice, timeout=10) as answer:
                page = answer.read().decode()
        told, errors = process.communicate(timeout=20)
    assert (process.returncode, errors) == (0, "")
    assert "Whose answers they were" in page
    assert "a is demo" in told
    assert "2 of 2 pairs voted: 2 by the person (page). a won 2, b won 0, 0 ties." in told
    assert "heavy: []" in told


@pytest.mark.parametrize(
    ("handle", "told"),
    [("cmp-aaaaaaaaaaaaaaaa", "unknown_handle: "), ("run-aaaaaaaaaaaaaaaa", "invalid_argument: ")],
)
def test_what_cannot_be_voted_on_is_told_in_a_line(tmp_path, handle, told):
    with command(tmp_path, handle) as process:
        _, errors = process.communicate(timeout=20)
    assert process.returncode == 2
    assert errors.startswith(told)
    assert errors.count("\n") == 1
