"""The numbers of SFTP version 3, by the names of its draft (draft-ietf-secsh-filexfer-02)."""

from __future__ import annotations

import enum

VERSION = 3

# As OpenSSH's: its client asks for no more, and larger packets would only be held in memory longer.
MAX_PACKET_BYTES = 256 * 1024
MAX_DATA_BYTES = MAX_PACKET_BYTES - 1024


class Type(enum.IntEnum):
    """What a packet is (section 3)."""

    INIT = 1
    VERSION = 2
    OPEN = 3
    CLOSE = 4
    READ = 5
    WRITE = 6
    LSTAT = 7
    FSTAT = 8
    SETSTAT = 9
    FSETSTAT = 10
    OPENDIR = 11
    READDIR = 12
    REMOVE = 13
    MKDIR = 14
    RMDIR = 15
    REALPATH = 16
    STAT = 17
    RENAME = 18
    READLINK = 19
    SYMLINK = 20
    STATUS = 101
    HANDLE = 102
    DATA = 103
    NAME = 104
    ATTRS = 105
    EXTENDED = 200
    EXTENDED_REPLY = 201


class Status(enum.IntEnum):
    """How a request ended (section 7). Version 3 has no others."""

    OK = 0
    EOF = 1
    NO_SUCH_FILE = 2
    PERMISSION_DENIED = 3
    FAILURE = 4
    BAD_MESSAGE = 5
    NO_CONNECTION = 6
    CONNECTION_LOST = 7
    OP_UNSUPPORTED = 8


class Open(enum.IntFlag):
    """How a file is to be opened (section 6.3)."""

    READ = 0x01
    WRITE = 0x02
    APPEND = 0x04
    CREATE = 0x08
    TRUNCATE = 0x10
    EXCLUSIVE = 0x20


class Has(enum.IntFlag):
    """Which attributes a packet carries (section 5)."""

    SIZE = 0x01
    OWNER = 0x02
    MODE = 0x04
    TIMES = 0x08
    EXTENDED = 0x80000000
