"""A Hugging Face Hub on 127.0.0.1, so that the real client can be tested without a network.

It answers the endpoints that huggingface_hub and datasets call to read, create, upload and commit, keeps
its repositories in memory, remembers every request, and fails on demand.

There is no Xet storage behind it: clients have to run with HF_HUB_DISABLE_XET=1, which makes them upload over
plain LFS.

    with HubStub() as hub:
        hub.add_repo("acme/rows", type="dataset", files={"train.jsonl": b"..."})
        HfApi(endpoint=hub.url, token=hub.token).dataset_info("acme/rows")
"""

from __future__ import annotations

import os
import re
import socket
import struct
import threading
from collections.abc import Mapping
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, Self
from urllib.parse import parse_qs, urlsplit

from tests.support.hub_repos import Repo
from tests.support.hub_routes import Reply, Request, repo_key, route


@dataclass
class _Fault:
    pattern: re.Pattern[str]
    method: str | None
    reply: Reply | None  # None: the connection is reset
    after: bool
    left: int


class HubStub:
    """`tokens` maps each valid token to the namespaces it owns, the user's own first.

    With `require_token` even public reads need one. `repos` holds the state and `requests` what was asked,
    both of them live; `datasets/` stands before the key of a data set.
    """

    token = "hf_StubTokenOfAliceAAAAAAAAAAAAAAAAAAA"

    def __init__(
        self, *, tokens: Mapping[str, tuple[str, ...]] | None = None, require_token: bool = False
    ) -> None:
        self.tokens = dict(tokens) if tokens is not None else {self.token: ("alice", "acme")}
        self.require_token = require_token
        self.repos: dict[str, Repo] = {}
        self.requests: list[Request] = []
        self.blobs: dict[str, bytes] = {}
        self._faults: list[_Fault] = []
        self._lock = threading.RLock()
        stub = self

        class Handler(_Handler):
            hub = stub

        self._server = _Server(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self._server.server_address[1]}"
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.02,), daemon=True)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._server.shutdown()
        self._server.server_close()
        self._thread.join(timeout=5)

    def add_repo(
        self,
        repo_id: str,
        *,
        type: str = "model",
        private: bool = False,
        files: Mapping[str, bytes] | None = None,
        gated: bool = False,
        parameters: int | None = None,
    ) -> Repo:
        repo = Repo(repo_id, type, private, gated, parameters)
        repo.put(files or {})
        self.repos[repo_key(type, repo_id)] = repo
        return repo

    def fail_next(
        self,
        path_regex: str,
        status: int = 500,
        times: int = 1,
        *,
        method: str | None = None,
        headers: Mapping[str, str] | None = None,
        body: bytes = b"try again",
        after: bool = False,
    ) -> None:
        """Answer the next matching requests with `status`; with `after` the request still takes effect."""
        reply = Reply(status, body, {"Content-Type": "text/plain", **(headers or {})})
        self._faults.append(_Fault(re.compile(path_regex), method, reply, after, times))

    def reset_next(
        self, path_regex: str, times: int = 1, *, method: str | None = None, after: bool = False
    ) -> None:
        """Reset the connection instead of answering; with `after` only the answer is lost."""
        self._faults.append(_Fault(re.compile(path_regex), method, None, after, times))

    def asked(self, method: str, path_regex: str) -> list[Request]:
        return [r for r in self.requests if r.method == method and re.search(path_regex, r.path)]

    def answer(self, request: Request) -> Reply | None:
        """The reply, or None for a reset connection."""
        with self._lock:
            self.requests.append(request)
            fault = self._fault_for(request)
            if fault and not fault.after:
                return fault.reply
            reply = route(self, request)
            return fault.reply if fault else reply

    def _fault_for(self, request: Request) -> _Fault | None:
        for fault in self._faults:
            if fault.left and fault.method in (None, request.method) and fault.pattern.search(request.path):
                fault.left -= 1
                return fault
        return None


class _Server(ThreadingHTTPServer):
    daemon_threads = True

    def handle_error(self, request: Any, client_address: Any) -> None:
        """A client that hangs up is no news."""


class _Handler(BaseHTTPRequestHandler):
    hub: HubStub
    protocol_version = "HTTP/1.1"
    wbufsize = -1  # head and body leave in one packet: no wait for a delayed acknowledgement
    disable_nagle_algorithm = True
    timeout = 30

    def _serve(self) -> None:
        body = self._read_body()
        url = urlsplit(self.path)
        scheme, _, credentials = self.headers.get("Authorization", "").partition(" ")
        token = credentials if scheme == "Bearer" else None
        request = Request(
            self.command, url.path, parse_qs(url.query), token, body, self.headers.get("Range", "")
        )
        reply = self.hub.answer(request)
        if reply is None:
            self._reset()
            return
        self.send_response(reply.status)
        headers = {"Content-Length": str(len(reply.body)), "X-Request-Id": "stub", **reply.headers}
        for name, value in headers.items():
            self.send_header(name, value)
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(reply.body)

    do_GET = do_HEAD = do_POST = do_PUT = do_DELETE = _serve

    def _read_body(self) -> bytes:
        if "chunked" in self.headers.get("Transfer-Encoding", ""):
            parts: list[bytes] = []
            while size := int(self.rfile.readline().split(b";")[0], 16):
                parts.append(self.rfile.read(size))
                self.rfile.readline()
            self.rfile.readline()
            return b"".join(parts)
        return self.rfile.read(int(self.headers.get("Content-Length") or 0))

    def _reset(self) -> None:
        self.close_connection = True
        # Lingering for zero seconds makes close() send RST rather than FIN.
        self.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        os.close(self.connection.detach())

    def log_message(self, format: str, *args: object) -> None:
        """Tests read `HubStub.requests` instead."""
