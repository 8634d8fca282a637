"""No parameter takes a URL, and none makes this machine connect to anything."""

from __future__ import annotations

import socket
import threading

import pytest

from tests.support.server import talk_to

pytestmark = [pytest.mark.anyio, pytest.mark.row("S18")]

REFUSALS = ("invalid_argument: ", "unsafe_path: ", "source_not_found: ", "model_not_found: ")


class Listener:
    """Counts who connects to a port of this machine."""

    def __init__(self) -> None:
        self._socket = socket.create_server(("127.0.0.1", 0))
        self.port = self._socket.getsockname()[1]
        self.connections = 0
        self._thread = threading.Thread(target=self._accept, daemon=True)
        self._thread.start()

    def _accept(self) -> None:
        while True:
            try:
                connection, _ = self._socket.accept()
            except OSError:
                return
            self.connections += 1
            connection.close()

    def close(self) -> None:
        self._socket.shutdown(socket.SHUT_RDWR)
        self._socket.close()
        self._thread.join(5)


@pytest.fixture
def listener():
    found = Listener()
    yield found
    found.close()


def urls(port):
    place = f"127.0.0.1:{port}"
    return [
        f"http://{place}/x.jsonl",
        f"https://{place}/x.jsonl",
        f"HTTP://{place}/x.csv",
        f"http://user:password@{place}/x.jsonl",
        f"http://[::ffff:127.0.0.1]:{port}/x",
        "http://169.254.169.254/latest/meta-data",
        f"ftp://{place}/x.jsonl",
        f"s3://{place}/bucket/x.parquet",
        f"hf://datasets/{place}/x",
        "file:///etc/passwd",
        f"file://{place}/x.jsonl",
        f"zip://x.csv::http://{place}/x.zip",
        f"simplecache::http://{place}/x.csv",
        f"http://{place}/*.jsonl",
        f"./rows.jsonl, http://{place}/x.jsonl",
        f"//{place}/x.jsonl",
        rf"\\{place}\x.jsonl",
        f"{place}/x",
        f"http:/{place}/x.jsonl",
        f"http:{place}",
        f"git+ssh://{place}/x",
        "data:text/csv,a",
    ]


TAKERS = [
    ("load_dataset", "source", {}),
    ("load_dataset", "base_model", {"source": "demo"}),
    ("load_dataset", "harm_classifier", {"source": "demo"}),
    ("evaluate_model", "model", {"golden_set_id": "gold-aaaaaaaaaaaaaaaa"}),
    ("generate_text", "model", {"prompts": ["x"]}),
    ("compare_models", "a", {"b": "demo", "prompts": ["x"]}),
    ("compare_models", "b", {"a": "demo", "prompts": ["x"]}),
    ("configure_lora", "base_model", {"dataset_id": "ds-aaaaaaaaaaaaaaaa"}),
]


async def test_a_url_is_refused_wherever_a_model_or_rows_are_named(store_path, listener):
    # Also the Hub is that port: an id that slipped through would be asked for there.
    place = f"http://127.0.0.1:{listener.port}"
    async with talk_to(store_path, HF_ENDPOINT=place, HTTP_PROXY=place, HTTPS_PROXY=place) as talk:
        for tool, parameter, others in TAKERS:
            for url in urls(listener.port):
                text = await talk.error(tool, **{**others, parameter: url})
                assert text.startswith(REFUSALS), (tool, url, text)
                assert "password" not in text
    assert listener.connections == 0


async def test_a_server_that_does_nothing_connects_to_nothing(store_path, listener):
    place = f"http://127.0.0.1:{listener.port}"
    async with talk_to(store_path, HF_ENDPOINT=place, HTTP_PROXY=place, HTTPS_PROXY=place) as talk:
        await talk.client.list_tools()
        await talk("list_runs")
        await talk("load_dataset", source="demo")
    assert listener.connections == 0


async def test_no_tool_has_a_parameter_for_an_address(store_path):
    async with talk_to(store_path) as talk:
        tools = (await talk.client.list_tools()).tools
    for tool in tools:
        for name, schema in tool.input_schema["properties"].items():
            assert not set(name.split("_")) & {
                "url",
                "uri",
                "endpoint",
                "host",
                "webhook",
                "proxy",
                "callback",
            }
            assert schema.get("format") != "uri"
            assert "http" not in schema.get("description", "").lower()
