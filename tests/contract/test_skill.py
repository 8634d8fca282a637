"""The skill says what the tools say. An assistant that follows it must never be told off by the server."""

from __future__ import annotations

import ast
import re
from pathlib import Path
from typing import Any

import anyio
import pytest
import yaml

from tunesmith.jobs.paths import Store
from tunesmith.server.app import create_server

REPOSITORY = Path(__file__).resolve().parents[2]
PACKAGE = REPOSITORY / "src" / "tunesmith"
SKILL = PACKAGE / "skill" / "fine-tuning" / "SKILL.md"
PAGES = [SKILL, *sorted((SKILL.parent / "references").glob("*.md"))]
FRONTMATTER_KEYS = {"name", "description", "license", "compatibility", "metadata", "allowed-tools"}

FENCE = re.compile(r"^```(\w+)\n(.*?)^```$", re.MULTILINE | re.DOTALL)
INLINE_CALL = re.compile(r"`([a-z_]+\([^`]*\))`")
INLINE_NAME = re.compile(r"`([a-z]+(?:_[a-z]+)+)`")
VERBS = (
    "load", "build", "configure", "start", "get", "stop", "list", "evaluate", "generate", "push",
    "clean", "find", "compare", "export",
)  # fmt: skip
LINK = re.compile(r"\]\(([^)#]+)\)")


@pytest.fixture(scope="module")
def tools(tmp_path_factory: pytest.TempPathFactory) -> dict[str, dict[str, Any]]:
    """Input schema by tool name, as a real server lists them."""

    async def listed() -> dict[str, dict[str, Any]]:
        server = create_server(Store(tmp_path_factory.mktemp("store")))
        return {tool.name: tool.input_schema for tool in await server.list_tools()}

    return anyio.run(listed)


def front_and_body() -> tuple[dict[str, Any], str]:
    _, front, body = SKILL.read_text(encoding="utf-8").split("---\n", 2)
    return yaml.safe_load(front), body


def blocks(page: Path, language: str) -> list[str]:
    return [text for found, text in FENCE.findall(page.read_text(encoding="utf-8")) if found == language]


def calls(page: Path) -> list[ast.Call]:
    """Every call that the page shows, in code blocks and between backticks."""
    text = page.read_text(encoding="utf-8")
    sources = [*blocks(page, "python"), *INLINE_CALL.findall(text)]
    trees = [ast.parse(source) for source in sources]
    return [node for tree in trees for node in ast.walk(tree) if isinstance(node, ast.Call)]


def test_the_parameter_schema_of_the_skill_is_the_tools_own(tools: dict[str, dict[str, Any]]) -> None:
    (block,) = blocks(SKILL, "yaml")
    shown = yaml.safe_load(block)
    assert list(shown) == ["tuning_method", "dataset_size", "compute_budget"]
    for name, parameter in shown.items():
        schema = tools["configure_lora"]["properties"][name]
        assert parameter["type"] == "enum"
        assert parameter["values"] == schema["enum"]
        assert parameter.get("default") == schema.get("default")
        assert schema.get("description", "").startswith(parameter.get("description", ""))


