from __future__ import annotations

from collections.abc import Iterator

import pytest

pytest.importorskip("huggingface_hub")

from huggingface_hub import constants

from tests.support.hub_stub import HubStub


@pytest.fixture
def hub(monkeypatch: pytest.MonkeyPatch) -> Iterator[HubStub]:
    """A Hub that this process's client talks to, without a token."""
    with HubStub() as stub:
        monkeypatch.setattr(constants, "ENDPOINT", stub.url)
        monkeypatch.setattr(constants, "HF_HUB_OFFLINE", False)
        monkeypatch.setenv("HF_TOKEN", "")
        monkeypatch.setattr(constants, "HF_TOKEN_PATH", "/nowhere/token")
        yield stub
