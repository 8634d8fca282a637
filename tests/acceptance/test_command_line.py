"""The commands that a person types: runs, watch, doctor."""

from __future__ import annotations

import fcntl
import importlib.metadata
import importlib.util
import os
import pty
import re
import struct
import subprocess
import sys
import termios
from dataclasses import dataclass, field

import anyio
import pytest

from tests.support.fake_jobs import FakeRequest
from tests.support.server import environment, talk_to
from tests.support.waiting import wait_until
from tunesmith import __version__
from tunesmith.cli.doctor import print_diagnosis
from tunesmith.jobs.journal import Journal
from tunesmith.jobs.paths import Store
from tunesmith.jobs.submission import create_claimed
from tunesmith.schemas.enums import Work
from tunesmith.schemas.handles import new_handle

TUNESMITH = ("-P", "-m", "tunesmith")
LIMIT_S = 90.0
IN_TERMINAL = (
    "import fcntl, os, signal, sys, termios; fcntl.ioctl(0, termios.TIOCSCTTY, 0); "
    "signal.signal(signal.SIGINT, signal.SIG_DFL); "
    f"os.execv(sys.executable, [sys.executable, *{TUNESMITH!r}, *sys.argv[1:]])"
)
"""Makes its terminal the controlling one, so that a Ctrl-C typed there becomes a SIGINT, which a
shell that runs the tests in the background would have had ignored."""


@dataclass
class Terminal:
    """A terminal of 120 columns with a command in it."""

    process: subprocess.Popen[bytes]
    keyboard: int
    screen: bytes = field(default=b"")

    def read(self):
        """All that the screen has shown so far, waiting for a bit more of it."""
        try:
            self.screen += os.read(self.keyboard, 65536)
        except OSError:  # its last user has left
            self.process.wait(LIMIT_S)
        return self.text

    @property
    def text(self):
        return self.screen.decode()

    def type(self, keys):
        os.write(self.keyboard, keys)

    def ended(self):
        """The exit status, once everything has been shown."""
        wait_until(lambda: self.read() and self.process.returncode is not None, within_s=LIMIT_S)
        return self.process.returncode


@pytest.fixture(scope="module")
def in_terminal():
    """Starts a command in a terminal of its own."""
    opened = []

    def start(store, *arguments):
        ours, theirs = pty.openpty()
        fcntl.ioctl(theirs, termios.TIOCSWINSZ, struct.pack("HHHH", 30, 120, 0, 0))
        process = subprocess.Popen(
            [sys.executable, "-P", "-c", IN_TERMINAL, *arguments],
            stdin=theirs,
            stdout=theirs,
            stderr=theirs,
            env=environment(store, TERM="xterm"),
            start_new_session=True,
        )
        os.close(theirs)
        opened.append(Terminal(process, ours))
        return opened[-1]

    yield start
    for terminal in opened:
        terminal.process.kill()
        terminal.process.wait(10)
        os.close(terminal.keyboard)


def command(store, *arguments, **more):
    """What a command printed, without a terminal."""
    return subprocess.run(
        [sys.executable, *TUNESMITH, *arguments],
        capture_output=True,
        text=True,
        env=environment(store, **more),
        stdin=subprocess.DEVNULL,
        timeout=LIMIT_S,
        check=False,
    )


def conversing(store, steps):
    """What `steps` returns, which is given a conversation with a server over the store."""

    async def converse():
        async with talk_to(store, TUNESMITH_HOST_IDLE_S="60") as talk:
            return await steps(talk)

    return anyio.run(converse)


def start_run(store, max_steps):
    """A run that has just been started."""

    async def start(talk):
        dataset = await talk("load_dataset", source=str(store.parent / "instruction.jsonl"))
        golden = await talk("build_golden_set", dataset_id=dataset["dataset_id"], size=24)
        plan = await talk(
            "configure_lora",
            base_model="demo",
            dataset_id=golden["train_dataset_id"],
            golden_set_id=golden["golden_set_id"],
            max_steps=max_steps,
        )
        return (await talk("start_training", plan_id=plan["plan_id"]))["run_id"]

    return conversing(store, start)


@dataclass
class Watched:
    run_id: str
    status: int
    text: str


