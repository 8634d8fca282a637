"""One store for each file, and a canary outside of whatever its servers may read."""

from __future__ import annotations

import json
import secrets
from collections.abc import Iterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
from mcp import MCPError

from tests.conftest import end_processes
from tests.support.server import Talk, talk_to
from tunesmith import demo
from tunesmith.jobs.paths import Store


class Witness(Talk):
    """Keeps all that it was told."""

    def __init__(self, client: Any, told: list[str]) -> None:
        super().__init__(client)
        self.told = told

    async def raw(self, tool: str, **arguments: Any) -> Any:
        result = await super().raw(tool, **arguments)
        self.told.append(result.model_dump_json())
        return result

    async def read(self, uri: str) -> str:
        """A resource's text, or that of the error."""
        try:
            text = (await self.client.read_resource(uri)).contents[0].text
        except MCPError as error:
            text = f"refused: {error}"
        self.told.append(text)
        return text


@dataclass
class Place:
    """`inside` may be read, and holds the store; `outside` may not, and holds nothing but canaries."""

    inside: Path
    outside: Path
    canary: str
    told: list[str] = field(default_factory=list)

    @property
    def store(self) -> Path:
        return self.inside / "store"

    @property
    def rows(self) -> Path:
        return self.inside / "rows.jsonl"

    @asynccontextmanager
    async def talk(self, **more: str) -> Any:
        """A conversation with a server whose only other roots are its current folder and a home without files."""
        home = self.inside / "home"
        home.mkdir(exist_ok=True)
        async with talk_to(self.store, HOME=str(home), TUNESMITH_HOST_IDLE_S="90", **more) as talk:
            yield Witness(talk.client, self.told)

    def files_with_the_canary(self) -> list[Path]:
        """Below what the server may write."""
        found = [path for path in self.inside.rglob("*") if path.is_file() and not path.is_symlink()]
        return [path for path in found if self.canary.encode() in path.read_bytes()]


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Place]:
    folder = tmp_path_factory.mktemp("place")
    found = Place(folder / "inside", folder / "outside", f"canary{secrets.token_hex(8)}")
    found.inside.mkdir()
    found.outside.mkdir()
    found.rows.write_text("".join(demo.dataset_path().read_text().splitlines(keepends=True)[:120]))
    row = {"instruction": f"What is {found.canary}?", "response": found.canary}
    (found.outside / "secret.jsonl").write_text(f"{json.dumps(row)}\n" * 20)
    (found.outside / "secret.jinja").write_text(found.canary + "{{ messages }}")
    yield found
    end_processes(Store(found.store))
