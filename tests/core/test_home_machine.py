"""Any sequence of deeds in a home against a model of it: contents, sizes, and every byte of the quota.

The model says exactly when a quota refuses and how much of a cut upload is kept, so a refusal that should not have come
fails the test as surely as one that is missing.
"""

from __future__ import annotations

import tempfile
from contextlib import ExitStack
from pathlib import Path

import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule
from tests.contract.house import House
from tests.contract.subject import Used

from homeport.core.errors import HomeportError, OffsetPastEnd, QuotaExceeded
from homeport.core.home import Home
from homeport.core.paths import ROOT, VirtualPath
from homeport.core.transfer import Upload

LIMIT_BYTES = 100
LIMIT_FILES = 6
PATHS = st.sampled_from(["/a", "/b", "/d/a", "/d/b"])
FOLDERS = st.sampled_from(["/d", "/e"])
DATA = st.binary(max_size=60)


def where(path: str) -> VirtualPath:
    return ROOT.join(path)


class HomeMachine(RuleBasedStateMachine):
    """One home with a small quota."""

    def __init__(self) -> None:
        super().__init__()
        self.cleanup = ExitStack()
        root = Path(self.cleanup.enter_context(tempfile.TemporaryDirectory()))
        self.house: House = self.cleanup.enter_context(House.built(root))
        self.house.account("ann", quota_bytes=LIMIT_BYTES, max_files=LIMIT_FILES)
        self.home: Home = self.cleanup.enter_context(self.house.open_home("ann"))
        self.files: dict[str, bytes] = {}
        self.stages: dict[str, bytes] = {}
        self.folders: set[str] = set()

    def teardown(self) -> None:
        self.cleanup.close()

    @initialize()
    def furnish(self) -> None:
        self.make_folder("/d")

    def used(self) -> Used:
        contents = [*self.files.values(), *self.stages.values()]
        return Used(sum(map(len, contents)), len(contents) + len(self.folders))

    def has_parent(self, path: str) -> bool:
        parent = path.rpartition("/")[0]
        return not parent or parent in self.folders

    @rule(path=PATHS, data=DATA, keep=st.booleans())
    def put(self, path: str, data: bytes, keep: bool) -> None:
        self.store(path, b"", data, keep, offset=None)

    @rule(path=PATHS, data=DATA, keep=st.booleans(), offset=st.integers(1, 70))
    def restart(self, path: str, data: bytes, keep: bool, offset: int) -> None:
        whole, stage = self.files.get(path), self.stages.get(path)
        if whole is not None and offset == len(whole):
            start = whole
        elif stage is not None and offset <= len(stage):
            start = stage[:offset]
        elif whole is not None and offset < len(whole):
            start = whole[:offset]
        else:
            with pytest.raises(HomeportError) as caught:
                self.home.begin_upload(where(path), offset=offset)
            assert not self.has_parent(path) or isinstance(caught.value, OffsetPastEnd | QuotaExceeded)
            return
        self.store(path, start, data, keep, offset=offset)

    @rule(path=PATHS, data=DATA, keep=st.booleans())
    def append(self, path: str, data: bytes, keep: bool) -> None:
        start = self.files.get(path, self.stages.get(path, b""))
        self.store(path, start, data, keep, offset=None, append=True)

    def store(
        self, path: str, start: bytes, data: bytes, keep: bool, *, offset: int | None, append: bool = False
    ) -> None:
        """Store `start` + `data`, of which the server is to have `start` already; without `keep` cut it at the end."""
        if not self.has_parent(path):
            with pytest.raises(HomeportError):
                self.home.begin_upload(where(path), offset=offset, append=append)
            return
        old = self.files.get(path)
        used = self.used()
        if path not in self.stages and used.files == LIMIT_FILES and old is None:
            with pytest.raises(QuotaExceeded):
                self.home.begin_upload(where(path), offset=offset, append=append)
            return
        gone = path not in self.stages and used.files == LIMIT_FILES
        free = LIMIT_BYTES - used.bytes + len(self.stages.get(path, b""))
        credit = len(old) if old is not None else 0
        upload = self.home.begin_upload(where(path), offset=offset, append=append)
        assert upload.offset == len(start)
        come = start
        if len(start) + len(data) <= free + credit:
            upload.write(data)
            come += data
        else:
            with pytest.raises(QuotaExceeded):
                upload.write(data)
            keep = False
            gone = gone or path not in self.stages  # refused: all is as it was
        self.end(path, upload, come, keep, left=0 if gone else len(come) - max(0, len(come) - free))

    def end(self, path: str, upload: Upload, come: bytes, keep: bool, *, left: int) -> None:
        self.stages.pop(path, None)
        if keep:
            upload.commit()
            self.files[path] = come
            return
        upload.abort("cut")
        if left:
            self.stages[path] = come[:left]

    @rule(path=PATHS)
    def remove(self, path: str) -> None:
        if path in self.files:
            self.home.remove_file(where(path))
            del self.files[path]
        elif path in self.stages:
            self.home.remove_file(where(path))
            del self.stages[path]
        else:
            with pytest.raises(HomeportError):
                self.home.remove_file(where(path))

    @rule(source=PATHS, onto=PATHS)
    def rename(self, source: str, onto: str) -> None:
        if source in self.files and self.has_parent(onto):
            self.home.rename(where(source), where(onto))
            self.files[onto] = self.files.pop(source)
        else:
            with pytest.raises(HomeportError):
                self.home.rename(where(source), where(onto))

    @rule(path=FOLDERS)
    def make_folder(self, path: str) -> None:
        if path not in self.folders and self.used().files < LIMIT_FILES:
            self.home.make_directory(where(path))
            self.folders.add(path)
        else:
            with pytest.raises(HomeportError):
                self.home.make_directory(where(path))

    @rule(path=FOLDERS)
    def remove_folder(self, path: str) -> None:
        if path in self.folders and not any(file.startswith(path + "/") for file in self.files):
            self.home.remove_directory(where(path))
            self.folders.remove(path)
        else:
            with pytest.raises(HomeportError):
                self.home.remove_directory(where(path))

    @rule()
    def recount(self) -> None:
        with self.house.planting("ann"):
            pass

    @invariant()
    def the_ledger_equals_the_disk_and_the_model(self) -> None:
        used = self.house.usage("ann")
        assert used == self.house.recount("ann") == self.used()
        assert used.bytes <= LIMIT_BYTES
        assert used.files <= LIMIT_FILES

    @invariant()
    def contents_equal_the_model(self) -> None:
        folder = self.house.home("ann")
        assert {path: (folder / path[1:]).read_bytes() for path in self.files} == self.files
        assert sum(1 for _ in folder.rglob("*")) == len(self.files) + len(self.folders)
        for path, stage in self.stages.items():
            if path not in self.files and self.has_parent(path):
                assert self.home.resume_size(where(path)) == len(stage)


TestHomeMachine = HomeMachine.TestCase
TestHomeMachine.settings = settings(
    max_examples=40, stateful_step_count=30, deadline=None, suppress_health_check=list(HealthCheck)
)
