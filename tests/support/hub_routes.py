"""What the Hub stub answers: one function an endpoint, in the Hub's words as far as a client reads them."""

from __future__ import annotations

import base64
import hashlib
import json
import re
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any
from urllib.parse import parse_qs, unquote

from tests.support.hub_repos import Commit, Repo, git_oid, is_lfs

if TYPE_CHECKING:
    from tests.support.hub_stub import HubStub

REPO_ID = re.compile(r"[\w.-]{1,96}(/[\w.-]{1,96})?", re.ASCII)


@dataclass(frozen=True)
class Request:
    """`token` is the bearer token that came with it; `path` is as on the wire."""

    method: str
    path: str
    query: dict[str, list[str]]
    token: str | None
    body: bytes
    range: str = ""

    def flag(self, name: str) -> bool:
        return self.query.get(name, ["false"])[0].lower() in ("true", "1")


@dataclass(frozen=True)
class Reply:
    status: int
    body: bytes = b""
    headers: dict[str, str] = field(default_factory=dict[str, str])

    @classmethod
    def of(cls, status: int, value: object, **headers: str) -> Reply:
        named = {name.replace("_", "-"): text for name, text in headers.items()}
        return cls(status, json.dumps(value).encode(), {"Content-Type": "application/json", **named})

    @classmethod
    def error(cls, status: int, message: str, code: str | None = None) -> Reply:
        named = {"X-Error-Message": message} | ({"X-Error-Code": code} if code else {})
        return cls(
            status, json.dumps({"error": message}).encode(), {"Content-Type": "application/json", **named}
        )


def repo_key(type: str, repo_id: str) -> str:
    return repo_id if type == "model" else f"{type}s/{repo_id}"


def route(hub: HubStub, request: Request) -> Reply:
    if request.path.startswith("/_lfs/"):  # signed URLs of the object storage: no token needed
        return _store_blob(hub, request)
    if request.token is not None and request.token not in hub.tokens:
        return Reply.error(401, "Invalid credentials in Authorization header")
    if hub.require_token and request.token is None:
        return Reply.error(401, "Invalid username or password.")
    owned = hub.tokens[request.token] if request.token else ()
    if request.path == "/api/whoami-v2":
        if not owned:
            return Reply.error(401, "Invalid username or password.")
        return Reply.of(
            200, {"type": "user", "name": owned[0], "orgs": [{"name": name} for name in owned[1:]]}
        )
    if request.path == "/api/repos/create":
        return _create_repo(hub, request, owned)
    if request.path == "/api/validate-yaml":
        return _validate_yaml(request)
    if request.path == "/api/models":
        return _list_models(hub, request, owned)
    return _route_repo(hub, request, owned)


def _create_repo(hub: HubStub, request: Request, owned: tuple[str, ...]) -> Reply:
    asked = json.loads(request.body)
    if not owned:
        return Reply.error(401, "Invalid username or password.")
    namespace = asked.get("organization") or owned[0]
    if namespace not in owned:
        return Reply.error(
            403, f"You don't have the rights to create a model under the namespace {namespace}"
        )
    repo_id, type = f"{namespace}/{asked['name']}", asked.get("type") or "model"
    url = f"{hub.url}/{repo_key(type, repo_id)}"
    if repo_key(type, repo_id) in hub.repos:
        return Reply.of(409, {"error": f"You already created this {type} repo: {repo_id}", "url": url})
    private = asked.get("private") is True or asked.get("visibility") == "private"
    hub.repos[repo_key(type, repo_id)] = Repo(repo_id, type, private)
    return Reply.of(200, {"url": url, "name": repo_id, "id": git_oid(repo_id.encode())[:24]})


def _list_models(hub: HubStub, request: Request, owned: tuple[str, ...]) -> Reply:
    """By words in the id and by tags, as many as asked for; `sort` and `expand` change nothing here."""
    words = request.query.get("search", [""])[0].lower().split()
    wanted = set(request.query.get("filter", []))
    most = re.fullmatch(r"max:([\d.]+)B", request.query.get("num_parameters", [""])[0])
    told = []
    for repo in hub.repos.values():
        if repo.type != "model" or (repo.private and repo.namespace not in owned):
            continue
        summary = repo.summary()
        small = most is None or (repo.parameters or 0) <= float(most[1]) * 1e9
        if small and wanted <= set(summary["tags"]) and all(word in repo.repo_id.lower() for word in words):
            told.append(summary)
    return Reply.of(200, told[: int(request.query.get("limit", ["1000"])[0])])


def _validate_yaml(request: Request) -> Reply:
    """Only the rule that catches people who train from a local folder: base_model has to be a Hub id."""
    content = json.loads(request.body)["content"]
    head = content.split("\n---", 1)[0] if content.startswith("---\n") else ""
    for value in re.findall(r"^base_model:\s*['\"]?(.*?)['\"]?\s*$", head, re.MULTILINE):
        if not REPO_ID.fullmatch(value):
            message = (
                f'"base_model" with value "{value}" is not valid. Use a model id from https://hf.co/models.'
            )
            return Reply.of(400, {"errors": [{"message": message}], "warnings": []})
    return Reply.of(200, {"errors": [], "warnings": []})


