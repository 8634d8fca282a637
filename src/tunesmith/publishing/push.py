"""Pushing a finished run to the Hugging Face Hub: choose, check, create, commit.

Everything that does not need the Hub comes first, so a dry run is the same code up to the first request.
After that each step may be repeated without doing harm, because an answer can be lost after the Hub has
acted: creating what exists and committing what is there already change nothing.
"""

from __future__ import annotations

import os
import re
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeVar
from urllib.parse import quote, urlsplit, urlunsplit

from huggingface_hub import CommitOperationAdd, HfApi, constants, get_token
from huggingface_hub.errors import HFValidationError
from huggingface_hub.utils import disable_progress_bars, get_session, validate_repo_id

from tunesmith import __version__
from tunesmith.publishing.allowlist import Upload, chosen_files
from tunesmith.publishing.backoff import Backoff
from tunesmith.publishing.hub_errors import SECRET, no_token, status_of, translated
from tunesmith.publishing.model_card import CardInputs, model_card
from tunesmith.schemas.errors import HubRefused, InvalidArgument
from tunesmith.schemas.publishing import PushedFile

Report = Callable[[str], None]
"""Told one line at a time what is being done."""

T = TypeVar("T")

DEFAULT_BACKOFF = Backoff()
INFO_TIMEOUT_S = 30.0
TRANSFER_TIMEOUTS_S = (10.0, 300.0, 300.0, 300.0)
"""Connect, read, write, pool. The client itself would wait for ever for a server that has gone silent."""

_MAIN = "main"
_BRANCH = re.compile(r"[A-Za-z0-9_](?:[\w.-]|/(?=[\w-])){0,99}", re.ASCII)
_COMMIT_ID = re.compile(r"[0-9a-f]{40}")
_RESERVED_NAMESPACES = frozenset({"api", "datasets", "models", "spaces"})
_MESSAGE_LENGTH = 500


@dataclass(frozen=True)
class PushInputs:
    """`folder` holds the finished adapter or model; `revision` is a branch, made where it is missing."""

    folder: Path
    repo_id: str
    card: CardInputs
    private: bool = True
    dry_run: bool = False
    revision: str | None = None
    message: str | None = None


@dataclass(frozen=True)
class PushOutcome:
    """`private` is what the repository is, not what was asked; in a dry run it is what was asked.

    `commit` is the commit that now holds the files, None in a dry run. `created` tells that there was no
    such repository before, `unchanged` that the branch held these very files already.
    """

    repo_id: str
    url: str
    files: tuple[PushedFile, ...]
    commit: str | None
    private: bool
    dry_run: bool
    created: bool = False
    unchanged: bool = False


def push(inputs: PushInputs, report: Report, backoff: Backoff = DEFAULT_BACKOFF) -> PushOutcome:
    """Publish a finished run, or with `dry_run` tell what would be published without touching the network.

    The endpoint is HF_ENDPOINT, the token HF_TOKEN or what `hf auth login` stored.

    Raises:
        InvalidArgument: repo_id, revision or message cannot be used, or the folder holds no finished run.
        UnsafePath: a file to publish is a link or not a regular file.
        HubAuth: there is no token, or not one that may write there.
        HubRefused: the repository is public and `private` was asked, a secret would have been published, or
            the Hub said no.
        HubUnavailable: the Hub could not be reached, after several attempts.
    """
    _check(inputs)
    endpoint = _endpoint()
    card = model_card(inputs.card, inputs.repo_id)
    with chosen_files(inputs.folder, card, inputs.card.base_model_kind) as uploads:
        _refuse_secrets(inputs, uploads)
        files = tuple(upload.file for upload in uploads)
        if inputs.dry_run:
            report(f"Dry run: {len(files)} files would be pushed to {inputs.repo_id}")
            url = _url(endpoint, inputs.repo_id, inputs.revision)
            return PushOutcome(inputs.repo_id, url, files, commit=None, private=inputs.private, dry_run=True)
        disable_progress_bars()  # the job has its own way to tell how far it is
        return _Publisher(inputs, uploads, files, endpoint, _api(endpoint), backoff, report).publish()


