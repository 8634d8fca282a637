"""What is installed is what was reviewed: a lock in step with pyproject, from one registry, and little of it."""

from __future__ import annotations

import re
import shutil
import subprocess
import tomllib
from pathlib import Path

import pytest

pytestmark = pytest.mark.row("S20")

REPOSITORY = Path(__file__).parents[2]
REGISTRY = "https://pypi.org/simple"
FILES = "https://files.pythonhosted.org/"
BASE_INSTALL = {"mcp", "pydantic", "anyio", "platformdirs", "tqdm"}
"""What the server's process needs. Each addition is one more party that can run code beside people's data."""


@pytest.fixture(scope="module")
def project():
    return tomllib.loads((REPOSITORY / "pyproject.toml").read_text())


@pytest.fixture(scope="module")
def lock():
    return tomllib.loads((REPOSITORY / "uv.lock").read_text())


def name_of(requirement):
    return re.split(r"[\s<>=!~;\[@]", requirement, maxsplit=1)[0].lower().replace("_", "-")


def uv():
    """uv as make finds it; a shim of a version manager may be on PATH and still not run."""
    for found in (shutil.which("uv"), REPOSITORY / ".tools" / "uv" / "bin" / "uv"):
        if found and Path(found).is_file():
            told = subprocess.run([found, "--version"], capture_output=True, check=False)
            if told.returncode == 0:
                return str(found)
    pytest.skip("uv is not installed: nothing here can tell whether uv.lock is in step")


def test_the_lock_is_in_step_with_the_project():
    checked = subprocess.run(
        [uv(), "lock", "--check", "--offline"], cwd=REPOSITORY, capture_output=True, text=True, check=False
    )
    assert checked.returncode == 0, checked.stderr


def test_the_lock_belongs_to_the_repository():
    if not (REPOSITORY / ".git").exists():
        pytest.skip("no checkout: nothing here can tell what is committed")
    listed = subprocess.run(
        ["git", "ls-files", "--error-unmatch", "uv.lock"], cwd=REPOSITORY, capture_output=True, check=False
    )
    assert listed.returncode == 0, "uv.lock is not committed"


def test_every_package_comes_from_the_one_registry_with_its_hash(lock):
    for package in lock["package"]:
        if package["name"] == "tunesmith":
            assert package["source"] == {"editable": "."}
            continue
        assert package["source"] == {"registry": REGISTRY}, package["name"]
        files = [*package.get("wheels", []), *([package["sdist"]] if "sdist" in package else [])]
        assert files
        for file in files:
            assert file["url"].startswith(FILES), file
            assert re.fullmatch(r"sha256:[0-9a-f]{64}", file["hash"]), file


def test_the_project_names_no_other_index_and_no_direct_url(project):
    settings = project["tool"]["uv"]
    assert not {"index", "index-url", "extra-index-url", "find-links", "sources", "no-verify-hashes"} & set(
        settings
    )
    extras = project["project"]["optional-dependencies"].values()
    requirements = [*project["project"]["dependencies"], *(each for extra in extras for each in extra)]
    requirements += project["dependency-groups"]["dev"]
    assert not [each for each in requirements if "@" in each or "://" in each]


def test_the_base_install_depends_on_little(project, lock):
    assert {name_of(each) for each in project["project"]["dependencies"]} == BASE_INSTALL
    extras = {"train", "tensorboard", "trackio", "mlflow", "wandb", "lm-eval"}
    assert set(project["project"]["optional-dependencies"]) == extras
    packages = {package["name"]: package for package in lock["package"]}
    needed, waiting = set(), list(BASE_INSTALL)
    while waiting:
        name = waiting.pop()
        if name not in needed:
            needed.add(name)
            waiting += [each["name"] for each in packages[name].get("dependencies", [])]
    assert len(needed) <= 35, sorted(needed)
    assert not needed & {"torch", "transformers", "numpy", "requests", "huggingface-hub"}


def test_a_release_has_to_be_a_week_old_before_it_gets_into_the_lock(project, lock):
    assert project["tool"]["uv"]["exclude-newer"] == "7 days"
    assert lock["options"]["exclude-newer-span"] == "P7D"
