"""What is wrong with a configuration, as data. One rule: every problem names its key, says what and what to do,
and never repeats a value that may be a secret."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Problem:
    """`key` is the dotted path (empty: the file itself); `what` is wrong; `advice` says what to do."""

    key: str
    what: str
    advice: str = ""

    def __str__(self) -> str:
        head = f"{self.key}: {self.what}" if self.key else self.what
        return f"{head}; {self.advice}" if self.advice else head


@dataclass(eq=False)
class ConfigError(Exception):
    """The configuration cannot be used; `problems` lists everything that is wrong with it."""

    problems: tuple[Problem, ...]

    def __str__(self) -> str:
        lines = "\n".join(f"  {problem}" for problem in self.problems)
        noun = "problem" if len(self.problems) == 1 else "problems"
        return f"the configuration has {len(self.problems)} {noun}:\n{lines}"
