from __future__ import annotations

import os
import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from tests.client.engines import Bench
from tests.client.fake_remote import BARE, OURS, PLAIN, FakeServer

from homeport.client import errors
from homeport.client.errors import SafetyRefused, ServerRefused, Stopped
from homeport.client.events import Scanned, Summary
from homeport.client.items import Deed, Item
from homeport.client.remote import Kind, RemoteEntry
from homeport.client.sync import Direction, Sync, SyncOptions
from homeport.client.sync_plan import Plan, Step
from homeport.client.task import Outcome
from homeport.client.tree import Bounds, RemoteScan, folds_names, join_remote, scan_local

UP, DOWN = Direction.UP, Direction.DOWN
BOTH = pytest.mark.parametrize("direction", [UP, DOWN], ids=["up", "down"])
Shape = dict[str, bytes | None]
"""Paths with content; None is a folder."""


@pytest.fixture
def bench(tmp_path: Path) -> Bench:
    return Bench(tmp_path / "local", jobs=2, attempts=2)


def build_local(root: Path, shape: Shape) -> None:
    for path, data in shape.items():
        place = root / path
        (place if data is None else place.parent).mkdir(parents=True, exist_ok=True)
        if data is not None:
            place.write_bytes(data)
            os.utime(place, (1_400_000_000 + len(data), 1_400_000_000 + len(data)))


def build_remote(server: FakeServer, root: str, shape: Shape) -> None:
    server.folders.add(root)
    for path, data in shape.items():
        if data is None:
            server.put(f"{root}/{path}/x", b"")
            del server.files[f"{root}/{path}/x"]
        else:
            server.put(f"{root}/{path}", data, 1_400_000_000.0 + len(data))


def local_shape(root: Path) -> Shape:
    return {
        str(path.relative_to(root)): path.read_bytes() if path.is_file() else None
        for path in root.rglob("*")
        if path.is_file() or not any(path.iterdir())
    }


def remote_shape(server: FakeServer, root: str) -> Shape:
    files = {path: file.data for path, file in server.files.items()}
    names = [*files, *server.folders]
    leaves = {path for path in server.folders if not any(name.startswith(path + "/") for name in names)}
    every: Shape = {**files, **dict.fromkeys(leaves)}
    return {path[len(root) + 1 :]: data for path, data in every.items() if path.startswith(root + "/")}


def build(bench: Bench, direction: Direction, source: Shape, target: Shape | None) -> None:
    here, there = (source, target) if direction is UP else (target, source)
    if here is not None:
        bench.folder.mkdir(exist_ok=True, parents=True)
        build_local(bench.folder, here)
    if there is not None:
        build_remote(bench.server, "/r", there)


def target_shape(bench: Bench, direction: Direction) -> Shape:
    return remote_shape(bench.server, "/r") if direction is UP else local_shape(bench.folder)


def sync(bench: Bench, direction: Direction, options: SyncOptions | None = None) -> tuple[Plan, Summary]:
    with bench.engine() as engine:
        one = Sync(engine, bench.folder, "/r", direction, options)
        plan = one.plan()
        return plan, one.execute(plan)


OTHER: Shape = {"a": b"old!", "gone/x/y": b"1", "gone/z": b"2", "d/b/was": b"a folder", "empty": b"f"}
SOURCE: Shape = {"a": b"a", "d/b": b"bb", "d/e/中文 c": b"ccc", "empty": None}


@BOTH
@pytest.mark.parametrize("abilities", [OURS, PLAIN], ids=["ours", "plain"])
def test_a_copy_and_then_nothing_to_do(bench: Bench, direction: Direction, abilities: object) -> None:
    bench.server.abilities = abilities  # type: ignore[assignment]
    build(bench, direction, SOURCE, None)
    plan, summary = sync(bench, direction)
    assert summary.is_clean
    assert target_shape(bench, direction) == SOURCE
    assert plan.bytes == 6
    plan, summary = sync(bench, direction)
    assert (plan.steps, plan.unchanged, summary.done) == ((), 3, 0)
    assert bench.heard(Scanned)[-1] == Scanned(3, 6, finished=True)


@BOTH
def test_deep_targets_are_made(bench: Bench, direction: Direction) -> None:
    bench.folder = bench.folder / "x" / "y"
    build(bench, direction, SOURCE, None)
    with bench.engine() as engine:
        remote = "/r" if direction is DOWN else "/q/r/s"
        one = Sync(engine, bench.folder, remote, direction)
        assert one.execute(one.plan()).is_clean
    assert bench.folder.joinpath("a").exists()
    if direction is UP:
        assert remote_shape(bench.server, "/q/r/s") == SOURCE


