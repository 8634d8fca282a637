"""Bad input: a clear error with a code and the next step, nothing half-made, and the server goes on."""

from __future__ import annotations

import json
import shutil
import zipfile

import pytest

from tests.acceptance.conftest import write
from tests.support.server import FULL_DISK, talk_to
from tunesmith import demo
from tunesmith.jobs.paths import Store
from tunesmith.schemas.enums import Work

pytestmark = pytest.mark.anyio


def left_behind(store):
    """Every handle and every half-made folder of a store."""
    folders = [Store(store).folder_of(work) for work in Work]
    return {path for folder in folders if folder.is_dir() for path in folder.iterdir()}


async def refused(store, tool, **arguments):
    """As `refused_in`, in a conversation of its own."""
    async with talk_to(store) as talk:
        return await refused_in(talk, store, tool, **arguments)


async def refused_in(talk, store, tool, **arguments):
    """The text of the error; nothing new is left in the store, and the server still answers."""
    before = left_behind(store)
    text = await talk.error(tool, **arguments)
    # Work that outlasted its call keeps its folder: its handle was told, and get_status has to explain it.
    assert {path for path in left_behind(store) if path.name not in talk.outlasted} == before
    await talk("list_runs")  # the server goes on
    code, _, rest = text.partition(": ")
    assert code
    assert len(rest) > 20
    assert "Traceback" not in text
    return code, rest


FILES = {
    "empty.jsonl": (b"", "no_rows"),
    "blank.csv": (b"\n\n\n", "no_rows"),
    "header.csv": (b"instruction,response\n", "no_rows"),
    "empty_answers.jsonl": (b'{"instruction": "a", "response": ""}\n' * 3, "no_rows"),
    "numbers.csv": (b"a,b,c\n1,2,3\n4,5,6\n", "unmapped_columns"),
    "picture.csv": (b"\x89PNG\r\n\x1a\n" + bytes(200), "unreadable_source"),
    "rows.parquet": (b"not parquet at all\n", "unreadable_source"),
    "torn.parquet": (b"PAR1" + bytes(50), "unreadable_source"),
    "prose.json": (b"Dear diary, this is no JSON.", "unreadable_source"),
    "prose.jsonl": (b"Dear diary,\nthis is no JSON.\n", None),
}


async def test_a_file_that_gives_no_rows_is_refused(shared_store):
    async with talk_to(shared_store) as talk:
        for name, (content, code) in FILES.items():
            path = shared_store.parent / name
            path.write_bytes(content)
            told, text = await refused_in(talk, shared_store, "load_dataset", source=str(path))
            assert told == code or (code is None and told in ("no_rows", "unreadable_source")), name
            assert "Dear diary" not in text


async def test_an_archive_named_csv_is_told_as_what_it_is(shared_store):
    path = shared_store.parent / "archive.csv"
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("x.csv", "a,b\n1,2\n")
        archive.writestr("y.csv", "a,b\n1,2\n")
    code, text = await refused(shared_store, "load_dataset", source=str(path))
    assert code == "unreadable_source"
    assert "archive of 2 files" in text


async def test_columns_that_are_not_there_are_refused_with_those_that_are(shared_store):
    path = str(shared_store.parent / "instruction.jsonl")
    code, text = await refused(
        shared_store, "load_dataset", source=path, columns={"instruction": "question", "response": "answer"}
    )
    assert code == "unmapped_columns"
    assert "instruction" in text
    assert "response" in text


async def test_the_hub_being_out_of_reach_is_told_in_seconds(shared_store):
    async with talk_to(shared_store, HF_ENDPOINT="http://127.0.0.1:9") as talk:
        text = await talk.error("load_dataset", source="someone/data")
        assert text.startswith("hub_unavailable: ")


@pytest.fixture(scope="module")
def models(shared_store):
    """Folders that look like models and must not be trained."""
    folder = shared_store.parent

    def copy(name, config=None, remove=(), add=()):
        target = folder / name
        shutil.copytree(demo.base_model_path(), target)
        if config is not None:
            found = json.loads((target / "config.json").read_text())
            (target / "config.json").write_text(json.dumps({**found, **config}))
        for file in remove:
            (target / file).unlink()
        for file in add:
            (target / file).write_bytes(b"\x80\x04.")
        return str(target)

    weights = ("model.safetensors",)
    return {
        "pickle": copy("pickle", remove=weights, add=("pytorch_model.bin",)),
        "remote code": copy("remote", config={"auto_map": {"AutoModelForCausalLM": "modeling.Evil"}}),
        "classifier": copy(
            "classifier", config={"architectures": ["BertForSequenceClassification"], "model_type": "bert"}
        ),
        "no weights": copy("bare", remove=weights),
        "no config": copy("unconfigured", remove=("config.json",)),
        "not there": str(folder / "nothing-here"),
    }


@pytest.mark.row("S8", "S9")
async def test_a_base_model_that_cannot_or_must_not_be_used_is_refused(shared_store, models):
    codes = {
        "pickle": "unsafe_model",
        "remote code": "unsafe_model",
        "classifier": "unsupported_model",
        "no weights": "model_not_found",
        "no config": "model_not_found",
        "not there": "model_not_found",
    }
    async with talk_to(shared_store) as talk:
        dataset = await talk("load_dataset", source=str(shared_store.parent / "instruction.jsonl"))
        for model, code in codes.items():
            told, _ = await refused_in(
                talk,
                shared_store,
                "configure_lora",
                base_model=models[model],
                dataset_id=dataset["dataset_id"],
            )
            assert told == code, model


