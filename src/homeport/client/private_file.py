"""Files of the client that hold what others need not read. One rule: they are replaced whole, and have mode 0600."""

from __future__ import annotations

import contextlib
import os
from pathlib import Path

from homeport.client.errors import LocalFailed


def replace_private(path: Path, text: str) -> None:
    """Let `path` hold `text`, and the old text until then; its folder is made with mode 0700. Raises LocalFailed."""
    import tempfile  # takes its time to load, and little is ever written

    try:
        path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        descriptor, temporary = tempfile.mkstemp(dir=path.parent, prefix=f".{path.stem}-")  # mode 0600
        try:
            with open(descriptor, "w", encoding="utf-8") as file:
                file.write(text)
            os.replace(temporary, path)
        except BaseException:
            with contextlib.suppress(OSError):
                os.unlink(temporary)
            raise
    except OSError as failure:
        raise LocalFailed(f"{path} cannot be written: {failure.strerror}") from failure
