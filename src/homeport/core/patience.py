"""Whether a thread may be made to wait for others: for a recount, a lease, another process. An event loop may not.

The rule: whoever is about to wait asks here first, before anything is changed, and raises WouldBlock in a thread that
is in a hurry; the same call is then made again in one that is not.
"""

from __future__ import annotations

import threading
from types import TracebackType

from homeport.core.errors import WouldBlock


class _Here(threading.local):
    hurried = False


_here = _Here()


def be_patient() -> None:
    """What follows may take long. Raises WouldBlock in a thread that is in a hurry."""
    if _here.hurried:
        raise WouldBlock


class Hurry:
    """For as long as the block runs, this thread is not made to wait for others. Not to be nested."""

    def __enter__(self) -> None:
        _here.hurried = True

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        _here.hurried = False
