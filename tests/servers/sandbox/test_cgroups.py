"""Where control groups are made, on trees that look like the kernel's."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from homeport.servers.sandbox import cgroups

V1 = "9:name=systemd:/x\n8:pids:/a\n4:memory:/b/c\n2:cpu,cpuacct:/\n0::/\n"
V2 = "0::/service\n"


@pytest.fixture
def own(tmp_path: Path) -> Path:
    return tmp_path / "own"


def tree(root: Path, **files: str) -> Path:
    """A folder of control files; `__` stands for a slash and `_dot_` for a dot."""
    for name, text in files.items():
        path = root / name.replace("__", "/").replace("_dot_", ".")
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="ascii")
    return root


def test_version_1(tmp_path: Path, own: Path) -> None:
    own.write_text(V1, encoding="ascii")
    root = tmp_path / "cgroup"
    for folder in ("memory/b/c", "pids/a"):
        (root / folder).mkdir(parents=True)
    groups = cgroups.find(root, own)
    assert groups is not None
    assert groups.parents == (root / "memory/b/c", root / "pids/a")
    group = groups.make(1 << 20, 10)
    assert [folder.parent for folder in group.folders] == list(groups.parents)
    assert group.folders[0].name.startswith(f"homeport-{os.getpid()}-")
    group.join(1234)
    assert [(folder / "cgroup.procs").read_text(encoding="ascii") for folder in group.folders] == ["1234", "1234"]
    assert not group.remove()  # a real one's files go with it
    for place in group.folders:
        (place / "cgroup.procs").unlink()
    assert group.remove()
    assert group.remove()  # gone already


def test_limits_are_written_where_the_kernel_has_them(tmp_path: Path) -> None:
    (tmp_path / "g").mkdir()
    groups = cgroups.Groups((tmp_path,), lambda memory, processes: {"memory.max": memory, "pids.max": processes})
    tree(tmp_path / "g", memory_dot_max="max\n")
    groups._limit(tmp_path / "g", 1 << 20, 10)
    assert (tmp_path / "g" / "memory.max").read_text(encoding="ascii").startswith("1048576")
    assert not (tmp_path / "g" / "pids.max").exists()


@pytest.mark.parametrize(
    "text",
    ["", "0::/\n", "8:pids:/\n", V2],
    ids=["nothing", "version 2 without controllers", "no memory", "a group that is not there"],
)
def test_nowhere(tmp_path: Path, own: Path, text: str) -> None:
    own.write_text(text, encoding="ascii")
    assert cgroups.find(tree(tmp_path / "cgroup", cgroup_dot_controllers="cpu\n"), own) is None


def test_without_proc(tmp_path: Path, own: Path) -> None:
    assert cgroups.find(tmp_path, own) is None


def test_a_tree_that_may_not_be_written_is_none(tmp_path: Path, own: Path) -> None:
    own.write_text(V1, encoding="ascii")
    assert cgroups.find(tmp_path / "missing", own) is None


def test_version_2_hands_its_controllers_down(tmp_path: Path, own: Path) -> None:
    own.write_text(V2, encoding="ascii")
    root = tree(
        tmp_path / "cgroup", service__cgroup_dot_controllers="cpu memory pids\n", service__cgroup_dot_subtree_control=""
    )
    groups = cgroups.find(root, own)
    assert groups is not None
    assert groups.parents == (root / "service",)
    assert (root / "service" / "cgroup.subtree_control").read_text(encoding="ascii") == "+memory +pids"


@pytest.mark.parametrize("strangers", [False, True])
def test_version_2_moves_the_servers_own_processes_and_no_others(tmp_path: Path, strangers: bool) -> None:
    service = tree(
        tmp_path / "service", cgroup_dot_procs=f"{os.getpid()}\n{os.getppid()}\n{'1' if strangers else ''}\n"
    )
    if strangers and os.getppid() != 1:
        with pytest.raises(OSError, match="other programs are in the server's control group"):
            cgroups._step_aside(service)
        assert not (service / "homeport-server").exists()
    elif not strangers:
        cgroups._step_aside(service)
        assert (service / "homeport-server" / "cgroup.procs").read_text(encoding="ascii") == str(os.getppid())


def test_groups_of_killed_servers_go(tmp_path: Path, own: Path) -> None:
    own.write_text(V1, encoding="ascii")
    pids = tmp_path / "cgroup" / "pids" / "a"
    for folder in (tmp_path / "cgroup" / "memory" / "b" / "c", pids / "homeport-99999999-1", pids / "homeport-1-1"):
        folder.mkdir(parents=True)
    assert cgroups.find(tmp_path / "cgroup", own) is not None
    assert [folder.name for folder in pids.iterdir()] == ["homeport-1-1"]


def test_a_group_that_a_dead_process_of_our_number_left_is_taken_over(tmp_path: Path) -> None:
    groups = cgroups.Groups((tmp_path,), lambda *_: {})
    first = groups.make(1, 1).folders[0]
    number = int(first.name.rpartition("-")[2])
    for ahead in range(number + 1, number + 4):
        (tmp_path / f"homeport-{os.getpid()}-{ahead}").mkdir()
    assert groups.make(1, 1).folders[0].name == f"homeport-{os.getpid()}-{number + 1}"


@pytest.mark.parametrize(
    ("name", "text", "ran_out"),
    [
        ("memory.events", "low 0\nmax 7\noom 1\noom_kill 1\n", True),
        ("memory.events", "low 0\nmax 7\noom 1\noom_kill 0\n", False),
        ("memory.oom_control", "oom_kill_disable 0\nunder_oom 0\noom_kill 2\n", True),
        ("memory.stat", "oom_kill 1\n", False),
    ],
)
def test_whether_memory_ran_out(tmp_path: Path, name: str, text: str, ran_out: bool) -> None:
    (tmp_path / name).write_text(text, encoding="ascii")
    assert cgroups.Group((tmp_path / "elsewhere", tmp_path)).ran_out() is ran_out
