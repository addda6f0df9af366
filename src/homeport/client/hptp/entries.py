"""Entries as they stand in JSON, as a Remote shows them.

The one rule: a server is believed to send objects, and nothing about what is in them.
"""

from __future__ import annotations

from homeport.client.errors import ProtocolViolation
from homeport.client.remote import Digest, Kind, RemoteEntry
from homeport.protocols.hptp import names
from homeport.protocols.hptp.strict_json import Json, JsonObject

_KINDS = {kind.value: kind for kind in Kind}
SHA256 = "SHA-256"


def entry_of(item: JsonObject, name: str | None = None) -> RemoteEntry:
    """The entry that `item` describes, called `name` where it does not say. Raises ProtocolViolation."""
    return RemoteEntry(
        name=name_of(item.get("name")) if name is None else name,
        kind=_KINDS.get(str(item.get("kind")), Kind.OTHER),
        size=whole(item.get("size")),
        mtime=seconds(item.get("mtime_ns")),
        mode=whole(item.get("mode")),
    )


def name_of(value: Json) -> str:
    """A name or path. Raises ProtocolViolation."""
    try:
        return names.from_wire(value)
    except ValueError as failure:
        raise ProtocolViolation(f"the server lists {failure}") from failure


def whole(value: Json) -> int | None:
    """A count or size, None where there is none."""
    return value if isinstance(value, int) and not isinstance(value, bool) and value >= 0 else None


def seconds(value: Json) -> float | None:
    """A time in seconds since the epoch from one in nanoseconds."""
    return value / 1_000_000_000 if isinstance(value, int) and not isinstance(value, bool) else None


def sha256_of(value: Json) -> Digest | None:
    """The digest in `value`, None where there is none."""
    return Digest(SHA256, value.lower()) if isinstance(value, str) and value else None
