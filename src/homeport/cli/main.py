"""The command `homeport`: the table of verbs, and the one place where errors become words and an exit status."""

from __future__ import annotations

import errno
import os
import sys
from collections.abc import Sequence
from typing import NoReturn

import click

import homeport
from homeport.cli.lazy import LazyGroup, Verb
from homeport.cli.terminal import make_streams_robust, printable, put_json, say

VERBS = {
    "ls": Verb("homeport.cli.cmd_ls", "List a folder on a server."),
    "get": Verb("homeport.cli.cmd_get", "Fetch files and folders; goes on where it was interrupted."),
    "put": Verb("homeport.cli.cmd_put", "Store files and folders; goes on where it was interrupted."),
    "sync": Verb("homeport.cli.cmd_sync", "Make one folder like another, here or on a server."),
    "shell": Verb("homeport.cli.cmd_shell", "Work on a server interactively, or by a script."),
    "exec": Verb("homeport.cli.cmd_exec", "Run a command on a server, or a shell."),
    "cat": Verb("homeport.cli.cmd_cat", "Write a file on a server to standard output."),
    "mkdir": Verb("homeport.cli.cmd_mkdir", "Make a folder on a server."),
    "mv": Verb("homeport.cli.cmd_mv", "Rename or move on a server."),
    "rm": Verb("homeport.cli.cmd_rm", "Remove files and folders on a server."),
    "stat": Verb("homeport.cli.cmd_stat", "Show what a server tells of a name."),
    "hash": Verb("homeport.cli.cmd_hash", "Show a file's digest, or compare it with a local file's."),
    "df": Verb("homeport.cli.cmd_df", "Show the room left on a server."),
    "chat": Verb("homeport.cli.cmd_chat", "Talk with the people who share files on a server."),
    "time": Verb("homeport.cli.cmd_time", "Show a server's time, or how far this clock is from it."),
    "login": Verb("homeport.cli.cmd_login", "Keep a password, or a token of this device, for later commands."),
    "logout": Verb("homeport.cli.cmd_logout", "Forget the password or token that was kept."),
    "trust": Verb("homeport.cli.cmd_trust", "Trust a server's key, renew it, list or forget keys."),
    "serve": Verb("homeport.cli.cmd_serve", "Start the server; the first run makes all it needs."),
    "user": Verb("homeport.cli.cmd_user", "Accounts, their keys, tokens and unfinished uploads."),
    "who": Verb("homeport.cli.cmd_who", "Show who is connected, doing what."),
    "kick": Verb("homeport.cli.cmd_kick", "End a session, or all sessions of an account."),
    "status": Verb("homeport.cli.cmd_status", "Show whether the server runs, and where it listens."),
    "reload": Verb("homeport.cli.cmd_reload", "Make the server read its settings and certificate again."),
    "stop": Verb("homeport.cli.cmd_stop", "Stop the server; transfers may finish first."),
    "quota": Verb("homeport.cli.cmd_quota", "Show what accounts use, or count it again."),
    "room": Verb("homeport.cli.cmd_room", "The chat's rooms, and who may do what in them."),
    "ban": Verb("homeport.cli.cmd_ban", "List, add and remove bans."),
    "config": Verb("homeport.cli.cmd_config", "Check the settings, or show them all."),
    "doctor": Verb("homeport.cli.cmd_doctor", "Look for what is wrong with this installation, and how to mend it."),
    "completion": Verb("homeport.cli.cmd_completion", "Print the script that completes commands in your shell."),
}


class Homeport(LazyGroup):
    """The root group: runs a verb and turns whatever goes wrong into one sentence and the right exit status."""

    def main(self, args: Sequence[str] | None = None, *_: object, **__: object) -> NoReturn:
        """Run the command line `args` and exit."""
        make_streams_robust()
        if os.environ.get("_HOMEPORT_COMPLETE", "").startswith("powershell"):
            from homeport.cli import powershell

            powershell.register()
        words = list(sys.argv[1:] if args is None else args)
        try:
            status = super().main(words, "homeport", standalone_mode=False)
        except BrokenPipeError:  # whoever read our output has had enough, as `head` does
            os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
            sys.exit(1)
        except click.exceptions.Exit as error:
            sys.exit(error.exit_code)
        except BaseException as error:  # noqa: BLE001 - what is not expected is raised again
            sys.exit(report(error, as_json="--json" in words))
        sys.exit(status if isinstance(status, int) else 0)


def report(error: BaseException, *, as_json: bool) -> int:
    """Say what went wrong; the exit status. An error that should not happen is raised again, with its traceback."""
    from homeport.cli.exit_codes import exit_code, is_expected

    if isinstance(error, click.Abort):
        error = KeyboardInterrupt()
    if isinstance(error, click.ClickException):
        code, kind, text = _usage(error)
    elif is_expected(error):
        code, kind, text = exit_code(error), type(error).__name__, str(error) or "interrupted"
    elif isinstance(error, OSError) and error.errno in _MACHINE:
        code, kind, text = _MACHINE[error.errno], type(error).__name__, _sentence(error)
    else:
        raise error
    for line in f"homeport: {text}".split("\n"):
        say(printable(line))
    if as_json:
        put_json({"error": {"code": int(code), "kind": kind, "message": text}})
    return int(code)


# What a full disk, a wrong owner or a read-only mount says, wherever it is met: no fault of the program.
_MACHINE = {
    errno.EACCES: 1,
    errno.EPERM: 1,
    errno.EROFS: 1,
    errno.EMFILE: 1,
    errno.ENFILE: 1,
    errno.EIO: 1,
    errno.ENOSPC: 6,
    errno.EDQUOT: 6,
}


def _sentence(error: OSError) -> str:
    where = f": {os.fsdecode(error.filename)}" if isinstance(error.filename, str | bytes) else ""
    return (f"{error.strerror}{where}").replace("\n", "\\n")


def _usage(error: click.ClickException) -> tuple[int, str, str]:
    text = error.format_message().rstrip(".")
    context = getattr(error, "ctx", None)
    if context is not None and "--help`" not in text:
        text += f"; see `{context.command_path} --help`"
    return error.exit_code, "UsageError", text


@click.group(
    cls=Homeport,
    verbs=VERBS,
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 110},
    epilog="Each command has its own --help. Settings: `homeport config show`.",
)
@click.version_option(homeport.__version__, prog_name="homeport", message="%(prog)s %(version)s")
def cli() -> None:
    """A multi-user file server and client: private homes, exact quotas, atomic and resumable transfers."""


def main() -> NoReturn:
    """The entry point of the installed command."""
    cli.main()
