"""Looks into a built sdist and wheel: `python check_distributions.py FOLDER`. Run by .ci/run."""

from __future__ import annotations

import posixpath
import sys
import tarfile
import zipfile
from pathlib import Path

PACKAGE = Path(__file__).resolve().parents[2] / "src" / "tunesmith"
NEEDED = (
    "tunesmith/py.typed",
    "tunesmith/demo/base/config.json",
    "tunesmith/demo/base/model.safetensors",
    "tunesmith/demo/base/tokenizer.json",
    "tunesmith/demo/orders.jsonl",
    "tunesmith/skill/fine-tuning/SKILL.md",
    "tunesmith/training/bases/table.json",
)
SDIST_NEEDED = ("pyproject.toml", "README.md", "LICENSE", "CHANGELOG.md", "src/tunesmith/__init__.py")


def wheel_problems(wheel: Path) -> list[str]:
    """What is missing from the wheel, and what does not belong there."""
    with zipfile.ZipFile(wheel) as archive:
        names = set(archive.namelist())
    in_tree = {
        f"tunesmith/{file.relative_to(PACKAGE).as_posix()}"
        for file in PACKAGE.rglob("*")
        if file.is_file() and file.suffix != ".pyc"
    }
    strangers = {name for name in names if not name.startswith(("tunesmith/", "tunesmith-"))}
    return [f"{wheel.name} lacks {name}" for name in sorted({*NEEDED, *in_tree} - names)] + [
        f"{wheel.name} holds {name}, which is no part of the package" for name in sorted(strangers)
    ]


def sdist_problems(sdist: Path) -> list[str]:
    """What is missing from the sdist, and links in it that lead nowhere."""
    with tarfile.open(sdist) as archive:
        members = {member.name: member for member in archive.getmembers()}
    top = next(iter(members)).partition("/")[0]
    folders = {posixpath.dirname(name) for name in members}
    problems = [f"{sdist.name} lacks {name}" for name in SDIST_NEEDED if f"{top}/{name}" not in members]
    for name, member in members.items():
        if member.issym():
            target = posixpath.normpath(posixpath.join(posixpath.dirname(name), member.linkname))
            if target not in members and target not in folders:
                problems.append(f"{sdist.name}: {name} links to {member.linkname}, which is not in it")
    return problems


def main(folder: Path) -> int:
    """Print the problems; 1 when there are any."""
    (wheel,), (sdist,) = list(folder.glob("*.whl")), list(folder.glob("*.tar.gz"))
    problems = wheel_problems(wheel) + sdist_problems(sdist)
    for built in (wheel, sdist):
        print(f"{built.name}: {built.stat().st_size / 1e6:.1f} MB")
    print("\n".join(problems) or "complete")
    return 1 if problems else 0


if __name__ == "__main__":
    sys.exit(main(Path(sys.argv[1])))