@BOTH
def test_delete_makes_it_equal(bench: Bench, direction: Direction) -> None:
    build(bench, direction, SOURCE, OTHER)
    plan, summary = sync(bench, direction)
    assert {problem.segments for problem in plan.blocked} == {("d", "b"), ("empty",)}
    assert target_shape(bench, direction)["gone/z"] == b"2"
    assert summary.is_clean
    plan, summary = sync(bench, direction, SyncOptions(delete=True))
    assert summary.is_clean
    assert target_shape(bench, direction) == SOURCE


@BOTH
def test_nothing_is_removed_after_a_failure(bench: Bench, direction: Direction) -> None:
    build(bench, direction, SOURCE, {"gone": b""})
    operation = "open_writer" if direction is UP else "open_reader"
    bench.server.refuse(operation, "/r/a", errors.PermissionRefused("no", 550, "no"))
    _, summary = sync(bench, direction, SyncOptions(delete=True))
    assert len(summary.failures) == 1
    assert "gone" in target_shape(bench, direction)


@BOTH
def test_checksum_sees_what_size_and_time_hide(bench: Bench, direction: Direction) -> None:
    build(bench, direction, {"a": b"xyz", "b": b"same"}, {"a": b"xyy", "b": b"same"})
    assert sync(bench, direction)[0].steps == ()
    plan, _ = sync(bench, direction, SyncOptions(checksum=True))
    assert [step.target for step in plan.steps] == [("a",)]


def test_checksum_needs_a_server_that_tells_digests(bench: Bench) -> None:
    bench.server.abilities = PLAIN
    build(bench, UP, {"a": b"xyz"}, {"a": b"xyy"})
    with pytest.raises(errors.Incompatible, match="leave --checksum out"):
        sync(bench, UP, SyncOptions(checksum=True))


def test_checksum_without_a_server(bench: Bench) -> None:
    build(bench, UP, {"a": b"xyz"}, {"a": b"xyy"})
    bench.server.refuse("digest", "*", errors.NoRoom("odd", 552, ""))
    with pytest.raises(errors.NoRoom):
        sync(bench, UP, SyncOptions(checksum=True))


def test_a_server_that_keeps_no_times(bench: Bench) -> None:
    bench.server.abilities = BARE
    build(bench, UP, SOURCE, None)
    assert sync(bench, UP)[1].is_clean
    assert sync(bench, UP)[0].steps == ()


@BOTH
def test_an_empty_source_is_refused(bench: Bench, direction: Direction) -> None:
    build(bench, direction, {}, {"a": b"a"})
    with pytest.raises(SafetyRefused):
        sync(bench, direction, SyncOptions(delete=True))


def test_a_source_that_is_not_there(bench: Bench) -> None:
    with pytest.raises(errors.LocalFailed, match="cannot be read: No such file or directory"):
        sync(bench, UP)
    with pytest.raises(errors.RemoteNotFound):
        sync(bench, DOWN)


def test_a_target_that_may_not_be_listed(bench: Bench) -> None:
    build(bench, UP, SOURCE, {})
    bench.server.refuse("list", "/r", errors.PermissionRefused("no", 550, "no"))
    with pytest.raises(errors.PermissionRefused):
        sync(bench, UP)


def test_a_server_that_lists_what_is_not_there_as_empty(bench: Bench) -> None:
    bench.server.hidden_entries = True
    build(bench, UP, SOURCE, None)
    assert sync(bench, UP)[1].is_clean
    assert remote_shape(bench.server, "/r") == SOURCE


def test_a_stop_while_scanning(bench: Bench) -> None:
    build(bench, UP, SOURCE, {})
    engine = bench.engine()
    bench.server.before = lambda operation, _path: engine.stop() if operation == "list" else None
    with pytest.raises(Stopped, match="nothing was changed"):
        Sync(engine, bench.folder, "/r", UP).plan()


def test_a_folder_of_the_server_that_may_not_be_listed(bench: Bench) -> None:
    build(bench, DOWN, SOURCE, {"d/mine": b"m"})
    bench.server.refuse("list", "/r/d", ServerRefused("cannot list /r/d", 550, ""))
    plan, _ = sync(bench, DOWN, SyncOptions(delete=True))
    assert [problem.segments for problem in plan.blocked] == [("d",)]
    assert bench.folder.joinpath("d/mine").exists()


HOSTILE = ["..", "../x", "a/b", "", ".", "x\0y", "n" * 256]


