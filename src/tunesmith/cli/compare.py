"""`tunesmith compare`: a page in the browser on which a person votes on two models' answers, blind."""

from __future__ import annotations

import sys
import threading
import webbrowser

from tunesmith.cli.ballot_server import BallotServer
from tunesmith.cli.observation import open_workspace
from tunesmith.schemas.comparisons import AnswerPairs
from tunesmith.schemas.errors import TunesmithError
from tunesmith.tools.ballot import Ballot, open_ballot
from tunesmith.tools.compare_models import describe, result_for


def compare(handle: str, *, browser: bool) -> int:
    """Serve the page until all pairs are voted or the person has enough; 2 when there is nothing to vote on."""
    workspace = open_workspace()
    try:
        answers = workspace.result(handle, "cmp", "comparison", AnswerPairs)
    except TunesmithError as error:
        print(error, file=sys.stderr)
        return 2
    paths = workspace.store.handle(handle)
    ballot = open_ballot(paths, answers)
    if ballot.pending("person"):
        with BallotServer(paths, answers) as server:
            print(f"Vote on this page: {server.url}", flush=True)
            print(
                "Only this machine can open it, until all pairs are voted. Ctrl-C ends it; votes stay.",
                flush=True,
            )
            _serve(server, browser=browser)
            ballot = server.ballot
    print(_told(ballot))
    return 0


def _serve(server: BallotServer, *, browser: bool) -> None:
    threading.Thread(target=server.serve_forever, daemon=True).start()
    try:
        if browser:
            webbrowser.open(server.url)
        server.outcome_shown.wait()
    except KeyboardInterrupt:
        pass
    finally:
        server.shutdown()


def _told(ballot: Ballot) -> str:
    """The outcome; or, while it is open, how far the votes are, without the pairs."""
    result = result_for(ballot, "person")
    return describe(result.model_copy(update={"pairs": [], "next": []}))