@pytest.fixture(scope="module")
def watched(shared_store, in_terminal):
    """A run that was watched from its beginning to its end."""
    run_id = start_run(shared_store, max_steps=100)
    terminal = in_terminal(shared_store, "watch", run_id)
    return Watched(run_id, terminal.ended(), terminal.text)


def test_watch_shows_a_bar_that_advances_and_ends_with_the_runs_last_line(watched):
    assert watched.status == 0, watched.text
    assert "Traceback" not in watched.text
    shown = [int(step) for step in re.findall(r"\| (\d+)/100 \[", watched.text)]
    assert shown == sorted(shown)
    assert len(set(shown)) > 3
    assert shown[-1] == 100
    assert re.search(r"training: .*100%\|.*loss=\d", watched.text)
    last = watched.text.replace("\r\n", "\n").rpartition("\r")[2]
    assert re.search(rf"{watched.run_id} succeeded \[#+\] 100%", last)
    assert "Next: " not in last


def test_a_run_that_has_ended_is_shown_at_its_end_at_once(shared_store, watched):
    answer = command(shared_store, "watch", watched.run_id)
    assert answer.returncode == 0, answer.stderr
    assert "100/100" in answer.stderr
    assert f"{watched.run_id} succeeded" in answer.stdout


def test_ctrl_c_ends_the_watching_and_not_the_run(shared_store, watched, in_terminal):
    run_id = start_run(shared_store, max_steps=600)
    terminal = in_terminal(shared_store, "watch", run_id)
    wait_until(terminal.read, lambda text: re.search(r"\| [1-9]\d*/600 \[", text), within_s=LIMIT_S)
    terminal.type(b"\x03")
    assert terminal.ended() == 0, terminal.text
    assert f"{run_id} goes on in the background." in terminal.text
    assert "Traceback" not in terminal.text
    left_at = int(re.findall(r"\| (\d+)/600 \[", terminal.text)[-1])

    async def look_and_stop(talk):
        while (status := await talk("get_status", run_id=run_id, wait_s=1))["step"] <= left_at:
            assert status["state"] == "running", status
        await talk("stop_training", run_id=run_id)
        return await talk.ended(run_id)

    assert conversing(shared_store, look_and_stop)["state"] == "stopped"
    answer = command(shared_store, "watch", run_id)
    assert answer.returncode == 1
    assert f"{run_id} stopped" in answer.stdout


@pytest.mark.parametrize(
    ("handle", "code"), [("run-aaaaaaaaaaaaaaaa", "unknown_handle"), ("the-last-one", "invalid_argument")]
)
def test_watching_what_is_not_there_is_told_in_a_line(tmp_path, handle, code):
    answer = command(tmp_path / "store", "watch", handle)
    assert answer.returncode == 2
    assert answer.stderr.startswith(f"{code}: ")
    assert answer.stderr.count("\n") == 1
    assert answer.stdout == ""


def test_runs_lists_the_runs_and_finds_words(shared_store, watched):
    everything = command(shared_store, "runs")
    assert everything.returncode == 0, everything.stderr
    line = next(line for line in everything.stdout.splitlines() if watched.run_id in line)
    assert "succeeded: lora of demo, step 100/100, eval loss " in line
    assert watched.run_id in command(shared_store, "runs", "succeeded", "lora").stdout
    assert command(shared_store, "runs", "no-such-word").stdout == "0 of 0 runs.\n"


def test_looking_at_a_store_that_is_not_there_does_not_make_it(tmp_path):
    store = tmp_path / "store"
    assert command(store, "runs").stdout == "0 of 0 runs.\n"
    assert command(store, "doctor").returncode == 0
    assert not store.exists()


def test_doctor_says_what_this_machine_can_train(shared_store, watched):
    answer = command(shared_store, "doctor")
    assert answer.returncode == 0, answer.stdout + answer.stderr
    for told in (
        "full, lora, prompt_tuning, prefix_tuning: torch 2",
        "qlora: bitsandbytes ",
        "background host: pid ",
    ):
        assert f"ok      {told}" in answer.stdout
    assert f"store {shared_store}: " in answer.stdout
    assert "MISSING" not in answer.stdout
    assert answer.stdout.endswith("This machine can train.\n")


