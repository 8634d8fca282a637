"""The page on which a person votes, over HTTP as a browser speaks it."""

from __future__ import annotations

import http.client
import threading

import pytest

from tests.support.written_comparisons import pair, plain_pairs, write_comparison
from tunesmith.cli.ballot_server import BallotServer
from tunesmith.jobs.files import read_document
from tunesmith.jobs.paths import Store
from tunesmith.jobs.votes import read_votes
from tunesmith.schemas.comparisons import AnswerPairs
from tunesmith.tools.ballot import cast, open_ballot

HOSTILE = (
    "</pre><script>alert(1)</script><img src=x onerror=alert(2)>\x1b[31m\u202e&lt;b&gt;\"' onfocus=alert(3)"
)


@pytest.fixture
def serve(tmp_path):
    """Serves some pairs."""
    servers = []

    def start(pairs):
        paths = write_comparison(Store(tmp_path / "store"), pairs, other=tmp_path)
        server = BallotServer(paths, read_document(paths.result, AnswerPairs))
        threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True).start()
        servers.append(server)
        return server

    yield start
    for server in servers:
        server.shutdown()
        server.server_close()


def ask(server, method="GET", query="", body=None, path=None, **headers):
    connection = http.client.HTTPConnection("127.0.0.1", server.server_port, timeout=10)
    sent = {"Host": server.host, "Origin": f"http://{server.host}", **headers}
    connection.request(method, path or f"/{server.token}/{query}", body, sent)
    answer = connection.getresponse()
    text = answer.read().decode()
    connection.close()
    return answer, text


def vote(server, number, choice, **headers):
    return ask(server, "POST", f"?pair={number}", f"choice={choice}", **headers)[0].status


def test_votes_from_the_page_are_recorded_and_the_outcome_comes_last(serve):
    server = serve(plain_pairs(2))
    _, text = ask(server)
    assert "0 of 2 pairs voted" in text
    assert text.index("of a, 1") < text.index("of b, 1")
    assert "demo" not in text

    assert vote(server, 1, "first") == 303
    _, text = ask(server)
    assert "1 of 2 pairs voted" in text
    assert text.index("of b, 2") < text.index("of a, 2")
    assert 'href="?pair=1"' in text
    assert not server.outcome_shown.is_set()
    assert vote(server, 2, "tie") == 303

    _, text = ask(server)
    assert server.outcome_shown.wait(5)
    assert "75%" in text
    assert "you preferred demo" in text
    votes = read_votes(server.paths.votes)
    assert [(one.pair, one.choice, one.voter, one.how) for one in votes] == [
        (1, "first", "person", "page"),
        (2, "tie", "person", "page"),
    ]


def test_a_person_goes_on_where_the_votes_stand_and_may_go_back(serve):
    server = serve(plain_pairs(3))
    cast(server.paths, server.ballot, {"1": "tie"}, "person", "elicitation")
    cast(server.paths, server.ballot, {"2": "tie"}, "assistant", "votes")

    assert "Pair 2: asked" in ask(server)[1]
    assert "Pair 1: asked" in ask(server, query="?pair=1")[1]
    assert vote(server, 1, "second") == 303
    assert server.ballot.of("person")[1].choice == "second"


@pytest.mark.parametrize(
    ("change", "status"),
    [
        ({"path": "/"}, 404),
        ({"path": "/wrong-token/?pair=1"}, 404),
        ({"Host": "evil.example:80"}, 404),
        ({"Origin": "http://evil.example"}, 403),
        ({"Origin": "null"}, 403),
        ({"query": "?pair=9"}, 400),
        ({"body": "choice=best"}, 400),
        ({"body": "choice=first&x=" + "x" * 2000}, 413),
    ],
)
def test_what_does_not_come_from_the_page_records_nothing(serve, change, status):
    server = serve(plain_pairs(1))

    answer, text = ask(server, "POST", **{"query": "?pair=1", "body": "choice=first", **change})

    assert (answer.status, text) == (status, "")
    assert not server.paths.votes.exists()


def test_only_this_machine_can_connect_and_no_page_may_load_run_or_frame_anything(serve):
    server = serve(plain_pairs(1))

    answer, text = ask(server)

    assert server.server_address[0] == "127.0.0.1"
    policy = answer.headers["Content-Security-Policy"]
    assert policy.startswith("default-src 'none'; style-src 'unsafe-inline'; script-src 'sha256-")
    assert "frame-ancestors 'none'" in policy
    assert "http:" not in text.replace("http-equiv", "")
    assert answer.headers["Referrer-Policy"] == "same-origin"


def test_hostile_answers_are_inert_text_on_both_pages(serve):
    server = serve([pair(1, HOSTILE, f"b {HOSTILE}", reference=HOSTILE)])

    asked = ask(server)[1]
    vote(server, 1, "first")
    outcome = ask(server)[1]

    for text in (asked, outcome):
        assert "&lt;script&gt;alert(1)" in text
        assert "<img" not in text
        assert "<script>alert" not in text
        assert "\x1b" not in text
        assert "\u202e" not in text
    assert asked.count("<script>") == 1, "ours"
    assert outcome.count("<script>") == 0


def test_a_vote_that_would_change_a_told_result_is_refused(serve):
    server = serve(plain_pairs(1))
    assert vote(server, 1, "first") == 303

    assert vote(server, 1, "second") == 409
    assert open_ballot(server.paths, server.answers).of("person")[1].choice == "first"
