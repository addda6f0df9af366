"""Load asyncssh without its search for two libraries that Homeport does not use.

asyncssh looks for liboqs and nettle by `ctypes.util.find_library`, which runs a compiler and a linker where they are
not found: half a second on a machine that has both, and `ld -o /dev/null` as whoever starts the server. What Homeport
offers comes from cryptography. The rule: the packages that use asyncssh import this module first.
"""

from __future__ import annotations

import ctypes.util


def _find_nothing(name: str) -> str | None:  # noqa: ARG001 - stands in for find_library
    return None


_find_library = ctypes.util.find_library
ctypes.util.find_library = _find_nothing
try:
    import asyncssh  # noqa: F401 - from here on it is loaded
finally:
    ctypes.util.find_library = _find_library
