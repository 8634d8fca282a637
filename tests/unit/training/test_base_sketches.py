from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from tests.support.hub_stub import HubStub
from tunesmith.training.base_model import fingerprint
from tunesmith.training.facts import read_model_facts

_LOOK = """
import json, sys
from pathlib import Path
from tunesmith.schemas.errors import TunesmithError
from tunesmith.training.base_model import resolve_base
from tunesmith.training.base_sketch import sketch_base
from tunesmith.training.facts import read_model_facts
into = Path(sys.argv[1])
told = []
for name in ("alice/base", "alice/shards", "alice/pickled", "alice/gated"):
    try:
        sketch = sketch_base(name, into / name.rpartition("/")[2])
    except TunesmithError as error:
        told.append([name, error.code])
        continue
    facts = read_model_facts(sketch.folder)
    weights = sorted(sketch.folder.glob("*.safetensors"))
    told.append([name, sketch.revision, sketch.fingerprint, facts.parameters, facts.stored_bytes,
                 sum(file.stat().st_size for file in weights)])
whole = resolve_base("hub", "alice/base", None, told[0][1])
told.append(["fetched", whole.revision, whole.fingerprint])
print(json.dumps([told, str(sketch_base("alice/base", into / "again").folder), str(whole.folder)]))
"""


@pytest.fixture(scope="module")
def looked_at(base: Path, tmp_path_factory: pytest.TempPathFactory) -> Any:
    """What a process with an empty cache learns of a model, of one in two files, and of two that it may not have."""
    folder = tmp_path_factory.mktemp("hub")
    files = {entry.name: entry.read_bytes() for entry in base.iterdir() if entry.is_file()}
    whole = files.pop("model.safetensors")
    names = ["model-1-of-2.safetensors", "model-2-of-2.safetensors"]
    index = json.dumps({"weight_map": {"a": names[0], "b": names[1]}}).encode()
    with HubStub() as hub:
        hub.add_repo("alice/base", files={**files, "model.safetensors": whole})
        shards = {names[0]: whole, names[1]: whole, "model.safetensors.index.json": index}
        hub.add_repo("alice/shards", files={**files, **shards})
        hub.add_repo("alice/pickled", files={**files, "pytorch_model.bin": b"\x80\x04."})
        hub.add_repo("acme-else/gated", files={**files, "model.safetensors": whole}, gated=True)
        environment = {**os.environ, "HF_ENDPOINT": hub.url, "HF_HOME": str(folder / "cache")}
        environment |= {"HF_TOKEN": hub.token, "HF_HUB_DISABLE_XET": "1"}
        environment.pop("HF_HUB_OFFLINE", None)
        code = _LOOK.replace("alice/gated", "acme-else/gated")
        child = subprocess.run(
            [sys.executable, "-c", code, str(folder / "sketches")],
            capture_output=True,
            text=True,
            check=False,
            env=environment,
            timeout=120,
        )
        assert child.returncode == 0, child.stderr[-3000:]
        told, again, fetched = json.loads(child.stdout.splitlines()[-1])
        asked = [request.range for request in hub.requests if request.path.endswith(".safetensors")]
        yield {"told": told, "again": again, "fetched": fetched, "ranges": asked, "base": base}


def test_a_hub_model_is_known_from_the_heads_of_its_weights(looked_at: Any) -> None:
    name, revision, found, parameters, stored, size = looked_at["told"][0]
    facts = read_model_facts(looked_at["base"])

    assert (name, parameters, stored) == ("alice/base", facts.parameters, facts.stored_bytes)
    assert size == (looked_at["base"] / "model.safetensors").stat().st_size
    assert found == fingerprint(looked_at["base"])
    assert looked_at["ranges"][0] == "bytes=0-99999"
    assert looked_at["told"][-1] == ["fetched", revision, found]


def test_a_model_in_several_files_is_known_from_all_their_heads(looked_at: Any) -> None:
    one, two = looked_at["told"][0], looked_at["told"][1]

    assert (two[3], two[4]) == (2 * one[3], 2 * one[4])


def test_a_hub_model_that_may_not_be_had_is_told_as_such(looked_at: Any) -> None:
    assert looked_at["told"][2][1] in ("model_not_found", "unsafe_model")
    assert looked_at["told"][3] == ["acme-else/gated", "hub_auth"]


def test_weights_are_fetched_after_a_sketch_and_are_then_looked_at_in_the_cache(looked_at: Any) -> None:
    assert looked_at["again"] == looked_at["fetched"]