@dataclass
class _Publisher:
    """One push. Each method is a step that may be repeated."""

    inputs: PushInputs
    uploads: list[Upload]
    files: tuple[PushedFile, ...]
    endpoint: str
    api: Any
    backoff: Backoff
    report: Report
    repo_id: str = field(init=False)
    created: bool = False

    def publish(self) -> PushOutcome:
        inputs = self.inputs
        self.repo_id = self._full_repo_id()
        private = self._repository()
        branch = inputs.revision or _MAIN
        if branch != _MAIN:
            self._step("making the branch", self._make_branch)
        before = self._step("reading the branch", lambda: self._info(branch)).sha
        total_bytes = sum(file.size_bytes for file in self.files)
        self.report(f"Pushing {len(self.files)} files, {total_bytes / 1e6:.1f} MB, to {self.repo_id}")
        commit = str(self._step("uploading", self._commit))
        return PushOutcome(
            repo_id=self.repo_id,
            url=_url(self.endpoint, self.repo_id, inputs.revision),
            files=self.files,
            commit=commit,
            private=private,
            dry_run=False,
            created=self.created,
            unchanged=commit == before,
        )

    def _full_repo_id(self) -> str:
        """A bare name would be looked up among the Hub's own models rather than among the user's."""
        if "/" in self.inputs.repo_id:
            return self.inputs.repo_id
        user = self._step("asking whose token this is", self.api.whoami)
        return f"{user['name']}/{self.inputs.repo_id}"

    def _repository(self) -> bool:
        """Make sure that the repository is there and as private as was asked; whether it is private."""
        self._refuse_public(self._step("looking for the repository", self._info_if_there))
        if self.created:
            self.report(f"Creating {self.repo_id}, {'private' if self.inputs.private else 'public'}")
            self._step("creating the repository", self._create)
        # Read again what is true: somebody may have been faster, or an organisation's rules may have decided.
        found = self._step("checking the repository", self._info)
        self._refuse_public(found)
        return found.private is True

    def _refuse_public(self, found: Any) -> None:
        if found is not None and self.inputs.private and found.private is not True:
            raise HubRefused(
                f"{self.repo_id} is public, and this push is to be private. Nothing was uploaded.",
                "Choose another repo_id, make the repository private on the Hub, or, if the person agrees "
                "that everyone may read it, pass private=false.",
            )

    def _info(self, revision: str | None = None) -> Any:
        return self.api.model_info(self.repo_id, revision=revision, timeout=INFO_TIMEOUT_S)

    def _info_if_there(self) -> Any:
        try:
            return self._info()
        except OSError as error:
            if status_of(error) != 404:
                raise
            self.created = True
            return None

    def _create(self) -> None:
        self.api.create_repo(self.repo_id, repo_type="model", private=self.inputs.private, exist_ok=True)

    def _make_branch(self) -> None:
        self.api.create_branch(self.repo_id, branch=self.inputs.revision, exist_ok=True)

    def _commit(self) -> Any:
        # New operations for each attempt: used ones remember what the Hub held before the first attempt, and
        # would repeat a commit whose answer was lost.
        operations = [
            CommitOperationAdd(path_in_repo=upload.file.path, path_or_fileobj=upload.content)
            for upload in self.uploads
        ]
        message = self.inputs.message or f"Publish {self.repo_id.split('/')[-1]}"
        done = self.api.create_commit(
            self.repo_id, operations, commit_message=message, revision=self.inputs.revision or _MAIN
        )
        return done.oid

    def _step(self, doing: str, action: Callable[[], T]) -> T:
        def with_timeouts() -> T:
            # Each time anew: the client drops its session when a connection fails.
            get_session().timeout = TRANSFER_TIMEOUTS_S
            return action()

        return self.backoff.call(
            with_timeouts,
            doing=f"{doing} ({self.inputs.repo_id})",
            endpoint=_shown(self.endpoint),
            report=self.report,
        )


def _check(inputs: PushInputs) -> None:
    repo_id, revision, message = inputs.repo_id, inputs.revision, inputs.message
    for name, value in (("repo_id", repo_id), ("revision", revision), ("message", message)):
        if value and SECRET.search(value):
            raise InvalidArgument(
                f"{name} holds something that looks like a token.", f"Push with another {name}."
            )
    try:
        validate_repo_id(repo_id)
    except HFValidationError:
        valid = False
    else:
        valid = bool(repo_id) and repo_id.split("/")[0] not in _RESERVED_NAMESPACES
    if not valid:
        raise InvalidArgument(
            f"{repo_id!r} is not the id of a model repository.",
            "Pass repo_id as namespace/name or name, of letters, digits, '-', '_' and '.'.",
        )
    if revision is not None and (
        not _BRANCH.fullmatch(revision)
        or ".." in revision
        or revision.startswith("refs/")
        or revision.endswith((".lock", ".", "/"))
        or _COMMIT_ID.fullmatch(revision)
    ):
        raise InvalidArgument(
            f"{revision!r} is not the name of a branch.", "Pass a branch such as main or v1."
        )
    if message is not None and not 0 < len(message.strip()) <= _MESSAGE_LENGTH:
        raise InvalidArgument(
            f"message has {len(message)} characters.", f"Pass 1 to {_MESSAGE_LENGTH} characters, or none."
        )


def _refuse_secrets(inputs: PushInputs, uploads: list[Upload]) -> None:
    """A last look at everything readable: a token in a configuration would be public for ever."""
    token = os.environ.get("HF_TOKEN", "").strip()
    for upload in uploads:
        if isinstance(upload.content, str):
            continue
        text = upload.content.decode(errors="replace")
        if SECRET.search(text) or (token and token in text):
            raise HubRefused(
                f"{upload.file.path} holds something that looks like an access token. Nothing was uploaded.",
                f"Remove it from {upload.file.path} in {inputs.folder.name}, and revoke that token.",
            )


def _api(endpoint: str) -> Any:
    try:
        token = get_token()
    except Exception as error:
        told = translated(error, "getting a token", _shown(endpoint))
        if told is None:
            raise
        raise told from None
    if not token:
        raise no_token()
    return HfApi(endpoint=endpoint, token=token, library_name="tunesmith", library_version=__version__)


def _endpoint() -> str:
    """Read when it is needed: the client's own constant is as old as its import."""
    return (os.environ.get("HF_ENDPOINT") or constants.ENDPOINT).rstrip("/")


def _shown(endpoint: str) -> str:
    """An address without a user name or password in it."""
    parts = urlsplit(endpoint)
    return urlunsplit((parts.scheme, parts.netloc.rpartition("@")[2], parts.path, "", ""))


def _url(endpoint: str, repo_id: str, revision: str | None) -> str:
    branch = "" if revision in (None, _MAIN) else f"/tree/{quote(revision or '', safe='')}"
    return f"{_shown(endpoint)}/{repo_id}{branch}"
