"""Where an upload starts: the one decision behind STOR, REST + STOR and APPE, SFTP's and HTTP's offsets.

The rule: what is continued is named by sizes alone, so the answer is a table over what the peer asked and what is
there. Nothing is opened here.
"""

from __future__ import annotations

import enum
from dataclasses import dataclass

from homeport.core.errors import OffsetPastEnd


class Beginning(enum.Enum):
    """What an upload's stage holds before the first byte comes."""

    EMPTY = "nothing: an older stage is thrown away"
    STAGE = "the first bytes of the stage that an earlier upload left"
    WHOLE = "a copy of the first bytes of the file that is there"


@dataclass(frozen=True, slots=True)
class Start:
    """An upload starts with `beginning`, of which it keeps `offset` bytes."""

    beginning: Beginning
    offset: int


@dataclass(frozen=True, slots=True)
class Present:
    """What is there of a path: the sizes in bytes of the whole file and of the stage, None where there is none."""

    whole: int | None
    stage: int | None


FROM_NOTHING = Start(Beginning.EMPTY, 0)


def start_of(path: str, present: Present, *, offset: int | None, append: bool, knows_stage: bool = False) -> Start:
    """Where an upload of `path` starts that asked for `offset` bytes in, or to `append`.

    A restart at the very end of the whole file continues that file, unless the peer is one that `knows_stage` and means
    it; any other goes on with the stage when it reaches so far, else with the beginning of the whole file. Raises
    OffsetPastEnd when neither does.
    """
    if append:
        return _at_the_end(present)
    if not offset:
        return FROM_NOTHING
    if offset == present.whole and not (knows_stage and present.stage is not None and offset <= present.stage):
        return Start(Beginning.WHOLE, offset)
    if present.stage is not None and offset <= present.stage:
        return Start(Beginning.STAGE, offset)
    if present.whole is not None and offset < present.whole:
        return Start(Beginning.WHOLE, offset)
    raise OffsetPastEnd(path, offset, max(present.whole or 0, present.stage or 0))


def _at_the_end(present: Present) -> Start:
    if present.whole is not None:
        return Start(Beginning.WHOLE, present.whole)
    if present.stage is not None:
        return Start(Beginning.STAGE, present.stage)
    return FROM_NOTHING