async def test_a_number_that_cannot_be_used_is_refused_by_name(shared_store):
    overrides = [
        {"r": 0},
        {"r": -1},
        {"alpha": 0},
        {"dropout": 1.0},
        {"batch_size": 0},
        {"epochs": 0},
        {"max_steps": -5},
        {"learning_rate": -1e-4},
        {"learning_rate": 0},
        {"max_length": 2},
        {"max_length": 10**6},
        {"target_modules": ["no_such_layer"]},
        {"tuning_method": "prompt_tuning", "r": 8},
        {"tuning_method": "full", "quantization": "nf4"},
    ]
    async with talk_to(shared_store) as talk:
        dataset = await talk("load_dataset", source=str(shared_store.parent / "instruction.jsonl"))
        for override in overrides:
            code, text = await refused_in(
                talk,
                shared_store,
                "configure_lora",
                base_model="demo",
                dataset_id=dataset["dataset_id"],
                **override,
            )
            assert code == "invalid_argument", override
            assert next(name for name in override if name != "tuning_method") in text


async def test_a_golden_set_of_other_rows_is_refused_with_the_call_to_make(shared_store):
    async with talk_to(shared_store) as talk:
        one = await talk("load_dataset", source=str(shared_store.parent / "instruction.jsonl"))
        golden = await talk("build_golden_set", dataset_id=one["dataset_id"], size=24)
        other = await talk("load_dataset", source=str(shared_store.parent / "chat.jsonl"))
    for dataset_id in (one["dataset_id"], other["dataset_id"]):
        code, text = await refused(
            shared_store,
            "configure_lora",
            base_model="demo",
            dataset_id=dataset_id,
            golden_set_id=golden["golden_set_id"],
        )
        assert code == "mismatch"
        assert golden["train_dataset_id"] in text


async def test_a_full_disk_at_the_start_leaves_nothing_and_says_so(shared_store):
    async with talk_to(shared_store) as talk:
        dataset = await talk("load_dataset", source=str(shared_store.parent / "instruction.jsonl"))
        plan = await talk("configure_lora", base_model="demo", dataset_id=dataset["dataset_id"])
    before = left_behind(shared_store)
    async with talk_to(shared_store, arguments=FULL_DISK) as talk:
        text = await talk.error("start_training", plan_id=plan["plan_id"], request_key="full")
        assert text.startswith("disk_full: ")
        assert (await talk.error("load_dataset", source="demo")).startswith("disk_full: ")
        assert left_behind(shared_store) == before
    async with talk_to(shared_store) as talk:  # the same call works once there is room
        run_id = (await talk("start_training", plan_id=plan["plan_id"], request_key="full"))["run_id"]
        await talk("stop_training", run_id=run_id)
        assert (await talk.ended(run_id))["state"] in ("stopped", "succeeded")


async def test_a_request_key_cannot_start_something_else(shared_store):
    async with talk_to(shared_store) as talk:
        dataset = await talk("load_dataset", source=str(shared_store.parent / "instruction.jsonl"))
        plan = await talk("configure_lora", base_model="demo", dataset_id=dataset["dataset_id"], max_steps=4)
        run_id = (await talk("start_training", plan_id=plan["plan_id"], request_key="k"))["run_id"]
        text = await talk.error("start_training", plan_id=plan["plan_id"], request_key="k", mode="smoke")
        assert text.startswith("request_key_reused: ")
        assert run_id in text
        await talk.ended(run_id)


async def test_rows_that_were_swapped_after_planning_are_not_trained_on(shared_store):
    async with talk_to(shared_store) as talk:
        dataset = await talk("load_dataset", source=str(shared_store.parent / "instruction.jsonl"))
        plan = await talk("configure_lora", base_model="demo", dataset_id=dataset["dataset_id"], max_steps=4)
        other = await talk("load_dataset", source=str(shared_store.parent / "completion.jsonl"))
        store = Store(shared_store)
        rows = store.handle(dataset["dataset_id"]).rows
        shutil.rmtree(rows)
        shutil.copytree(store.handle(other["dataset_id"]).rows, rows)
        run_id = (await talk("start_training", plan_id=plan["plan_id"]))["run_id"]
        status = await talk.ended(run_id)
        assert (status["state"], status["error"]["code"]) == ("failed", "mismatch")


async def test_control_characters_of_rows_never_reach_a_client(shared_store):
    write(
        shared_store.parent / "ansi.jsonl",
        [{"instruction": f"{n}\x1b[31m", "response": "\x1b[2Jx"} for n in range(40)],
    )
    async with talk_to(shared_store) as talk:
        dataset = await talk("load_dataset", source=str(shared_store.parent / "ansi.jsonl"))
        plan = await talk.raw(
            "configure_lora", base_model="demo", dataset_id=dataset["dataset_id"], max_steps=4
        )
        assert "\x1b" not in plan.content[0].text + json.dumps(plan.structured_content, ensure_ascii=False)