@pytest.mark.parametrize("name", HOSTILE, ids=ascii)
def test_names_that_a_hostile_server_invents_write_nothing(bench: Bench, name: str) -> None:
    build(bench, DOWN, {"a": b"a"}, None)
    bench.server.extra_entries["/r"] = [RemoteEntry(name, Kind.FILE, 1, 1.0), RemoteEntry(name + "d", Kind.DIRECTORY)]
    bench.server.extra_entries["/r"].pop()
    plan, summary = sync(bench, DOWN)
    assert len(plan.blocked) == 1
    assert summary.done == 2  # the root and `a`
    assert sorted(path.name for path in bench.folder.parent.rglob("*")) == ["a", "local"]


def test_a_link_here_that_leads_out_is_not_written_through(bench: Bench, tmp_path: Path) -> None:
    outside = tmp_path / "outside"
    outside.mkdir()
    build(bench, DOWN, {"d/x": b"evil"}, {"a": b"a"})
    bench.folder.joinpath("d").symlink_to(outside)
    plan, _ = sync(bench, DOWN)
    assert list(outside.iterdir()) == []
    assert [problem.reason for problem in plan.blocked] == [
        "a link; left out",
        "the target has something else of that name; --delete replaces it",
    ]
    sync(bench, DOWN, SyncOptions(delete=True))
    assert list(outside.iterdir()) == []
    assert not bench.folder.joinpath("d").is_symlink()


def test_a_link_planted_after_the_plan_stops_the_job(bench: Bench, tmp_path: Path) -> None:
    outside = tmp_path / "outside"
    outside.mkdir()
    build(bench, DOWN, {"d/x": b"evil"}, {"d/": None})
    with bench.engine() as engine:
        one = Sync(engine, bench.folder, "/r", DOWN)
        plan = one.plan()
        bench.folder.joinpath("d").rmdir()
        bench.folder.joinpath("d").symlink_to(outside)
        assert isinstance(one.execute(plan).error, SafetyRefused)
    assert list(outside.iterdir()) == []


