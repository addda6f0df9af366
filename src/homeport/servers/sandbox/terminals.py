"""A pseudo-terminal for a command: its size, and what the client's own terminal is set to.

The one rule: the terminal is made for one command and closed with it, so that nothing that the command writes to it
or types into it reaches another program.
"""

from __future__ import annotations

import fcntl
import os
import struct
import termios
from collections.abc import Mapping
from dataclasses import dataclass, field

_MOST = 0xFFFF

# RFC 4254, 8: opcodes of encoded terminal modes.
_CHARACTERS = {
    1: termios.VINTR, 2: termios.VQUIT, 3: termios.VERASE, 4: termios.VKILL, 5: termios.VEOF, 6: termios.VEOL,
    7: termios.VEOL2, 8: termios.VSTART, 9: termios.VSTOP, 10: termios.VSUSP, 12: termios.VREPRINT,
    13: termios.VWERASE, 14: termios.VLNEXT, 18: termios.VDISCARD,
}  # fmt: skip
_INPUT, _OUTPUT, _LOCAL = 0, 1, 3  # places in what tcgetattr gives
_FLAGS = {
    34: (_INPUT, termios.INLCR), 35: (_INPUT, termios.IGNCR), 36: (_INPUT, termios.ICRNL), 38: (_INPUT, termios.IXON),
    39: (_INPUT, termios.IXANY), 40: (_INPUT, termios.IXOFF), 41: (_INPUT, termios.IMAXBEL),
    42: (_INPUT, 0o40000),  # IUTF8 (RFC 8160), which Python does not name
    50: (_LOCAL, termios.ISIG), 51: (_LOCAL, termios.ICANON), 53: (_LOCAL, termios.ECHO), 54: (_LOCAL, termios.ECHOE),
    55: (_LOCAL, termios.ECHOK), 56: (_LOCAL, termios.ECHONL), 57: (_LOCAL, termios.NOFLSH),
    58: (_LOCAL, termios.TOSTOP), 59: (_LOCAL, termios.IEXTEN), 60: (_LOCAL, termios.ECHOCTL),
    61: (_LOCAL, termios.ECHOKE), 70: (_OUTPUT, termios.OPOST), 72: (_OUTPUT, termios.ONLCR),
}  # fmt: skip


@dataclass(frozen=True, slots=True)
class Size:
    """Columns and rows, and the same in pixels where the client knows them."""

    columns: int = 80
    rows: int = 24
    width: int = 0
    height: int = 0


@dataclass(frozen=True, slots=True)
class Terminal:
    """What a command's terminal is to be. `modes`: RFC 4254's opcodes with their values."""

    size: Size = field(default_factory=Size)
    modes: Mapping[int, int] = field(default_factory=dict)

    def open(self) -> tuple[int, int]:
        """The master's and the slave's descriptors. Raises OSError."""
        master, slave = os.openpty()
        resize(master, self.size)
        settings = termios.tcgetattr(slave)
        for opcode, value in self.modes.items():
            _apply(settings, opcode, value)
        termios.tcsetattr(slave, termios.TCSANOW, settings)
        return master, slave


def resize(master: int, size: Size) -> None:
    """Give the terminal this size; who works on it is told (SIGWINCH)."""
    numbers = (size.rows or 24, size.columns or 80, size.width, size.height)
    fcntl.ioctl(master, termios.TIOCSWINSZ, struct.pack("HHHH", *(min(max(0, number), _MOST) for number in numbers)))


def _apply(settings: list[object], opcode: int, value: int) -> None:
    characters = settings[6]
    assert isinstance(characters, list)
    if opcode in _CHARACTERS:
        characters[_CHARACTERS[opcode]] = b"\0" if value >= 0xFF else bytes([value])  # 255: switched off
    elif opcode in _FLAGS:
        place, flag = _FLAGS[opcode]
        flags = settings[place]
        assert isinstance(flags, int)
        settings[place] = flags | flag if value else flags & ~flag
