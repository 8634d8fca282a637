"""Pushing through the real client to a Hub stub."""

from __future__ import annotations

import hashlib
import json
import logging
import socket
from pathlib import Path

import pytest

from tests.support.hub_stub import HubStub
from tests.unit.publishing.conftest import CANARY, EXPECTED, ROW, Pusher, point_at
from tunesmith.schemas.errors import (
    HubAuth,
    HubRefused,
    HubUnavailable,
    InvalidArgument,
    TunesmithError,
    UnsafePath,
)


def test_a_push_creates_a_private_repository_with_exactly_the_allowed_files(
    hub: HubStub, pushed: Pusher
) -> None:
    outcome = pushed()
    repo = hub.repos["alice/tickets"]
    assert repo.private and outcome.private and outcome.created and not outcome.unchanged
    assert sorted(repo.files) == EXPECTED == [file.path for file in outcome.files]
    assert len(repo.commits) == 1 and outcome.commit == repo.commits[0].oid
    assert outcome.url == f"{hub.url}/alice/tickets"
    for file in outcome.files:
        content = repo.files[file.path]
        assert (file.size_bytes, file.sha256) == (len(content), hashlib.sha256(content).hexdigest())


def test_a_dry_run_lists_what_a_push_would_send_and_asks_the_hub_nothing(
    hub: HubStub, pushed: Pusher, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*_: object) -> None:
        raise AssertionError("a dry run must not open a socket")

    with monkeypatch.context() as offline:
        offline.setattr(socket.socket, "connect", refuse)
        offline.delenv("HF_TOKEN")
        planned = pushed(dry_run=True)
    assert hub.requests == [] and hub.repos == {}
    assert planned.commit is None and planned.dry_run and planned.private
    assert planned.files == pushed().files
    assert planned.url == f"{hub.url}/alice/tickets"


def test_private_false_makes_a_public_repository(hub: HubStub, pushed: Pusher) -> None:
    assert not pushed(private=False).private
    assert not hub.repos["alice/tickets"].private


def test_an_existing_public_repository_is_refused_and_nothing_is_uploaded(
    hub: HubStub, pushed: Pusher
) -> None:
    repo = hub.add_repo("alice/tickets", private=False)
    with pytest.raises(HubRefused, match=r"is public.*private=false"):
        pushed()
    assert repo.commits == [] and hub.asked("PUT", "_lfs") == []


def test_a_public_repository_is_used_when_public_was_asked(hub: HubStub, pushed: Pusher) -> None:
    hub.add_repo("alice/tickets", private=False)
    outcome = pushed(private=False)
    assert not outcome.private and not outcome.created


def test_an_existing_private_repository_stays_private_whatever_was_asked(
    hub: HubStub, pushed: Pusher
) -> None:
    hub.add_repo("alice/tickets", private=True)
    assert pushed(private=False).private
    assert hub.repos["alice/tickets"].private


def test_a_repository_that_turns_out_public_after_its_creation_gets_nothing(
    hub: HubStub, pushed: Pusher
) -> None:
    hub.add_repo("alice/tickets", private=False)
    hub.fail_next("^/api/models/alice/tickets$", 404)
    with pytest.raises(HubRefused, match="is public"):
        pushed()
    assert hub.repos["alice/tickets"].commits == []


def test_a_bare_name_is_the_users_own_and_never_the_hubs(hub: HubStub, pushed: Pusher) -> None:
    gpt2 = hub.add_repo("gpt2")
    assert pushed(repo_id="gpt2").repo_id == "alice/gpt2"
    assert gpt2.commits == [] and hub.repos["alice/gpt2"].private


def test_pushing_the_same_again_makes_no_second_commit(hub: HubStub, pushed: Pusher) -> None:
    first = pushed()
    again = pushed()
    assert again.unchanged and again.commit == first.commit
    assert len(hub.repos["alice/tickets"].commits) == 1


def test_a_changed_file_makes_one_more_commit_with_that_message(
    hub: HubStub, pushed: Pusher, folder: Path
) -> None:
    pushed()
    (folder / "adapter_model.safetensors").write_bytes(b"better")
    assert not pushed(message="Second try").unchanged
    commits = hub.repos["alice/tickets"].commits
    assert [commit.title for commit in commits] == ["Publish tickets", "Second try"]


def test_a_revision_is_a_branch_that_is_made_where_it_is_missing(hub: HubStub, pushed: Pusher) -> None:
    outcome = pushed(revision="v1/beta")
    repo = hub.repos["alice/tickets"]
    assert sorted(repo.files_at("v1/beta")) == EXPECTED and repo.files == {}
    assert outcome.url == f"{hub.url}/alice/tickets/tree/v1%2Fbeta"
    assert pushed(revision="v1/beta").unchanged