def _store_blob(hub: HubStub, request: Request) -> Reply:
    oid = request.path.rsplit("/", 1)[1]
    if request.method == "POST":
        known = json.loads(request.body)["oid"] in hub.blobs
        return Reply.of(200, {}) if known else Reply.error(404, "No such object")
    if hashlib.sha256(request.body).hexdigest() != oid:
        return Reply.error(400, "XAmzContentSHA256Mismatch")
    hub.blobs[oid] = request.body
    return Reply(200, headers={"ETag": f'"{oid[:32]}"'})


_API = re.compile(r"/api/(model|dataset)s/(.+)")
_VERBS = frozenset(
    {"revision", "tree", "paths-info", "preupload", "commit", "commits", "branch", "refs"}
    | {"xet-read-token", "xet-write-token"}
)
_RESOLVE = re.compile(r"/(?:(dataset)s/)?([^/]+(?:/[^/]+)?)/resolve/([^/]+)/(.+)")
_BATCH = re.compile(r"/(?:(dataset)s/)?([^/]+(?:/[^/]+)?)\.git/info/lfs/objects/batch")


def _route_repo(hub: HubStub, request: Request, owned: tuple[str, ...]) -> Reply:
    rest: list[str] = []
    if match := _API.fullmatch(request.path):
        type, parts = match[1], match[2].split("/")
        length = 1 if len(parts) == 1 or parts[1] in _VERBS else 2
        repo_id, rest = "/".join(parts[:length]), [unquote(part) for part in parts[length:]]
        handler: _RepoHandler = _REPO_ROUTES.get((request.method, rest[0] if rest else "info"), _no_route)
    elif match := _RESOLVE.fullmatch(request.path):
        type, repo_id, rest = match[1] or "model", match[2], ["resolve", unquote(match[3]), unquote(match[4])]
        handler = _resolve
    elif match := _BATCH.fullmatch(request.path):
        type, repo_id, handler = match[1] or "model", match[2], _lfs_batch
    else:
        return Reply.error(404, f"The stub has no {request.method} {request.path}")
    repo = hub.repos.get(repo_key(type, repo_id))
    if repo is None or (repo.private and repo.namespace not in owned):
        # As on the Hub: whoever shows no token is not told whether a repository exists.
        return Reply.error(404 if owned else 401, "Repository not found", "RepoNotFound")
    writes = handler in (_commit, _create_branch, _preupload, _lfs_batch)
    if writes and not owned:
        return Reply.error(401, "Invalid username or password.")
    if writes and repo.namespace not in owned:
        return Reply.error(403, f"You don't have write access to {repo_id}")
    revision = rest[1] if len(rest) > 1 and handler is not _create_branch else "main"
    commit = repo.at(revision)
    if commit is None:
        return Reply.error(404, f"Invalid rev id: {revision}", "RevisionNotFound")
    return handler(hub, repo, commit, request, rest)


def _no_route(hub: HubStub, repo: Repo, commit: Commit, request: Request, rest: list[str]) -> Reply:
    return Reply.error(404, f"The stub has no {request.method} {request.path}")


def _info(hub: HubStub, repo: Repo, commit: Commit, request: Request, rest: list[str]) -> Reply:
    return Reply.of(200, repo.info(commit, blobs=request.flag("blobs")))


def _refs(hub: HubStub, repo: Repo, commit: Commit, request: Request, rest: list[str]) -> Reply:
    branches = [
        {"name": name, "ref": f"refs/heads/{name}", "targetCommit": history[-1].oid}
        for name, history in repo.branches.items()
    ]
    return Reply.of(200, {"branches": branches, "converts": [], "tags": [], "pullRequests": []})


def _commits(hub: HubStub, repo: Repo, commit: Commit, request: Request, rest: list[str]) -> Reply:
    history = repo.branches.get(rest[1] if len(rest) > 1 else "main", [commit])
    told = [
        {"id": c.oid, "title": c.title, "message": "", "date": c.date, "authors": [{"user": "stub"}]}
        for c in reversed(history)
    ]
    return Reply.of(200, told)


def _tree(hub: HubStub, repo: Repo, commit: Commit, request: Request, rest: list[str]) -> Reply:
    folder = "/".join(rest[2:])
    entries = commit.tree(folder, recursive=request.flag("recursive"), expand=request.flag("expand"))
    if entries is None:
        return Reply.error(404, f"{folder} does not exist on {rest[1]}", "EntryNotFound")
    return Reply.of(200, entries)


def _paths_info(hub: HubStub, repo: Repo, commit: Commit, request: Request, rest: list[str]) -> Reply:
    form = parse_qs(request.body.decode())
    expand = form.get("expand", ["false"])[0].lower() == "true"
    found = (commit.entry(path.strip("/"), expand=expand) for path in form.get("paths", []))
    return Reply.of(200, [entry for entry in found if entry is not None])


