"""What goes wrong between this machine and the Hub, in our own words.

The client's exceptions are not chained on: they carry the request, and with it the token.
"""

from __future__ import annotations

import json
import re

from huggingface_hub import get_token
from huggingface_hub.errors import (
    HfHubHTTPError,
    LocalTokenNotFoundError,
    OfflineModeIsEnabled,
    OIDCError,
)
from huggingface_hub.utils import httpx

from tunesmith.publishing.local_paths import without_paths
from tunesmith.schemas.errors import HubAuth, HubRefused, HubUnavailable, TunesmithError

TRANSIENT_STATUSES = frozenset({408, 412, 425, 429, 500, 502, 503, 504})
"""412 is the Hub's answer to a commit that another one overtook."""

LONGEST_SERVER_WORDS = 300
SECRET = re.compile(r"\b(hf|api_org)_[A-Za-z0-9]{20,}")

_LOGIN_ADVICE = (
    "Set HF_TOKEN to a token with write access in the environment that starts the server (or run "
    "`hf auth login` there), restart the server and push again. Never pass a token as an argument."
)


def status_of(error: BaseException) -> int | None:
    """The HTTP status behind an exception of the client, if there is one."""
    return error.response.status_code if isinstance(error, HfHubHTTPError) else None


def root(error: BaseException) -> BaseException:
    """The client wraps a failed upload in a plain RuntimeError; what matters is why."""
    while type(error) is RuntimeError and error.__cause__ is not None:
        error = error.__cause__
    return error


def is_transient(error: BaseException) -> bool:
    """Whether the same request may succeed in a moment."""
    error = root(error)
    status = status_of(error)
    if status is not None:
        return status in TRANSIENT_STATUSES
    # A gateway's error page where JSON was expected; Xet storage reports its network as RuntimeError.
    garbled = isinstance(error, json.JSONDecodeError) or type(error) is RuntimeError
    broken = isinstance(error, (httpx.TransportError, ConnectionError, TimeoutError))
    return (garbled or broken) and not isinstance(error, (OfflineModeIsEnabled, httpx.UnsupportedProtocol))


def asked_delay_s(error: BaseException) -> float | None:
    """The Retry-After of the reply, in seconds."""
    error = root(error)
    if not isinstance(error, HfHubHTTPError):
        return None
    value = error.response.headers.get("Retry-After", "")
    return float(value) if value.isdigit() else None


def translated(error: BaseException, doing: str, endpoint: str) -> TunesmithError | None:
    """The error to tell; None when the exception is not about the Hub, which makes it a bug of ours."""
    error = root(error)
    if isinstance(error, OfflineModeIsEnabled):
        return HubUnavailable(
            f"Offline mode is on, so {doing} was not possible.",
            "Unset HF_HUB_OFFLINE where the server is started, restart it, push again; dry_run needs no Hub.",
        )
    if (
        isinstance(error, (LocalTokenNotFoundError, OIDCError))
        or type(error).__name__ == "XetAuthenticationError"
    ):
        return HubAuth(f"The Hub needs a token for {doing}.", _LOGIN_ADVICE)
    status = status_of(error)
    if status is not None:
        return _from_status(status, _server_words(error), doing, endpoint)
    if is_transient(error) or isinstance(error, (httpx.HTTPError, httpx.InvalidURL)):
        return HubUnavailable(
            f"{endpoint} could not be reached for {doing} ({type(error).__name__}).",
            "Check the network connection, the proxy and HF_ENDPOINT, then push again: what is already "
            "there is not sent twice. If only uploads fail, a firewall may block Xet storage: start the "
            "server with HF_HUB_DISABLE_XET=1.",
        )
    if isinstance(error, ValueError):  # the client's own checks, such as the card's metadata
        return HubRefused(
            f"The Hub's client refused {doing}: {_cut(str(error))}", "Correct it and push again."
        )
    return None


def no_token() -> HubAuth:
    return HubAuth("There is no Hugging Face token in this process's environment.", _LOGIN_ADVICE)


def _from_status(status: int, words: str, doing: str, endpoint: str) -> TunesmithError:
    if status in (401, 403):
        why = "does not know the token" if status == 401 else "does not let this token do it"
        advice = (
            _LOGIN_ADVICE if status == 401 else f"Choose a repo_id in a namespace of yours. {_LOGIN_ADVICE}"
        )
        return HubAuth(f"{endpoint} answered {status} to {doing}: it {why}. {words}".strip(), advice)
    if status in TRANSIENT_STATUSES or status >= 500:
        return HubUnavailable(
            f"{endpoint} kept answering {status} to {doing}. {words}".strip(),
            "Push again in a few minutes: what is already there is not sent twice.",
        )
    return HubRefused(
        f"{endpoint} answered {status} to {doing}. {words}".strip(),
        "Check repo_id and revision, and try dry_run=true to see what would go up.",
    )


def _server_words(error: BaseException) -> str:
    return _cut(str(getattr(error, "server_message", None) or ""))


def _cut(text: str) -> str:
    """A server's words on one line, short, and without our token, anything that looks like one, or a path of ours."""
    token = get_token()
    if token:
        text = text.replace(token, "***")
    line = " ".join(SECRET.sub("***", without_paths(text)).split())
    return line if len(line) <= LONGEST_SERVER_WORDS else line[:LONGEST_SERVER_WORDS] + "…"
