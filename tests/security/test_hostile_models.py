"""Base models that would run code when loaded, by their weights or by their configuration: refused, and nothing ran."""

from __future__ import annotations

import json
import pickle
import shutil
from pathlib import Path

import anyio
import pytest

from tests.support.server import talk_to
from tunesmith import demo
from tunesmith.jobs.paths import Store
from tunesmith.schemas.enums import Work

pytestmark = pytest.mark.anyio

CODE = "from pathlib import Path\nPath({ran!r}).write_text('ran')\n"
MAPPED = {
    "AutoConfig": "modeling.Config",
    "AutoModelForCausalLM": "modeling.Model",
    "AutoTokenizer": ["modeling.Slow", None],
}


class Payload:
    """Writes a file when it is unpickled."""

    def __init__(self, ran: Path) -> None:
        self.ran = ran

    def __reduce__(self):
        return exec, (CODE.format(ran=str(self.ran)),)


@pytest.fixture(scope="module")
def ran(place):
    """The file that appears when anything of a hostile model was run."""
    found = place.inside / "code-ran"
    pickle.loads(pickle.dumps(Payload(found)))
    assert found.exists(), "a payload that works"
    found.unlink()
    return found


@pytest.fixture(scope="module")
def dataset_id(place):
    async def load():
        async with place.talk() as talk:
            return (await talk("load_dataset", source=str(place.rows)))["dataset_id"]

    return anyio.run(load)


def copied(place, name):
    folder = place.inside / name
    shutil.copytree(demo.base_model_path(), folder)
    return folder


async def refused_everywhere(place, model, dataset_id, codes):
    """By each tool that takes a model; nothing is left in the store but what outlasted its call."""
    calls = {
        "configure_lora": {"base_model": str(model), "dataset_id": dataset_id},
        "load_dataset": {"source": str(place.rows), "base_model": str(model)},
        "generate_text": {"model": str(model), "prompts": ["x"]},
    }
    told = {}
    async with place.talk() as talk:
        for tool, arguments in calls.items():
            text = await talk.error(tool, **arguments)
            assert text.partition(":")[0] in codes, (tool, text)
            told[tool] = text
    return told


@pytest.mark.row("S8")
@pytest.mark.parametrize(
    "name", ["pytorch_model.bin", "model.pt", "consolidated.00.pth", "adapter_model.bin", "model.ckpt"]
)
async def test_weights_that_are_only_a_pickle_are_refused_and_never_loaded(place, ran, dataset_id, name):
    model = copied(place, f"only-{name}")
    (model / "model.safetensors").unlink()
    (model / name).write_bytes(pickle.dumps(Payload(ran)))
    told = await refused_everywhere(place, model, dataset_id, {"unsafe_model"})
    assert "safetensors" in told["configure_lora"]
    assert not ran.exists()


@pytest.mark.row("S8")
async def test_a_pickle_that_is_called_safetensors_is_refused_and_never_loaded(place, ran, dataset_id):
    model = copied(place, "disguised")
    (model / "model.safetensors").write_bytes(pickle.dumps(Payload(ran)))
    await refused_everywhere(place, model, dataset_id, {"unsupported_model"})
    assert not ran.exists()


@pytest.mark.row("S8")
async def test_pickles_beside_safetensors_are_left_alone(place, ran, dataset_id):
    model = copied(place, "both")
    for name in ("pytorch_model.bin", "training_args.bin", "optimizer.pt", "rng_state.pth"):
        (model / name).write_bytes(pickle.dumps(Payload(ran)))
    async with place.talk() as talk:
        plan = await talk("configure_lora", base_model=str(model), dataset_id=dataset_id, max_steps=2)
        run_id = (await talk("start_training", plan_id=plan["plan_id"]))["run_id"]
        assert (await talk.ended(run_id))["state"] == "succeeded"
        await talk("generate_text", model=run_id, prompts=["x"], max_new_tokens=2)
    assert not ran.exists()
    assert not [
        path for path in Store(place.store).handle(run_id).adapter.iterdir() if path.suffix in (".bin", ".pt")
    ]


@pytest.mark.row("S9")
@pytest.mark.parametrize(
    ("file", "changed"),
    [
        ("config.json", {"auto_map": MAPPED}),
        ("config.json", {"auto_map": MAPPED, "model_type": "never-heard-of"}),
        ("config.json", {"auto_map": MAPPED, "trust_remote_code": True}),
        ("config.json", {"text_config": {"auto_map": MAPPED}}),
        ("config.json", {"_attn_implementation": "somebody/kernel"}),
        ("tokenizer_config.json", {"auto_map": MAPPED}),
        ("tokenizer_config.json", {"auto_map": MAPPED, "tokenizer_class": "modeling.Slow"}),
        ("generation_config.json", {"auto_map": MAPPED}),
    ],
)
async def test_a_model_that_brings_code_is_refused_and_none_of_it_runs(place, ran, dataset_id, file, changed):
    model = copied(place, f"code-{len(list(place.inside.iterdir()))}")
    found = json.loads((model / file).read_text()) if (model / file).exists() else {}
    (model / file).write_text(json.dumps({**found, **changed}))
    for name in ("modeling.py", "configuration.py", "tokenization.py", "__init__.py"):
        (model / name).write_text(CODE.format(ran=str(ran)))
    async with place.talk() as talk:
        text = await talk.error("configure_lora", base_model=str(model), dataset_id=dataset_id)
    assert text.startswith("unsafe_model: ")
    assert "code of its own" in text
    assert not ran.exists()


@pytest.mark.row("S9")
async def test_code_beside_a_dataset_is_not_run(place, ran):
    """datasets once ran a script named like its folder."""
    folder = place.inside / "scripted"
    folder.mkdir()
    shutil.copy(place.rows, folder / "train.jsonl")
    for name in ("scripted.py", "__init__.py", "conftest.py"):
        (folder / name).write_text(CODE.format(ran=str(ran)))
    async with place.talk() as talk:
        assert (await talk("load_dataset", source=str(folder)))["rows"] == 120
    assert not ran.exists()


@pytest.mark.row("S9")
async def test_no_tool_can_be_asked_to_trust_code(store_path):
    async with talk_to(store_path) as talk:
        tools = (await talk.client.list_tools()).tools
        names = {name for tool in tools for name in tool.input_schema["properties"]}
        assert not [name for name in names if "trust" in name or "remote" in name or "code" in name]
        for tool in tools:
            text = await talk.error(tool.name, trust_remote_code=True)
            assert text.startswith("invalid_argument: "), text
            assert '"trust_remote_code"' in text
        assert not [Store(store_path).handles(work) for work in Work if Store(store_path).handles(work)]