def _create_branch(hub: HubStub, repo: Repo, commit: Commit, request: Request, rest: list[str]) -> Reply:
    branch = "/".join(rest[1:])
    start = repo.at(json.loads(request.body or b"{}").get("startingPoint", "main"))
    if branch.startswith("refs/") or start is None:
        return Reply.error(400, f"Invalid reference for a branch: {branch}")
    if branch in repo.branches:
        return Reply.error(409, f"Reference already exists: refs/heads/{branch}")
    repo.branches[branch] = [start]
    return Reply.of(200, {})


def _preupload(hub: HubStub, repo: Repo, commit: Commit, request: Request, rest: list[str]) -> Reply:
    told: list[dict[str, Any]] = []
    for file in json.loads(request.body)["files"]:
        path, lfs = file["path"], is_lfs(file["path"], file["size"])
        there = commit.files.get(path)
        oid = None if there is None else hashlib.sha256(there).hexdigest() if lfs else git_oid(there)
        mode = {"uploadMode": "lfs" if lfs else "regular", "shouldIgnore": False}
        told.append({"path": path, **mode, **({"oid": oid} if oid else {})})
    return Reply.of(200, {"files": told, "commitOid": commit.oid})


def _lfs_batch(hub: HubStub, repo: Repo, commit: Commit, request: Request, rest: list[str]) -> Reply:
    told: list[dict[str, Any]] = []
    for wanted in json.loads(request.body)["objects"]:
        known = {"oid": wanted["oid"], "size": wanted["size"]}
        if wanted["oid"] not in hub.blobs:
            upload, verify = {"href": f"{hub.url}/_lfs/{wanted['oid']}"}, {"href": f"{hub.url}/_lfs/verify"}
            known["actions"] = {"upload": upload, "verify": verify}
        told.append(known)
    return Reply.of(200, {"transfer": "basic", "objects": told})


def _commit(hub: HubStub, repo: Repo, commit: Commit, request: Request, rest: list[str]) -> Reply:
    if rest[1] not in repo.branches:
        return Reply.error(400, f"{rest[1]} is not a branch")
    title, changed, deleted = "", dict[str, bytes](), set[str]()
    for line in request.body.splitlines():
        item = json.loads(line)
        value = item["value"]
        if item["key"] == "header":
            title = value["summary"]
            if value.get("parentCommit", commit.oid) != commit.oid:
                return Reply.error(412, "A commit has happened since. Please refresh and try again.")
        elif item["key"] == "file":
            changed[value["path"]] = base64.b64decode(value["content"])
        elif item["key"] == "lfsFile":
            if value["oid"] not in hub.blobs:
                return Reply.error(400, f"LFS pointer pointed to a file that does not exist: {value['path']}")
            changed[value["path"]] = hub.blobs[value["oid"]]
        elif item["key"] == "deletedFile":
            deleted.add(value["path"])
        else:
            deleted |= {path for path in commit.files if path.startswith(value["path"].rstrip("/") + "/")}
    made = repo.commit(rest[1], title, changed, deleted)
    url = f"{hub.url}/{repo_key(repo.type, repo.repo_id)}/commit/{made.oid}"
    return Reply.of(200, {"success": True, "commitOid": made.oid, "commitUrl": url, "hookOutput": ""})


def _resolve(hub: HubStub, repo: Repo, commit: Commit, request: Request, rest: list[str]) -> Reply:
    if repo.gated and repo.namespace not in hub.tokens.get(request.token or "", ()):
        message = f"Access to model {repo.repo_id} is restricted."
        return Reply.error(403 if request.token else 401, message, "GatedRepo")
    content = commit.files.get(rest[2])
    headers = {"X-Repo-Commit": commit.oid, "Accept-Ranges": "bytes"}
    if content is None:
        missing = Reply.error(404, "Entry not found", "EntryNotFound")
        return Reply(404, missing.body, {**missing.headers, **headers})
    headers["ETag"] = f'"{git_oid(content)}"'
    if is_lfs(rest[2], len(content)):
        headers |= {
            "X-Linked-Etag": f'"{hashlib.sha256(content).hexdigest()}"',
            "X-Linked-Size": str(len(content)),
        }
    if request.method == "HEAD":
        headers["Content-Length"] = str(len(content))
    if wanted := re.fullmatch(r"bytes=(\d+)-(\d*)", request.range):
        first, last = int(wanted[1]), min(int(wanted[2] or len(content)), len(content) - 1)
        headers["Content-Range"] = f"bytes {first}-{last}/{len(content)}"
        return Reply(206, content[first : last + 1], headers)
    return Reply(200, content, headers)


_RepoHandler = Callable[["HubStub", Repo, Commit, Request, list[str]], Reply]
_REPO_ROUTES: dict[tuple[str, str], _RepoHandler] = {
    ("GET", "info"): _info,
    ("GET", "revision"): _info,
    ("GET", "refs"): _refs,
    ("GET", "commits"): _commits,
    ("GET", "tree"): _tree,
    ("POST", "paths-info"): _paths_info,
    ("POST", "branch"): _create_branch,
    ("POST", "preupload"): _preupload,
    ("POST", "commit"): _commit,
}
