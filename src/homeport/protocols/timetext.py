"""The time as text: a datagram with a format is answered with the time in it.

    request = [ "@" zone " " ] format       UTF-8; an empty format means %Y-%m-%d %X
    answer  = the text, or "? " and what is wrong

The one rule: an answer is never longer than the larger of its request and MIN_ANSWER_BYTES. So a format knows these
directives and no others, each of bounded length, with English names and no locale; a width, a flag or anything else
that the C library would expand is refused.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from datetime import datetime, tzinfo

DEFAULT_FORMAT = "%Y-%m-%d %X"
MAX_REQUEST_BYTES = 512
MIN_ANSWER_BYTES = 64

_DAYS = ("Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday", "Sunday")
_MONTHS = (
    *("January", "February", "March", "April", "May", "June", "July"),
    *("August", "September", "October", "November", "December"),
)
_ZONE = re.compile(r"[A-Za-z][A-Za-z0-9+_-]*(/[A-Za-z0-9+_-]+){0,2}", re.ASCII)
_MAX_ZONE = 48
_REFUSAL = "? "

Zones = Callable[[str], tzinfo | None]


def answer(request: bytes, now: datetime, zones: Zones) -> bytes | None:
    """The answer to `request` at `now`, which knows its own zone. None: none must be sent.

    `zones` gives the zone of a name such as `Asia/Shanghai`, or None where there is no such zone.
    """
    if len(request) > MAX_REQUEST_BYTES or request.startswith(_REFUSAL.encode()):
        return None  # who sends us a refusal is a service like us
    try:
        text = _formatted(request.decode("utf-8"), now, zones)
    except UnicodeDecodeError:
        text = f"{_REFUSAL}not UTF-8"
    except ValueError as error:
        text = f"{_REFUSAL}{error}"
    made = text.encode()
    limit = max(len(request), MIN_ANSWER_BYTES)
    return made if len(made) <= limit else f"{_REFUSAL}the answer would be longer than {limit} bytes".encode()


def render(form: str, moment: datetime) -> str:
    """`moment` in the format `form`. Raises ValueError for a directive that is not known."""
    pieces, at = [], 0
    while (percent := form.find("%", at)) >= 0:
        pieces.append(form[at:percent])
        directive = form[percent + 1 : percent + 2]
        write = _DIRECTIVES.get(directive)
        if write is None:
            shown = ascii(directive)[1:-1]
            raise ValueError(f"no directive %{shown}" if directive else "a % without a letter")
        pieces.append(write(moment))
        at = percent + 2
    return "".join([*pieces, form[at:]])


def _formatted(text: str, now: datetime, zones: Zones) -> str:
    if text.startswith("@"):
        name, _, text = text[1:].partition(" ")
        zone = zones(name) if len(name) <= _MAX_ZONE and _ZONE.fullmatch(name) else None
        if zone is None:
            raise ValueError("no such time zone; write such as @Asia/Shanghai %H:%M")
        now = now.astimezone(zone)
    return render(text or DEFAULT_FORMAT, now)


def _offset(moment: datetime) -> str:
    offset = moment.utcoffset()
    if offset is None:
        return ""
    minutes = round(offset.total_seconds() / 60)
    return f"{'-' if minutes < 0 else '+'}{abs(minutes) // 60:02d}{abs(minutes) % 60:02d}"


def _week(moment: datetime, first_day: int) -> str:
    """The week of the year; the days before the first `first_day` (0: Monday) are week 0."""
    day_of_year = moment.timetuple().tm_yday
    return f"{(day_of_year + 6 - (moment.weekday() - first_day) % 7) // 7:02d}"


_DIRECTIVES: dict[str, Callable[[datetime], str]] = {
    "%": lambda _: "%",
    "A": lambda now: _DAYS[now.weekday()],
    "B": lambda now: _MONTHS[now.month - 1],
    "C": lambda now: f"{now.year // 100:02d}",
    "D": lambda now: f"{now.month:02d}/{now.day:02d}/{now.year % 100:02d}",
    "F": lambda now: f"{now.year:04d}-{now.month:02d}-{now.day:02d}",
    "G": lambda now: f"{now.isocalendar().year:04d}",
    "H": lambda now: f"{now.hour:02d}",
    "I": lambda now: f"{(now.hour - 1) % 12 + 1:02d}",
    "M": lambda now: f"{now.minute:02d}",
    "N": lambda now: f"{now.microsecond * 1000:09d}",
    "R": lambda now: f"{now.hour:02d}:{now.minute:02d}",
    "S": lambda now: f"{now.second:02d}",
    "T": lambda now: f"{now.hour:02d}:{now.minute:02d}:{now.second:02d}",
    "U": lambda now: _week(now, 6),
    "V": lambda now: f"{now.isocalendar().week:02d}",
    "W": lambda now: _week(now, 0),
    "X": lambda now: f"{now.hour:02d}:{now.minute:02d}:{now.second:02d}",
    "Y": lambda now: f"{now.year:04d}",
    "Z": lambda now: (now.tzname() or "")[:16],
    "a": lambda now: _DAYS[now.weekday()][:3],
    "b": lambda now: _MONTHS[now.month - 1][:3],
    "c": lambda now: render("%a %b %e %T %Y", now),
    "d": lambda now: f"{now.day:02d}",
    "e": lambda now: f"{now.day:2d}",
    "f": lambda now: f"{now.microsecond:06d}",
    "h": lambda now: _MONTHS[now.month - 1][:3],
    "j": lambda now: f"{now.timetuple().tm_yday:03d}",
    "m": lambda now: f"{now.month:02d}",
    "n": lambda _: "\n",
    "p": lambda now: "AM" if now.hour < 12 else "PM",
    "r": lambda now: render("%I:%M:%S %p", now),
    "s": lambda now: str(int(now.timestamp() // 1)),
    "t": lambda _: "\t",
    "u": lambda now: str(now.isoweekday()),
    "w": lambda now: str(now.isoweekday() % 7),
    "x": lambda now: f"{now.month:02d}/{now.day:02d}/{now.year % 100:02d}",
    "y": lambda now: f"{now.year % 100:02d}",
    "z": _offset,
}
DIRECTIVES = frozenset(_DIRECTIVES)