def test_the_parameters_page_lists_exactly_the_tools_parameters(tools: dict[str, dict[str, Any]]) -> None:
    (block,) = blocks(SKILL.parent / "references" / "parameters.md", "yaml")
    shown = yaml.safe_load(block)
    real = {
        tool: {
            name: field | ({"required": True} if name in schema.get("required", []) else {})
            for name, field in schema["properties"].items()
        }
        for tool, schema in tools.items()
    }
    assert list(shown) == list(real)
    outdated = [
        f"{tool}.{name}"
        for tool in real
        for name in shown[tool] | real[tool]
        if shown[tool].get(name) != real[tool].get(name)
    ]
    assert outdated == []
    assert [list(fields) for fields in shown.values()] == [list(fields) for fields in real.values()]


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_every_call_that_is_shown_would_be_accepted(page: Path, tools: dict[str, dict[str, Any]]) -> None:
    for call in calls(page):
        assert isinstance(call.func, ast.Name)
        assert call.func.id in tools, call.func.id
        schema = tools[call.func.id]
        given = {keyword.arg: keyword.value for keyword in call.keywords}
        assert given.keys() <= schema["properties"].keys(), f"{call.func.id}: {sorted(map(str, given))}"
        if call.args:  # an ellipsis stands for arguments that the sentence is not about
            assert all(isinstance(value, ast.Constant) and value.value is ... for value in call.args)
        else:
            assert set(schema.get("required", [])) <= given.keys(), call.func.id
        for name, value in given.items():
            allowed = schema["properties"][str(name)].get("enum")
            if allowed is not None:
                assert ast.literal_eval(value) in allowed, f"{call.func.id}: {name}"


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_no_tool_is_named_that_does_not_exist(page: Path, tools: dict[str, dict[str, Any]]) -> None:
    names = set(INLINE_NAME.findall(page.read_text(encoding="utf-8")))
    assert {name for name in names if name.partition("_")[0] in VERBS} <= tools.keys()


def test_the_skill_goes_through_every_tool(tools: dict[str, dict[str, Any]]) -> None:
    body = front_and_body()[1]
    assert [name for name in tools if name not in body] == []


def test_the_seven_steps_stand_in_the_order_of_work() -> None:
    steps = re.findall(r"^### (\d)\. ", front_and_body()[1], re.MULTILINE)
    assert steps == [str(number) for number in range(1, 8)]
    shown = [call.func.id for call in calls(SKILL) if isinstance(call.func, ast.Name)]
    order = (
        "load_dataset", "build_golden_set", "configure_lora", "start_training", "get_status", "push_to_hub",
    )  # fmt: skip
    assert sorted(order, key=shown.index) == list(order)


def test_the_frontmatter_is_that_of_an_agent_skill() -> None:
    front, body = front_and_body()
    assert front.keys() <= FRONTMATTER_KEYS
    assert front["name"] == SKILL.parent.name
    assert re.fullmatch(r"[a-z0-9]+(-[a-z0-9]+)*", front["name"])
    assert len(front["name"]) <= 64
    assert 0 < len(front["description"]) <= 1024
    assert len(front["compatibility"]) <= 500
    assert len(body.splitlines()) < 500


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_links_within_the_skill_lead_somewhere(page: Path) -> None:
    targets = [link for link in LINK.findall(page.read_text(encoding="utf-8")) if "://" not in link]
    assert [link for link in targets if not (page.parent / link).is_file()] == []


def test_every_reference_is_linked_from_the_skill() -> None:
    linked = set(LINK.findall(SKILL.read_text(encoding="utf-8")))
    assert {f"references/{page.name}" for page in PAGES[1:]} <= linked


@pytest.mark.parametrize("symptom", [
    "Overfitting", "Underfitting", "Catastrophic forgetting",
    "Poor generalisation", "Out of memory", "Slow training",
])  # fmt: skip
def test_each_symptom_has_a_first_step_and_a_section(symptom: str) -> None:
    details = SKILL.parent / "references" / "troubleshooting.md"
    assert f"\n| {symptom} |" in SKILL.read_text(encoding="utf-8")
    assert f"\n## {symptom}\n" in details.read_text(encoding="utf-8")


@pytest.mark.skipif(not (REPOSITORY / ".git").exists(), reason="an unpacked sdist has no links")
@pytest.mark.parametrize(("link", "target"), [
    ("server", "server"), ("tools", "tools"), ("schemas", "schemas"), ("skills", "skill"),
    ("skill.md", "skill/fine-tuning/SKILL.md"),
])  # fmt: skip
def test_the_names_at_the_root_lead_into_the_package(link: str, target: str) -> None:
    path = REPOSITORY / link
    assert path.is_symlink()
    assert not Path(path.readlink()).is_absolute()
    assert path.resolve(strict=True) == PACKAGE / target