@pytest.mark.parametrize(
    ("path", "method"),
    [
        ("^/api/repos/create$", "POST"),
        ("^/api/models/alice/tickets$", "GET"),
        ("^/api/validate-yaml$", "POST"),
        ("/preupload/", "POST"),
        ("/info/lfs/objects/batch$", "POST"),
        ("^/_lfs/", "PUT"),
        ("/commit/main$", "POST"),
        ("/branch/v2$", "POST"),
    ],
)
@pytest.mark.parametrize("fault", ["500", "429", "reset", "answer lost"])
def test_after_two_faults_there_is_one_repository_with_one_commit(
    hub: HubStub, pushed: Pusher, path: str, method: str, fault: str
) -> None:
    if fault == "reset":
        hub.reset_next(path, 2, method=method)
    elif fault == "answer lost":
        hub.reset_next(path, 2, method=method, after=True)
    else:
        hub.fail_next(path, int(fault), 2, method=method)
    branch = "v2" if "branch" in path else "main"
    outcome = pushed(revision=branch)
    assert list(hub.repos) == ["alice/tickets"] and hub.repos["alice/tickets"].private
    commits = hub.repos["alice/tickets"].commits
    assert [commit.oid for commit in commits] == [outcome.commit]
    assert sorted(hub.repos["alice/tickets"].files_at(branch)) == EXPECTED


@pytest.mark.parametrize("asked", ["7", "0"])
def test_waits_grow_and_are_told_and_the_servers_own_wish_wins(
    hub: HubStub, pushed: Pusher, waits: list[float], reports: list[str], asked: str
) -> None:
    hub.fail_next("^/api/models/", 503, 2)
    hub.fail_next("^/api/models/", 429, 1, headers={"Retry-After": asked})
    pushed()
    assert waits == [1.0, 2.0, float(asked)]
    assert any("attempt 2 of 4 in 1 s" in line for line in reports)


def test_a_hub_that_keeps_failing_is_hub_unavailable(
    hub: HubStub, pushed: Pusher, waits: list[float]
) -> None:
    hub.fail_next("^/api/models/", 503, 99)
    with pytest.raises(HubUnavailable, match="503") as caught:
        pushed()
    assert caught.value.code == "hub_unavailable" and "again" in caught.value.recovery
    assert len(waits) == 3


def test_an_endpoint_where_nobody_listens_is_hub_unavailable_with_a_next_step(
    pushed: Pusher, monkeypatch: pytest.MonkeyPatch
) -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
    point_at(f"http://someone:pass@127.0.0.1:{port}", monkeypatch)
    monkeypatch.setenv("HF_TOKEN", CANARY)
    with pytest.raises(HubUnavailable, match=f"http://127.0.0.1:{port} could not be reached") as caught:
        pushed()
    assert "HF_ENDPOINT" in caught.value.recovery and "pass" not in str(caught.value)


def test_offline_mode_is_hub_unavailable_at_once(
    hub: HubStub, pushed: Pusher, monkeypatch: pytest.MonkeyPatch, waits: list[float]
) -> None:
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", True)
    with pytest.raises(HubUnavailable, match="HF_HUB_OFFLINE"):
        pushed()
    assert hub.requests == [] and waits == []