def test_a_server_that_invents_folders_without_end(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    small = Bounds(max_entries=50, max_depth=5)
    monkeypatch.setattr("homeport.client.tree.Bounds", lambda: small)
    build(bench, DOWN, {}, None)
    bench.server.hidden_entries = True
    monkeypatch.setattr(bench.server, "extra_entries", _Endless())
    plan, _ = sync(bench, DOWN)
    assert [problem.reason for problem in plan.blocked] == ["more than 5 folders deep; not entered"]
    small = Bounds(max_entries=3)
    with pytest.raises(SafetyRefused, match="there are more than 3 names; nothing was changed"):
        sync(bench, DOWN)


class _Endless(dict[str, list[RemoteEntry]]):
    def get(self, _path: str, _default: object = None) -> list[RemoteEntry]:
        return [RemoteEntry("again", Kind.DIRECTORY)]


def test_links_on_the_server_are_left_out(bench: Bench) -> None:
    build(bench, DOWN, {"a": b"a"}, None)
    bench.server.extra_entries["/r"] = [RemoteEntry("l", Kind.LINK), RemoteEntry("o", Kind.OTHER)]
    plan, _ = sync(bench, DOWN)
    assert [problem.reason for problem in plan.blocked] == ["no ordinary file or folder on the server; left out"] * 2


def test_a_name_that_comes_twice(bench: Bench) -> None:
    build(bench, DOWN, {"a": b"a"}, None)
    bench.server.extra_entries["/r"] = [RemoteEntry("a", Kind.FILE, 1, 1.0)]
    with pytest.raises(errors.ProtocolViolation, match="lists 'a' twice"):
        sync(bench, DOWN)


def test_parts_of_downloads_take_no_part(bench: Bench) -> None:
    build(bench, UP, {**SOURCE, ".a.homeport-part": b"p", ".a.homeport-part.json": b"{}"}, {".z.homeport-part": b""})
    assert sync(bench, UP, SyncOptions(delete=True))[1].is_clean
    assert remote_shape(bench.server, "/r") == {**SOURCE, ".z.homeport-part": b""}


def test_scanning_here(tmp_path: Path) -> None:
    build_local(tmp_path, {"d/a": b"a"})
    os.mkfifo(tmp_path / "p")
    (tmp_path / "l").symlink_to("d")
    tree = scan_local(tmp_path)
    assert {node.segments: node.kind for node in tree.nodes.values()} == {
        ("d",): Kind.DIRECTORY,
        ("d", "a"): Kind.FILE,
        ("p",): Kind.OTHER,
        ("l",): Kind.LINK,
    }
    assert sorted(problem.reason for problem in tree.problems) == ["a link; left out", "no ordinary file; left out"]
    assert (tree.files, tree.bytes) == (3, 1)


def test_scanning_here_what_cannot_be_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    build_local(tmp_path, {"d/a": b"a", "e": b"e"})
    scandir = os.scandir

    def refuse(path: Path) -> Iterator[os.DirEntry[str]]:
        if path.name == "d":
            raise PermissionError(13, "Permission denied")
        return scandir(path)

    monkeypatch.setattr(os, "scandir", refuse)
    tree = scan_local(tmp_path)
    assert tree.unread == {("d",)}
    assert [problem.reason for problem in tree.problems] == ["cannot be read: Permission denied"]


class _Vanishing:
    name = "x"

    def stat(self, *, follow_symlinks: bool) -> os.stat_result:
        raise FileNotFoundError(2, "No such file or directory")


def test_scanning_here_what_vanishes(tmp_path: Path) -> None:
    from homeport.client.tree import Tree, _local_node

    tree = Tree()
    assert _local_node(tree, (), _Vanishing()) is None  # type: ignore[arg-type]
    assert tree.unread == {("x",)}


@pytest.mark.parametrize(
    ("root", "segments", "path"), [("/", (), "/"), ("/", ("a",), "/a"), ("/r/", ("a", "b"), "/r/a/b"), ("/r", (), "/r")]
)
def test_joining(root: str, segments: tuple[str, ...], path: str) -> None:
    assert join_remote(root, segments) == path


def test_telling_cases_apart(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert not folds_names(tmp_path)
    assert not folds_names(tmp_path / "none")
    monkeypatch.setattr(Path, "exists", lambda _path: True)
    assert folds_names(tmp_path)
    assert list(tmp_path.iterdir()) == []


def test_a_scan_hears_refusals_of_the_root() -> None:
    with pytest.raises(ServerRefused):
        RemoteScan("/r").refused((), ServerRefused("no"))


# --- any two trees ---

NAMES = st.sampled_from(["a", "A", "b", "中", "e\u0301", "\u00e9"])
PATHS = st.lists(NAMES, min_size=1, max_size=3).map("/".join)
# Of one size, one content: by size and time, two files made in the same moment are rightly taken for equal.
CONTENT = st.one_of(st.none(), st.integers(0, 3).map(bytes))


def possible(shape: Shape) -> Shape:
    """Without names below files."""
    files = {path for path, data in shape.items() if data is not None}
    folders = {path.rsplit("/", n)[0] for path in shape for n in range(1, path.count("/") + 1)}
    return {
        path: data
        for path, data in shape.items()
        if not any(path.startswith(name + "/") for name in files) and path not in folders
    }


SHAPES = st.dictionaries(PATHS, CONTENT, max_size=8).map(possible)


@settings(max_examples=80, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(source=SHAPES, target=SHAPES, delete=st.booleans(), direction=st.sampled_from([UP, DOWN]))
def test_what_is_executed_is_what_was_shown(source: Shape, target: Shape, delete: bool, direction: Direction) -> None:
    folder = Path(tempfile.mkdtemp())
    try:
        bench = Bench(folder / "local", jobs=1, attempts=2)
        build(bench, direction, source, target)
        before = target_shape(bench, direction)
        with bench.engine() as engine:
            one = Sync(engine, bench.folder, "/r", direction, SyncOptions(delete=delete))
            try:
                plan = one.plan()
            except SafetyRefused:
                assert not source
                return
            assert target_shape(bench, direction) == before  # to look changes nothing
            executed: list[Item] = []

            def heard(item: Item, _outcome: Outcome) -> None:
                executed.append(item)

            assert engine.run_phases(one.phases(plan), heard).is_clean
            assert [_step_of(item, bench, direction) for item in executed] == [_told(step) for step in plan.steps]
            after = target_shape(bench, direction)
            if delete:
                assert len(after) == len(source)
                assert sorted(map(repr, after.values())) == sorted(map(repr, source.values()))
            else:
                assert all(path in after for path, data in before.items() if data is not None)
            again = Sync(engine, bench.folder, "/r", direction, SyncOptions(delete=delete)).plan()
            assert again.steps == ()
            assert again.blocked == plan.blocked
    finally:
        shutil.rmtree(folder)


def _told(step: Step) -> tuple[str, str]:
    return step.act.value, "/".join(step.target)


def _step_of(item: Item, bench: Bench, direction: Direction) -> tuple[str, str]:
    act = "transfer" if item.deed in (Deed.UPLOAD, Deed.DOWNLOAD) else item.deed.value
    here = str(item.local.relative_to(bench.folder))
    return act, item.remote.removeprefix("/r/") if direction is UP else here