def test_doctor_names_what_is_not_installed_and_how_to_install_it(tmp_path, monkeypatch, capsys):
    find = importlib.util.find_spec
    monkeypatch.setattr(
        importlib.util, "find_spec", lambda name: None if name in ("torch", "trl") else find(name)
    )
    monkeypatch.setenv("TUNESMITH_HOME", str(tmp_path / "store"))
    assert print_diagnosis() == 1
    told = capsys.readouterr().out
    assert "MISSING training stack: torch, trl not installed." in told
    assert "pip install 'tunesmith[train]'" in told


def test_doctor_does_without_bitsandbytes_what_it_can_and_names_qlora(tmp_path, monkeypatch, capsys):
    find = importlib.util.find_spec
    monkeypatch.setattr(
        importlib.util, "find_spec", lambda name: None if name == "bitsandbytes" else find(name)
    )
    monkeypatch.setenv("TUNESMITH_HOME", str(tmp_path / "store"))
    assert print_diagnosis() == 1
    told = capsys.readouterr().out
    assert "ok      full, lora, prompt_tuning, prefix_tuning: torch " in told
    assert "MISSING qlora: bitsandbytes not installed." in told


def test_doctor_takes_no_folder_of_that_name_for_an_installed_library(tmp_path, monkeypatch, capsys):
    def not_installed(name):
        raise importlib.metadata.PackageNotFoundError(name)

    monkeypatch.setattr(importlib.metadata, "version", not_installed)
    monkeypatch.setenv("TUNESMITH_HOME", str(tmp_path / "store"))
    assert print_diagnosis() == 1
    assert "MISSING training stack: torch, " in capsys.readouterr().out


def test_doctor_tells_a_torch_that_cannot_be_imported(tmp_path):
    (tmp_path / "broken").mkdir()
    (tmp_path / "broken" / "torch.py").write_text("raise ImportError('libcudart.so.13: cannot open')\n")
    answer = command(tmp_path / "store", "doctor", PYTHONPATH=str(tmp_path / "broken"))
    assert answer.returncode == 1
    assert "MISSING accelerator: torch cannot be imported (status 1)" in answer.stdout
    assert answer.stderr == ""


def test_doctor_tells_a_store_that_cannot_be_written(tmp_path):
    (tmp_path / "file").write_text("in the way")
    answer = command(tmp_path / "file" / "store", "doctor")
    assert answer.returncode == 1
    assert f"MISSING store {tmp_path / 'file' / 'store'} cannot be written" in answer.stdout
    assert answer.stdout.endswith("Training needs what is marked MISSING.\n")
    assert answer.stderr == ""


def test_the_version_is_told(tmp_path):
    answer = command(tmp_path / "store", "--version")
    assert (answer.returncode, answer.stdout) == (0, f"tunesmith {__version__}\n")


@pytest.mark.parametrize("arguments", [("fly",), ()], ids=["unknown", "none"])
def test_what_is_no_command_is_refused_with_those_there_are(tmp_path, arguments):
    answer = command(tmp_path / "store", *arguments)
    assert answer.returncode == 2
    assert answer.stderr.startswith("usage: tunesmith ")
    assert "Traceback" not in answer.stderr


def test_a_person_can_say_that_a_process_is_gone_where_that_cannot_be_known(store_path):
    run_id = new_handle(Work.TRAIN)
    create_claimed(Store(store_path), run_id, FakeRequest(behaviour="none"))
    paths = Store(store_path).handle(run_id)
    Journal(paths.journal, 1).append("started", pid=1)
    known = command(store_path, "runs", "declare-dead", run_id)
    assert (known.returncode, "interrupted, which is known" in known.stdout) == (1, True)
    paths.lease.mkdir()  # it can be neither opened nor locked
    said = command(store_path, "runs", "declare-dead", run_id)
    assert (said.returncode, "is interrupted now" in said.stdout) == (0, True)
    unknown = command(store_path, "runs", "declare-dead", "run-aaaaaaaaaaaaaaaa")
    assert (unknown.returncode, "unknown_handle" in unknown.stderr) == (2, True)
