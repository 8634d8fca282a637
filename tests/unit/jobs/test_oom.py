"""The kernel's count of processes that it ended for want of memory, read from control groups of both versions."""

from __future__ import annotations

import pytest

from tunesmith.jobs.oom import oom_kills

V1 = "memory.oom_control", "oom_kill_disable 0\nunder_oom 0\noom_kill {}\n"
V2 = "memory.events", "low 0\nhigh 0\nmax 12\noom 4\noom_kill {}\noom_group_kill 0\n"


@pytest.fixture
def machine(tmp_path):
    """Writes what /proc tells of a process, and the count of its group."""

    def write(groups, mounts, folder, file, kills):
        (tmp_path / "self").mkdir(exist_ok=True)
        (tmp_path / "self" / "cgroup").write_text(groups)
        (tmp_path / "self" / "mountinfo").write_text(mounts.replace("@", str(tmp_path)))
        (tmp_path / folder).mkdir(parents=True, exist_ok=True)
        (tmp_path / folder / file[0]).write_text(file[1].format(kills))
        return tmp_path / "self"

    return write


V1_MOUNT = "35 31 0:32 / @/memory rw,relatime - cgroup cgroup rw,memory\n"
OTHER_MOUNTS = (
    "22 1 254:0 / / rw - ext4 /dev/root rw\n"
    "34 31 0:31 / @/cpuset rw,relatime shared:4 - cgroup cgroup rw,cpuset\n"
)
V2_MOUNT = "38 31 0:38 / @/unified rw,relatime shared:9 - cgroup2 cgroup2 rw,nsdelegate\n"


def test_the_first_version_counts_in_the_memory_controllers_own_group(machine):
    groups = "9:name=systemd:/x\n4:cpu,memory:/a/b\n0::/y\n"
    process = machine(groups, OTHER_MOUNTS + V1_MOUNT + V2_MOUNT, "memory/a/b", V1, 3)
    assert oom_kills(process) == 3


def test_the_second_version_counts_in_the_one_group_there_is(machine):
    process = machine("0::/user.slice/job\n", OTHER_MOUNTS + V2_MOUNT, "unified/user.slice/job", V2, 2)
    assert oom_kills(process) == 2


def test_both_at_once_count_where_the_memory_controller_is(machine):
    machine("4:memory:/a\n0::/b\n", V1_MOUNT + V2_MOUNT, "memory/a", V1, 5)
    process = machine("4:memory:/a\n0::/b\n", V1_MOUNT + V2_MOUNT, "unified/b", V2, 7)
    assert oom_kills(process) == 5


def test_a_container_that_sees_only_its_own_part_of_the_hierarchy_reads_that(machine):
    mount = "35 31 0:32 /docker/abc @/memory ro - cgroup cgroup rw,memory\n"
    process = machine("4:memory:/docker/abc/inner\n", mount, "memory/inner", V1, 1)
    assert oom_kills(process) == 1


def test_a_container_that_sees_its_own_group_as_the_root_reads_that(machine):
    mount = "35 31 0:32 /docker/abc @/memory ro - cgroup cgroup rw,memory\n"
    process = machine("4:memory:/\n", mount, "memory", V1, 4)
    assert oom_kills(process) == 4


@pytest.mark.parametrize(
    ("groups", "mounts"),
    [
        ("", V1_MOUNT),
        ("4:memory:/a\n", ""),
        ("4:memory:/elsewhere\n", V1_MOUNT),
        ("garbage\n\n::\n4:memory", "garbage\n - \n35 - cgroup\n" + V1_MOUNT.replace("rw,memory", "rw")),
    ],
)
def test_where_it_cannot_be_told_nothing_is_told(machine, groups, mounts):
    assert oom_kills(machine(groups, mounts, "memory/a", V1, 1)) is None


def test_a_count_that_is_no_number_is_none(machine):
    assert oom_kills(machine("4:memory:/a\n", V1_MOUNT, "memory/a", V1, "many")) is None


def test_a_platform_without_proc_tells_nothing(tmp_path):
    assert oom_kills(tmp_path) is None


def test_this_very_process_can_be_asked():
    assert oom_kills() is None or oom_kills() >= 0
