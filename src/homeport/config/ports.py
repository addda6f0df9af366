"""Sets of ports as administrators write them: `2300-2349,2360`, with holes where a port is taken by something else."""

from __future__ import annotations


def parse_ports(text: str) -> tuple[int, ...]:
    """The ports of `2300-2349,2360`, ascending and each once; `any` gives none: the kernel picks.

    Raises ValueError that names the part which cannot be read.
    """
    if text.strip().lower() == "any":
        return ()
    ports: set[int] = set()
    for part in text.split(","):
        ports.update(_parse_part(part.strip()))
    return tuple(sorted(ports))


def _parse_part(part: str) -> range:
    first, dash, last = (piece.strip() for piece in part.partition("-"))
    if not first.isascii() or not first.isdigit() or (dash and not (last.isascii() and last.isdigit())):
        raise ValueError(f"{part!r} is no port and no range; write such as 2300-2349,2360 or any")
    low, high = int(first), int(last or first)
    if not 1 <= low <= 65535 or not 1 <= high <= 65535:
        raise ValueError(f"{part!r} leaves the ports 1 to 65535")
    if low > high:
        raise ValueError(f"{part!r} runs backwards; write {high}-{low}")
    return range(low, high + 1)
