"""What is known of uploads that were begun and not finished, so that the next try, or the next process, goes on.

The one rule: only what this client began is resumed. A file over there that merely looks like a beginning of ours is
left alone. One small file an upload, replaced whole; a file that cannot be read counts as none.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
from dataclasses import asdict, dataclass
from pathlib import Path

from homeport.client.errors import LocalFailed


@dataclass(frozen=True, slots=True)
class UploadState:
    """An upload under way: where it goes, from which file, and that file's size in bytes and mtime as it was then."""

    origin: str
    remote: str
    local: str
    size: int
    mtime_ns: int


class UploadStates:
    """The folder of states; with None they live as long as this object."""

    def __init__(self, folder: Path | None) -> None:
        self._folder = folder
        self._here: dict[str, UploadState] = {}

    def is_under_way(self, state: UploadState) -> bool:
        """Whether this very upload was begun before: same place, same file, unchanged since."""
        key = _key(state)
        if self._folder is None:
            return self._here.get(key) == state
        try:
            kept = json.loads((self._folder / key).read_text(encoding="utf-8"))
        except (OSError, ValueError):
            return False
        return bool(kept == asdict(state))

    def begin(self, state: UploadState) -> None:
        """Remember, before the first byte goes out. Raises LocalFailed."""
        key = _key(state)
        if self._folder is None:
            self._here[key] = state
            return
        try:
            self._folder.mkdir(mode=0o700, parents=True, exist_ok=True)
            temporary = self._folder / f"{key}.{os.getpid()}.tmp"
            temporary.write_text(json.dumps(asdict(state)), encoding="utf-8")
            os.replace(temporary, self._folder / key)
        except OSError as failure:
            raise LocalFailed(f"{self._folder}: the state of an upload cannot be kept: {failure.strerror}") from failure

    def end(self, state: UploadState) -> None:
        """It is done, or it begins again from nothing."""
        key = _key(state)
        self._here.pop(key, None)
        if self._folder is not None:
            with contextlib.suppress(OSError):
                (self._folder / key).unlink()


def _key(state: UploadState) -> str:
    place = f"{state.origin}\0{state.remote}\0{state.local}"
    return hashlib.sha256(place.encode("utf-8", "surrogateescape")).hexdigest()[:32] + ".json"
