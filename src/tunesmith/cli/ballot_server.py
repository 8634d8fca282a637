"""A server for a person's votes on one comparison: on the loopback address, behind a random path."""

from __future__ import annotations

import secrets
import threading
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qs, urlsplit

from tunesmith.jobs.paths import HandlePaths
from tunesmith.reports.ballot_page import POLICY, outcome_page, pair_page
from tunesmith.schemas.comparisons import AnswerPair, AnswerPairs, Choice
from tunesmith.schemas.errors import InvalidArgument, TunesmithError
from tunesmith.tools.ballot import Ballot, cast, open_ballot
from tunesmith.tools.compare_models import result_for

_ADDRESS = "127.0.0.1"
_MOST_BODY_BYTES = 1000
_CHOICES: dict[str, Choice] = {"first": "first", "second": "second", "tie": "tie"}
_PATIENCE_S = 10.0
"""For a browser that opens connections ahead of need and says nothing."""
_HEADERS = {
    "Content-Type": "text/html; charset=utf-8",
    "Content-Security-Policy": f"{POLICY}; frame-ancestors 'none'",
    "Cache-Control": "no-store",
    # The path is a secret. With no-referrer a form's Origin would be null, and could not be checked.
    "Referrer-Policy": "same-origin",
    "X-Content-Type-Options": "nosniff",
}


class BallotServer(ThreadingHTTPServer):
    """Serves the pairs that the person has not voted on, and the outcome once there are none."""

    daemon_threads = True

    def __init__(self, paths: HandlePaths, answers: AnswerPairs) -> None:
        super().__init__((_ADDRESS, 0), _Handler)
        self.paths, self.answers = paths, answers
        self.token = secrets.token_urlsafe(24)
        self.host = f"{_ADDRESS}:{self.server_port}"
        self.voting = threading.Lock()
        self.outcome_shown = threading.Event()

    @property
    def url(self) -> str:
        return f"http://{self.host}/{self.token}/"

    @property
    def ballot(self) -> Ballot:
        """The votes as they stand now; others may be voting too."""
        return open_ballot(self.paths, self.answers)

    def handle_error(self, request: Any, client_address: Any) -> None:
        """A browser that hangs up is no news to the person at the terminal."""


class _Handler(BaseHTTPRequestHandler):
    server: BallotServer
    timeout = _PATIENCE_S

    def do_GET(self) -> None:
        if not self._is_for_us():
            return
        ballot = self.server.ballot
        result = result_for(ballot, "person")
        if result.outcome is not None:
            self._page(outcome_page(ballot, result.outcome, result.notes))
            self.server.outcome_shown.set()
            return
        pair = self._pair(ballot) or ballot.pending("person")[0]
        self._page(pair_page(ballot, pair, _before(ballot, pair)))

    def do_POST(self) -> None:
        if not self._is_for_us():
            return
        size = self.headers.get("Content-Length", "")
        if not size.isdecimal() or len(size) > 9 or int(size) > _MOST_BODY_BYTES:
            self._refuse(HTTPStatus.REQUEST_ENTITY_TOO_LARGE)
            return
        sent = parse_qs(self.rfile.read(int(size)).decode("ascii", "replace")).get("choice", [""])[0]
        choice = _CHOICES.get(sent)
        with self.server.voting:
            ballot = self.server.ballot
            pair = self._pair(ballot)
            if pair is None or choice is None:
                self._refuse(HTTPStatus.BAD_REQUEST)
                return
            try:
                cast(self.server.paths, ballot, {str(pair.pair): choice}, "person", "page")
            except InvalidArgument:
                self._refuse(HTTPStatus.CONFLICT)
                return
            except TunesmithError:  # the disk takes no vote
                self._refuse(HTTPStatus.INSUFFICIENT_STORAGE)
                return
        self.send_response(HTTPStatus.SEE_OTHER)
        self.send_header("Location", f"/{self.server.token}/")
        self.send_header("Content-Length", "0")
        self.end_headers()

    def log_message(self, format: str, *args: object) -> None:
        """The terminal is for the person."""

    def _is_for_us(self) -> bool:
        """Whether it comes from our page: it knows the path, asks for this very address (which a name that was made to
        lead here would not), and no other page has sent it."""
        path = urlsplit(self.path).path
        ours = secrets.compare_digest(path.encode(), f"/{self.server.token}/".encode())
        if self.headers.get("Host") != self.server.host or not ours:
            self._refuse(HTTPStatus.NOT_FOUND)
            return False
        if self.headers.get("Origin", f"http://{self.server.host}") != f"http://{self.server.host}":
            self._refuse(HTTPStatus.FORBIDDEN)
            return False
        return True

    def _pair(self, ballot: Ballot) -> AnswerPair | None:
        named = parse_qs(urlsplit(self.path).query).get("pair", [""])[0]
        return next((pair for pair in ballot.asked if str(pair.pair) == named), None)

    def _page(self, text: str) -> None:
        content = text.encode()
        self.send_response(HTTPStatus.OK)
        for name, value in _HEADERS.items():
            self.send_header(name, value)
        self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        self.wfile.write(content)
        self.wfile.flush()

    def _refuse(self, status: HTTPStatus) -> None:
        self.send_response(status)
        self.send_header("Content-Type", "text/plain")
        self.send_header("Content-Length", "0")
        self.end_headers()


def _before(ballot: Ballot, pair: AnswerPair) -> AnswerPair | None:
    place = ballot.asked.index(pair)
    return ballot.asked[place - 1] if place else None
