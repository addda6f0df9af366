"""Where a new password comes from. One rule: never the command line, and a generated one is shown once."""

from __future__ import annotations

import secrets
import sys

import click

_ALPHABET = "abcdefghjkmnpqrstuvwxyz23456789"  # without those that look alike
_GROUPS, _GROUP_LENGTH = 4, 5  # 99 bits


def generate() -> str:
    """A password that can be read out, typed, and pasted into any shell."""
    groups = ("".join(secrets.choice(_ALPHABET) for _ in range(_GROUP_LENGTH)) for _ in range(_GROUPS))
    return "-".join(groups)


def obtain(name: str, *, from_stdin: bool, generated: bool) -> str:
    """The new password of account `name`. Raises click.UsageError when there is no way to ask for it."""
    if from_stdin and generated:
        raise click.UsageError("--password-stdin and --generate exclude each other")
    if generated:
        return generate()
    if from_stdin:
        return sys.stdin.readline().rstrip("\r\n")
    if not sys.stdin.isatty():
        raise click.UsageError("there is no terminal to ask for a password; use --password-stdin or --generate")
    answer: str = click.prompt(f"New password of {name}", hide_input=True, confirmation_prompt=True, err=True)
    return answer
