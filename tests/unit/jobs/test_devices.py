"""Which trainings run side by side, and where."""

from __future__ import annotations

import os

import pytest

from tunesmith.jobs import devices
from tunesmith.jobs.devices import CPU, Device, Tenant, place

GIB = 2**30
TWO_GPUS = [Device("0", 64, 80 * GIB), Device("1", 64, 80 * GIB)]
PROCESSOR = [Device(CPU, 2, 32 * GIB)]


@pytest.mark.parametrize(
    ("machine", "tenants", "wanted", "device"),
    [
        (PROCESSOR, [], 10 * GIB, CPU),
        (PROCESSOR, [], 900 * GIB, CPU),  # whether it fits at all is not the queue's to say
        (PROCESSOR, [Tenant(CPU, 10 * GIB)], 10 * GIB, CPU),
        (PROCESSOR, [Tenant(CPU, 20 * GIB)], 10 * GIB, None),
        (PROCESSOR, [Tenant(CPU, GIB), Tenant(CPU, GIB)], GIB, None),
        (TWO_GPUS, [], 40 * GIB, "0"),
        (TWO_GPUS, [Tenant("0", 40 * GIB)], 40 * GIB, "1"),
        (TWO_GPUS, [Tenant("0", 60 * GIB), Tenant("1", 20 * GIB)], 40 * GIB, "1"),
        (TWO_GPUS, [Tenant("0", 60 * GIB), Tenant("1", 60 * GIB)], 40 * GIB, None),
    ],
)
def test_a_training_gets_the_emptiest_device_that_has_room(machine, tenants, wanted, device):
    assert place(machine, tenants, wanted) == device


def smi(folder, monkeypatch, script):
    command = folder / "nvidia-smi"
    command.write_text(f"#!/bin/sh\n{script}\n")
    command.chmod(0o700)
    monkeypatch.setenv("PATH", f"{folder}{os.pathsep}{os.environ['PATH']}")


THREE = 'printf "0, GPU-aa, 81559\\n1, GPU-bb, 81559\\n2, GPU-cc, 24576\\n"'


@pytest.mark.parametrize(
    ("visible", "names"), [(None, ["0", "1", "2"]), ("2,0", ["0", "2"]), ("GPU-bb", ["1"]), ("", [CPU])]
)
def test_each_gpu_that_may_be_used_is_a_device(visible, names, tmp_path, monkeypatch):
    smi(tmp_path, monkeypatch, THREE)
    monkeypatch.delenv("CUDA_VISIBLE_DEVICES", raising=False)
    if visible is not None:
        monkeypatch.setenv("CUDA_VISIBLE_DEVICES", visible)
    found = devices.this_machines_devices()
    assert [device.name for device in found] == names
    assert all(device.memory_bytes > GIB for device in found)


@pytest.mark.parametrize("script", ["exit 9", "echo No devices were found", "kill -9 $$"])
def test_where_the_driver_does_not_answer_the_processor_trains(script, tmp_path, monkeypatch):
    smi(tmp_path, monkeypatch, script)
    assert [device.name for device in devices.this_machines_devices()] == [CPU]


@pytest.mark.parametrize(("cores", "slots"), [(1, 1), (2, 1), (3, 1), (4, 2), (64, 32)])
def test_a_processor_takes_a_training_for_every_two_cores(cores, slots, monkeypatch):
    monkeypatch.setattr(devices, "_cores", lambda: cores)
    monkeypatch.setattr(devices, "_gpus", list)
    assert [device.slots for device in devices.this_machines_devices()] == [slots]
