from __future__ import annotations

import pytest

from homeport.config.units import format_size, human_size, parse_duration, parse_mode, parse_size

SIZES = [
    (1234, 1234),
    ("1234", 1234),
    ("0", 0),
    ("10GiB", 10 * 1024**3),
    ("500M", 500 * 1024**2),
    ("1.5k", 1536),
    ("2 tib", 2 * 1024**4),
    ("1P", 1024**5),
    ("10GB", 10 * 1000**3),
    ("7b", 7),
]


@pytest.mark.parametrize(("text", "size"), SIZES)
def test_sizes(text: object, size: int) -> None:
    assert parse_size(text) == size


@pytest.mark.parametrize("text", ["", "x", "-1", -1, "1e9", "10 Gib b", "٣", True, 1.5, None, "1,5G", "GiB"])
def test_no_sizes(text: object) -> None:
    with pytest.raises(ValueError, match="not a size; write bytes, or a number with a unit such as 10GiB or 500M"):
        parse_size(text)


def test_a_size_beyond_63_bits_is_refused() -> None:
    with pytest.raises(ValueError, match="too large; the most is 9223372036854775807 bytes"):
        parse_size("8192P")


@pytest.mark.parametrize("size", [0, 1, 1023, 1024, 1536, 10 * 1024**3, 2**63 - 1])
def test_what_is_formatted_reads_back(size: int) -> None:
    assert parse_size(format_size(size)) == size


@pytest.mark.parametrize(
    ("size", "text"),
    [(0, "0 bytes"), (1023, "1023 bytes"), (1024, "1.0 KiB"), (10 * 1024**3, "10.0 GiB"), (2**63, "8192.0 PiB")],
)
def test_sizes_for_reading(size: int, text: str) -> None:
    assert human_size(size) == text


@pytest.mark.parametrize(
    ("text", "seconds"),
    [(90, 90.0), (1.5, 1.5), ("90", 90.0), ("90s", 90.0), ("15m", 900.0), ("24H", 86400.0), ("7d", 604800.0)],
)
def test_durations(text: object, seconds: float) -> None:
    assert parse_duration(text) == seconds


@pytest.mark.parametrize("text", ["", "x", -1, "-1s", float("nan"), float("inf"), True, None, "5 weeks"])
def test_no_durations(text: object) -> None:
    with pytest.raises(ValueError, match="not a duration; write seconds, or a number with a unit"):
        parse_duration(text)


@pytest.mark.parametrize(("text", "mode"), [("0640", 0o640), ("640", 0o640), ("0o600", 0o600), (0o700, 0o700)])
def test_modes(text: object, mode: int) -> None:
    assert parse_mode(text) == mode


@pytest.mark.parametrize("text", ["", "0888", "04755", 0o4755, -1, True, None, "rw-r-----"])
def test_no_modes(text: object) -> None:
    with pytest.raises(ValueError, match="not a file mode; write permission bits in octal"):
        parse_mode(text)
