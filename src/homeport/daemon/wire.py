"""JSON lines, as the control socket and the links between master and workers speak them.

One rule: a line has a limit, and whatever is not one JSON object in one line is refused before it is looked at.
"""

from __future__ import annotations

import json
from typing import Any

MAX_REQUEST_BYTES = 64 * 1024
MAX_ANSWER_BYTES = 32 * 1024 * 1024  # 10,000 sessions in `who` are about 5 MiB

Message = dict[str, Any]


class BadMessage(ValueError):
    """A line that is no message; the text says why."""


def encode(message: Message) -> bytes:
    """`message` as one line of ASCII."""
    return json.dumps(message, separators=(",", ":")).encode("ascii") + b"\n"


def decode(line: bytes) -> Message:
    """The message in `line`. Raises BadMessage for everything else."""
    try:
        message = json.loads(line)
    except (ValueError, RecursionError):  # UnicodeDecodeError is a ValueError
        raise BadMessage("not JSON") from None
    if not isinstance(message, dict):
        raise BadMessage("not a JSON object")
    return message