def test_no_token_is_hub_auth_before_any_request(
    hub: HubStub, pushed: Pusher, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("HF_TOKEN")
    with pytest.raises(HubAuth, match="HF_TOKEN"):
        pushed()
    assert hub.requests == []


def test_a_token_the_hub_does_not_know_is_hub_auth(
    hub: HubStub, pushed: Pusher, monkeypatch: pytest.MonkeyPatch, waits: list[float]
) -> None:
    monkeypatch.setenv("HF_TOKEN", "hf_WrongWrongWrongWrongWrongWrong")
    with pytest.raises(HubAuth, match="401") as caught:
        pushed()
    assert "HF_TOKEN" in caught.value.recovery and waits == []


@pytest.mark.row("S10")
def test_a_hub_that_repeats_the_token_does_not_get_it_into_the_error(
    hub: HubStub, pushed: Pusher, monkeypatch: pytest.MonkeyPatch
) -> None:
    token = "a token without any usual form"
    monkeypatch.setenv("HF_TOKEN", token)
    hub.tokens[token] = next(iter(hub.tokens.values()))
    reply = json.dumps({"errors": [{"message": f"no: {token}"}], "warnings": []}).encode()
    hub.fail_next("validate-yaml", 400, body=reply)
    with pytest.raises(HubRefused) as caught:
        pushed()
    assert token not in str(caught.value) and "no: ***" in str(caught.value)


def test_somebody_elses_namespace_is_hub_auth(hub: HubStub, pushed: Pusher) -> None:
    with pytest.raises(HubAuth, match="403"):
        pushed(repo_id="bob/tickets")
    assert hub.repos == {}


def test_a_metadata_error_of_the_hub_is_hub_refused(hub: HubStub, pushed: Pusher) -> None:
    reply = json.dumps({"errors": [{"message": '"license" must be one of ...'}], "warnings": []}).encode()
    hub.fail_next("validate-yaml", 400, body=reply)
    with pytest.raises(HubRefused, match="license"):
        pushed()
    assert hub.repos["alice/tickets"].commits == []


@pytest.mark.row("S10")
def test_the_token_appears_nowhere_but_in_the_authorization_header(
    hub: HubStub,
    pushed: Pusher,
    reports: list[str],
    caplog: pytest.LogCaptureFixture,
    capfd: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("huggingface_hub.constants.HF_DEBUG", True)
    caplog.set_level(logging.DEBUG)
    monkeypatch.setattr(logging.getLogger("huggingface_hub"), "propagate", True)
    monkeypatch.setattr(logging.getLogger("huggingface_hub"), "level", logging.DEBUG)
    seen = [repr(pushed())]
    for status in (400, 401, 403, 500):
        hub.fail_next("^/api/models/alice/tickets$", status, 9 if status == 500 else 1, body=CANARY.encode())
        with pytest.raises(TunesmithError) as caught:
            pushed()
        error: BaseException | None = caught.value
        while error is not None:
            seen += [str(error), repr(error)]
            error = error.__cause__ or (None if error.__suppress_context__ else error.__context__)
        hub._faults.clear()  # pyright: ignore[reportPrivateUsage]
    seen += [*reports, caplog.text, *capfd.readouterr()]
    assert "Request" in caplog.text
    assert not [text for text in seen if CANARY in text]
    secret = CANARY.encode()
    assert not [request for request in hub.requests if secret in request.body or CANARY in request.path]
    assert not [path for path, content in hub.repos["alice/tickets"].files.items() if secret in content]
    assert {request.token for request in hub.asked("POST", "/commit/")} == {CANARY}
    assert {request.token for request in hub.asked("PUT", "^/_lfs/")} == {None}


@pytest.mark.parametrize("name", ["tokenizer_config.json", "plan.json"])
@pytest.mark.parametrize("dry_run", [True, False])
def test_a_file_with_a_token_in_it_is_refused(
    hub: HubStub, pushed: Pusher, folder: Path, name: str, dry_run: bool
) -> None:
    (folder / name).write_text(json.dumps({"config": {"auth": CANARY}}))
    with pytest.raises(HubRefused, match=name) as caught:
        pushed(dry_run=dry_run)
    assert CANARY not in str(caught.value) and hub.requests == []


def test_nothing_that_is_pushed_holds_a_row_or_a_path_of_this_machine(hub: HubStub, pushed: Pusher) -> None:
    pushed()
    for path, content in hub.repos["alice/tickets"].files.items():
        assert ROW.encode() not in content, path
        for piece in (b"/home", b"maria", b"my models", b"/srv"):
            assert piece not in content, (path, piece)


@pytest.mark.parametrize(
    "repo_id",
    [
        "",
        "a/b/c",
        "../x",
        "alice/..",
        "alice/x y",
        "datasets/x",
        "alice/x.git",
        "https://hf.co/a/b",
        "é/x",
        "a--b",
    ],
)
def test_an_impossible_repo_id_is_an_invalid_argument(pushed: Pusher, repo_id: str) -> None:
    with pytest.raises(InvalidArgument, match="repo_id"):
        pushed(repo_id=repo_id, dry_run=True)


@pytest.mark.parametrize(
    "revision", ["", "refs/pr/1", "a..b", "a b", "/x", "x/", "-x", "a.lock", "0" * 40, "a\nb"]
)
def test_an_impossible_revision_is_an_invalid_argument(pushed: Pusher, revision: str) -> None:
    with pytest.raises(InvalidArgument, match="branch"):
        pushed(revision=revision, dry_run=True)


def test_a_token_in_an_argument_is_refused_without_repeating_it(pushed: Pusher) -> None:
    with pytest.raises(InvalidArgument) as caught:
        pushed(message=f"with {CANARY}", dry_run=True)
    assert CANARY not in str(caught.value)


def test_a_link_among_the_files_stops_the_push_before_any_request(
    hub: HubStub, pushed: Pusher, folder: Path, tmp_path: Path
) -> None:
    secret = tmp_path / "id_rsa"
    secret.write_text("PRIVATE KEY")
    (folder / "vocab.txt").symlink_to(secret)
    with pytest.raises(UnsafePath, match=r"vocab\.txt is a symbolic link"):
        pushed()
    assert hub.requests == []
