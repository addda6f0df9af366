"""What an account may do in its home: a set of rights and one question, `allows`."""

from __future__ import annotations

import enum


class Rights(enum.Flag):
    """One flag a kind of deed. `WRITE` is storing a new file, `OVERWRITE` replacing one or appending to it."""

    LIST = enum.auto()
    READ = enum.auto()
    WRITE = enum.auto()
    OVERWRITE = enum.auto()
    RENAME = enum.auto()
    DELETE = enum.auto()
    MKDIR = enum.auto()
    CHANGE = enum.auto()  # modes and times

    NONE = 0
    READ_ONLY = LIST | READ
    UPLOAD_ONLY = LIST | WRITE | MKDIR
    ALL = LIST | READ | WRITE | OVERWRITE | RENAME | DELETE | MKDIR | CHANGE

    def allows(self, needed: Rights) -> bool:
        """Whether every right in `needed` is here."""
        # On plain numbers: operators of enum.Flag cost a microsecond each, `value` a third of one, and every deed asks.
        wanted: int = needed._value_
        return self._value_ & wanted == wanted

    def allows_any(self, of: Rights) -> bool:
        """Whether at least one right in `of` is here."""
        return self._value_ & of._value_ != 0

    def names(self) -> list[str]:
        """The single rights' lower-case names, in the order of their definition."""
        return [right.name.lower() for right in Rights if right in self and right.name is not None]

    @classmethod
    def parse(cls, text: str) -> Rights:
        """Read `all`, `none`, `read-only`, `upload-only`, or names joined by commas such as `list,read`.

        Raises ValueError that names the unknown word and the known ones.
        """
        rights = cls.NONE
        for word in filter(None, (part.strip() for part in text.split(","))):
            known = cls.__members__.get(word.upper().replace("-", "_"))
            if known is None:
                choices = ", ".join(name.lower().replace("_", "-") for name in cls.__members__)
                raise ValueError(f"no right is called {word!r}; there are: {choices}")
            rights |= known
        return rights

    def __str__(self) -> str:
        return "all" if self == Rights.ALL else ",".join(self.names()) or "none"
