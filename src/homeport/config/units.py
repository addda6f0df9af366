"""Sizes, durations and file modes as people write them. Rule: what is read is exact, or it is refused.

Binary: `K M G T P` alone or with `iB` count by 1024, as in `10GiB` or `500M`. Decimal: `kB MB GB TB PB` count by 1000.
Durations: plain numbers are seconds; `s m h d` may follow. Modes: octal digits such as `0640`.
"""

from __future__ import annotations

import math
import re

_SIZE = re.compile(r"(\d+(?:\.\d+)?)\s*([A-Za-z]*)", re.ASCII)
_DURATION = re.compile(r"(\d+(?:\.\d+)?)\s*([A-Za-z]*)", re.ASCII)
_MODE = re.compile(r"0?o?([0-7]{3,4})", re.ASCII)
_LETTERS = "kmgtp"
_SIZE_UNITS: dict[str, int] = {
    "": 1,
    "b": 1,
    **{letter: 1024 ** (power + 1) for power, letter in enumerate(_LETTERS)},
    **{f"{letter}ib": 1024 ** (power + 1) for power, letter in enumerate(_LETTERS)},
    **{f"{letter}b": 1000 ** (power + 1) for power, letter in enumerate(_LETTERS)},
}
_DURATION_UNITS = {"": 1.0, "s": 1.0, "m": 60.0, "h": 3600.0, "d": 86400.0}
_MAX_SIZE = 2**63 - 1
_NAMES = ("bytes", "KiB", "MiB", "GiB", "TiB", "PiB")


def parse_size(value: object) -> int:
    """Bytes meant by `10GiB`, `500M`, `1.5G` or 1234. Raises ValueError with examples."""
    if isinstance(value, int) and not isinstance(value, bool):
        number, unit = str(value), ""
    else:
        matched = _SIZE.fullmatch(value.strip()) if isinstance(value, str) else None
        number, unit = matched.groups() if matched else ("", "")
    factor: int | None = _SIZE_UNITS.get(unit.lower())
    if not number or factor is None or number.startswith("-"):
        raise ValueError("not a size; write bytes, or a number with a unit such as 10GiB or 500M")
    size = int(number) * factor if "." not in number else round(float(number) * factor)
    if size > _MAX_SIZE:
        raise ValueError(f"too large; the most is {_MAX_SIZE} bytes")
    return size


def format_size(size: int) -> str:
    """The shortest text that `parse_size` reads back as exactly `size` bytes."""
    power = 0
    while size and size % 1024 == 0 and power < len(_NAMES) - 1:
        size //= 1024
        power += 1
    return f"{size}{_NAMES[power]}" if power else str(size)


def human_size(size: int) -> str:
    """`size` bytes for reading: one decimal place, binary units."""
    if size < 1024:
        return f"{size} bytes"
    power = min(len(_NAMES) - 1, (size.bit_length() - 1) // 10)
    return f"{size / 1024**power:.1f} {_NAMES[power]}"


def parse_duration(value: object) -> float:
    """Seconds meant by 90, 1.5, `90s`, `15m`, `24h` or `7d`. Raises ValueError with examples."""
    if isinstance(value, int | float) and not isinstance(value, bool):
        if math.isfinite(value) and value >= 0:
            return float(value)
    elif isinstance(value, str):
        matched = _DURATION.fullmatch(value.strip())
        if matched and matched[2].lower() in _DURATION_UNITS:
            return float(matched[1]) * _DURATION_UNITS[matched[2].lower()]
    raise ValueError("not a duration; write seconds, or a number with a unit such as 90s, 15m, 24h or 7d")


def parse_mode(value: object) -> int:
    """Permission bits meant by `"0640"`, or by TOML's 0o640. Raises ValueError with examples."""
    if isinstance(value, str) and (matched := _MODE.fullmatch(value.strip())):
        value = int(matched[1], 8)
    if not isinstance(value, int) or isinstance(value, bool) or not 0 <= value <= 0o777:
        raise ValueError('not a file mode; write permission bits in octal such as "0640"')
    return value
