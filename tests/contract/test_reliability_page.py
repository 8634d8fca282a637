"""docs/reliability.md names every row of both matrices; each test that it names exists and says which it provokes."""

from __future__ import annotations

import ast
import re
from collections import defaultdict
from functools import cache
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
PAGE = ROOT / "docs" / "reliability.md"
FAULTS = [f"R{number}" for number in range(1, 24) if number != 22]
"""R22, a push that the Hub interrupts, belongs to publishing."""
ATTACKS = ["S6", "S8", "S9", "S10", "S16", "S17", "S18", "S19", "S20"]


@cache
def rows_of(path: Path) -> dict[str, set[str]]:
    """For each test of a file, the rows that its markers, or those of the whole file, name."""
    tree = ast.parse(path.read_text(encoding="utf-8"))
    of_all = [
        node.value
        for node in tree.body
        if isinstance(node, ast.Assign) and ast.unparse(node.targets[0]) == "pytestmark"
    ]
    return {
        node.name: _named(*of_all, *node.decorator_list)
        for node in ast.walk(tree)
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef) and node.name.startswith("test_")
    }


def _named(*marks: ast.expr) -> set[str]:
    return {
        argument.value
        for mark in marks
        for call in ast.walk(mark)
        if isinstance(call, ast.Call) and ast.unparse(call.func) == "pytest.mark.row"
        for argument in call.args
        if isinstance(argument, ast.Constant)
    }


def table() -> dict[str, list[str]]:
    """For each row, the cells that name its tests."""
    cells = defaultdict(list)
    lines = re.findall(
        r"^\| ([RS]\d+(?:, [RS]\d+)*) \|.*\| ([^|]+) \|$", PAGE.read_text(encoding="utf-8"), re.MULTILINE
    )
    for names, tests in lines:
        for name in names.split(", "):
            cells[name].append(tests)
    return cells


@pytest.mark.parametrize("row", FAULTS + ATTACKS)
def test_a_row_is_told_and_its_tests_exist_and_name_it(row):
    cells = table()[row]
    assert cells, f"{row} is missing"
    named = set()
    for cell in cells:
        path = None
        for file, test in re.findall(r"(tests/[\w/]+\.py)?(?:::(\w+)|(?=[ ,]|$))", cell):
            path = ROOT / file if file else path
            assert path is not None and path.is_file(), cell
            tests = rows_of(path)
            if test:
                assert test in tests, f"{path.name}::{test}"
                named |= tests[test]
            elif file:
                named |= set().union(*tests.values())
    assert row in named, f"no test that {row} names says that it provokes it"


@pytest.mark.parametrize("row", FAULTS + ATTACKS)
def test_a_row_is_provoked_by_a_test_that_says_so(row):
    marked = [
        f"{path.name}::{test}"
        for path in (ROOT / "tests").rglob("test_*.py")
        for test, rows in rows_of(path).items()
        if row in rows
    ]
    assert marked


def test_the_letters_of_the_page_are_those_that_the_random_steps_know():
    told = set(re.findall(r"^\| ([a-z]) \|", PAGE.read_text(encoding="utf-8"), re.MULTILINE))
    tree = ast.parse((ROOT / "tests/faults/test_every_interleaving.py").read_text(encoding="utf-8"))
    (letters,) = (
        node.value
        for node in tree.body
        if isinstance(node, ast.Assign) and ast.unparse(node.targets[0]) == "LETTERS"
    )
    assert isinstance(letters, ast.Dict)
    assert told == {value.value for value in letters.values if isinstance(value, ast.Constant)}
