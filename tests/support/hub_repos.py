"""Repositories of the Hub stub, in memory: branches, commits, files."""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

LFS_SUFFIXES = (".safetensors", ".parquet", ".arrow", ".bin", ".pt", ".gguf", ".model", ".zip")
LFS_SIZE_BYTES = 10 * 1024 * 1024
GITATTRIBUTES = "".join(
    f"*{suffix} filter=lfs diff=lfs merge=lfs -text\n" for suffix in LFS_SUFFIXES
).encode()


def git_oid(content: bytes) -> str:
    """The object id git gives a blob; the Hub compares it to skip files that have not changed."""
    return hashlib.sha1(b"blob %d\0" % len(content) + content).hexdigest()


def is_lfs(path: str, size_bytes: int) -> bool:
    return path.endswith(LFS_SUFFIXES) or size_bytes > LFS_SIZE_BYTES


@dataclass(frozen=True)
class Commit:
    """A full snapshot: `files` holds every path at this commit, not only what it changed."""

    oid: str
    title: str
    files: Mapping[str, bytes]
    date: str

    def entry(self, path: str, *, expand: bool = False) -> dict[str, Any] | None:
        """What a tree listing says of a file or folder; None when there is no such path."""
        if path in self.files:
            content = self.files[path]
            found: dict[str, Any] = {
                "type": "file",
                "path": path,
                "size": len(content),
                "oid": git_oid(content),
            }
            if is_lfs(path, len(content)):
                sha256 = hashlib.sha256(content).hexdigest()
                found["lfs"] = {"oid": sha256, "size": len(content), "pointerSize": 134}
        elif path in self.folders():
            found = {"type": "directory", "path": path, "size": 0, "oid": git_oid(path.encode())}
        else:
            return None
        if expand:
            found["lastCommit"] = {"id": self.oid, "title": self.title, "date": self.date}
        return found

    def folders(self) -> set[str]:
        found: set[str] = set()
        for path in self.files:
            parts = path.split("/")[:-1]
            found.update("/".join(parts[: depth + 1]) for depth in range(len(parts)))
        return found

    def tree(self, folder: str, *, recursive: bool, expand: bool) -> list[dict[str, Any]] | None:
        """Entries below `folder` ("" is the root); None when it is not a folder."""
        if folder and folder not in self.folders():
            return None
        prefix = f"{folder}/" if folder else ""
        paths = sorted(path for path in (*self.files, *self.folders()) if path.startswith(prefix))
        shown = [path for path in paths if recursive or "/" not in path[len(prefix) :]]
        return [entry for path in shown if (entry := self.entry(path, expand=expand)) is not None]


@dataclass
class Repo:
    """`commits` are those that clients made, over all branches, without the Hub's own first one.

    `gated` files are for those alone who own the repository. `parameters` is what the Hub counts in its weights.
    """

    repo_id: str
    type: str
    private: bool
    gated: bool = False
    parameters: int | None = None
    branches: dict[str, list[Commit]] = field(default_factory=dict[str, list[Commit]])
    commits: list[Commit] = field(default_factory=list[Commit])

    def __post_init__(self) -> None:
        self.branches.setdefault(
            "main", [self._snapshot("initial commit", {".gitattributes": GITATTRIBUTES})]
        )

    @property
    def files(self) -> dict[str, bytes]:
        """What is on main now, without the Hub's own .gitattributes."""
        return self.files_at("main")

    def files_at(self, revision: str) -> dict[str, bytes]:
        commit = self.at(revision)
        files = commit.files if commit else {}
        return {path: content for path, content in files.items() if path != ".gitattributes"}

    @property
    def namespace(self) -> str:
        return self.repo_id.split("/")[0] if "/" in self.repo_id else ""

    def at(self, revision: str) -> Commit | None:
        """The commit that a branch name or a commit id names."""
        if revision in self.branches:
            return self.branches[revision][-1]
        for history in self.branches.values():
            for commit in history:
                if commit.oid == revision:
                    return commit
        return None

    def commit(self, branch: str, title: str, changed: Mapping[str, bytes], deleted: set[str]) -> Commit:
        files = {
            path: content for path, content in self.branches[branch][-1].files.items() if path not in deleted
        }
        commit = self._snapshot(title, {**files, **changed})
        self.branches[branch].append(commit)
        self.commits.append(commit)
        return commit

    def put(self, files: Mapping[str, bytes]) -> None:
        """Set up contents without leaving a client's commit behind."""
        self.branches["main"].append(self._snapshot("contents", {**self.branches["main"][-1].files, **files}))

    def info(self, commit: Commit, *, blobs: bool) -> dict[str, Any]:
        """The reply of GET /api/{models,datasets}/{id}."""
        return {
            "_id": git_oid(self.repo_id.encode())[:24],
            "id": self.repo_id,
            "modelId": self.repo_id,
            "author": self.namespace,
            "sha": commit.oid,
            "lastModified": commit.date,
            "createdAt": self.branches["main"][0].date,
            "private": self.private,
            "disabled": False,
            "downloads": 0,
            "likes": 0,
            **self.summary(),
            "siblings": [self._sibling(commit, path, blobs=blobs) for path in sorted(commit.files)],
        }

    def summary(self) -> dict[str, Any]:
        """What the Hub reads out of a model's files and card for its listings."""
        files = self.files
        config, tokenizer = (
            json.loads(files.get(name, b"{}")) for name in ("config.json", "tokenizer_config.json")
        )
        told: dict[str, Any] = {"id": self.repo_id, "gated": "manual" if self.gated else False}
        kept = ("architectures", "model_type", "quantization_config")
        told["config"] = {name: config[name] for name in kept if name in config}
        if "chat_template" in tokenizer:
            told["config"]["tokenizer_config"] = {"chat_template": tokenizer["chat_template"]}
        if self.parameters is not None:
            told["safetensors"] = {"parameters": {"BF16": self.parameters}, "total": self.parameters}
        told["tags"] = ["transformers", "safetensors", "text-generation"]
        card = files.get("README.md", b"").decode()
        told["tags"] += [f"license:{name}" for name in re.findall(r"^license: (\S+)$", card, re.MULTILINE)]
        return told

    def _sibling(self, commit: Commit, path: str, *, blobs: bool) -> dict[str, Any]:
        entry = commit.entry(path)
        if not blobs or entry is None:
            return {"rfilename": path}
        lfs = entry.get("lfs")
        told = {"rfilename": path, "size": entry["size"], "blobId": entry["oid"]}
        if lfs:
            told["lfs"] = {"sha256": lfs["oid"], "size": lfs["size"], "pointerSize": lfs["pointerSize"]}
        return told

    def _snapshot(self, title: str, files: Mapping[str, bytes]) -> Commit:
        number = 1 + sum(len(history) for history in self.branches.values())
        listing = "".join(f"{path} {git_oid(content)}\n" for path, content in sorted(files.items()))
        oid = hashlib.sha1(f"{self.repo_id} {number} {title}\n{listing}".encode()).hexdigest()
        date = f"2026-01-01T{number // 3600:02}:{number // 60 % 60:02}:{number % 60:02}.000Z"
        return Commit(oid, title, dict(files), date)
