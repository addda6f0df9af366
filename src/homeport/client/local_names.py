"""The one way in which a name that a server chose reaches this machine's disk.

The one rule: what comes out lies directly in the folder that was given, under a name that this system can hold. A name
that cannot be trusted is refused, never repaired: two remote names must not become one file.
"""

from __future__ import annotations

import os
import re
import sys
from pathlib import Path

from homeport.client.errors import SafetyRefused

_WINDOWS_RESERVED = re.compile(r"(?i)^(con|prn|aux|nul|com[0-9¹²³]|lpt[0-9¹²³]|conin\$|conout\$)(\.|$)")
_WINDOWS_FORBIDDEN = re.compile(r'[<>:"|?*\\\x00-\x1f]|[. ]$')
NAME_MAX_BYTES = 255


def safe_child(folder: Path, name: str, *, windows: bool = sys.platform == "win32") -> Path:
    """The place of `name`, one segment, directly in `folder`. Raises SafetyRefused, which says why."""
    check_name(name, windows=windows)
    return folder / (name if windows else _spelled(name))


def check_name(name: str, *, windows: bool = sys.platform == "win32") -> None:
    """Raise SafetyRefused where `safe_child` would, whatever the folder."""
    reason = _objection(name, windows)
    if reason:
        raise SafetyRefused(f"the server names a file {name!r}, which {reason}; nothing was written")


def _spelled(name: str) -> str:
    """The name that has the same bytes here as over there, whatever charset this process was started with."""
    return os.fsdecode(name.encode("utf-8", "surrogateescape"))


def safe_descendant(root: Path, segments: tuple[str, ...]) -> Path:
    """The place below `root` that `segments` lead to. No link on the way may lead out of `root`.

    Raises SafetyRefused. `root` itself may be a link: the person chose it.
    """
    place, has_links = root, False
    for segment in segments:
        has_links = has_links or (place is not root and os.path.islink(place))
        place = safe_child(place, segment)
    if not has_links:
        return place
    real_root = os.path.realpath(root)
    real_parent = os.path.realpath(place.parent)
    if os.path.commonpath([real_root, real_parent]) != real_root:
        raise SafetyRefused(f"{place}: a link on the way leads out of {root}; nothing was written")
    return place


def _objection(name: str, windows: bool) -> str:
    if name in ("", ".", ".."):
        return "is no file name"
    if "/" in name or "\0" in name:
        return "holds a separator or NUL"
    if len(name.encode("utf-8", "surrogateescape")) > NAME_MAX_BYTES:
        return "is too long for this system"
    if windows and (_WINDOWS_FORBIDDEN.search(name) or _WINDOWS_RESERVED.match(name)):
        return "this system cannot hold"
    return ""
