"""The table of the shell's commands, and those that are about the shell itself."""

from __future__ import annotations

from typing import TYPE_CHECKING

from homeport.cli.shell import changing, looking, moving
from homeport.cli.shell.table import Call, Command, Names, find
from homeport.cli.terminal import put

if TYPE_CHECKING:
    from homeport.cli.shell.session import Session


def help_(_session: Session, call: Call) -> None:
    """All commands, or how one is typed."""
    if call.words:
        command = find(COMMANDS, call.words[0].text)
        put(command.usage)
        put(f"  {command.help}")
        return
    width = max(len(command.usage) for command in COMMANDS.values())
    for command in COMMANDS.values():
        put(f"{command.usage:{width}}  {command.help}")
    put(f"{'!COMMAND':{width}}  Run a command on this machine, in the local folder.")
    put("Names with spaces: 'a b', \"a b\" or a\\ b. Several commands: a; b. A transfer in the background: get NAME &")


def quit_(session: Session, _call: Call) -> None:
    """Leave."""
    session.ended = True


_ROWS = (
    Command(
        name="cd",
        arguments="[FOLDER | -]",
        help="Change the folder on the server; `cd -` goes back.",
        handler=looking.cd,
        takes=(0, 1),
        completes=Names.REMOTE_FOLDER,
    ),
    Command(name="pwd", arguments="", help="Show the folder on the server.", handler=looking.pwd),
    Command(
        name="ls",
        arguments="[-lbR] [NAME...]",
        help="List; -l with size and time, -b with bytes, -R with all below.",
        handler=looking.ls,
        takes=(0, None),
        flags="lbR",
        completes=Names.REMOTE,
    ),
    Command(
        name="get",
        arguments="[-r] NAME [LOCAL]",
        help="Fetch a file, or with -r a folder; goes on where it was interrupted.",
        handler=moving.get,
        takes=(1, 2),
        flags="r",
        completes=Names.REMOTE_THEN_LOCAL,
        may_wait=True,
    ),
    Command(
        name="put",
        arguments="[-r] LOCAL [NAME]",
        help="Store a file, or with -r a folder; goes on where it was interrupted.",
        handler=moving.put_,
        takes=(1, 2),
        flags="r",
        completes=Names.LOCAL,
        may_wait=True,
    ),
    Command(
        name="mget",
        arguments="[-r] NAME...",
        help="Fetch all that is named or fits, such as *.txt.",
        handler=moving.mget,
        takes=(1, None),
        flags="r",
        completes=Names.REMOTE,
        may_wait=True,
    ),
    Command(
        name="mput",
        arguments="[-r] LOCAL...",
        help="Store all that is named or fits, such as *.txt.",
        handler=moving.mput,
        takes=(1, None),
        flags="r",
        completes=Names.LOCAL,
        may_wait=True,
    ),
    Command(
        name="cat",
        arguments="NAME...",
        help="Show files.",
        handler=looking.cat,
        takes=(1, None),
        completes=Names.REMOTE,
    ),
    Command(
        name="rm",
        arguments="[-ry] NAME...",
        help="Remove files; -r folders with all in them, -y without asking.",
        handler=changing.rm,
        takes=(1, None),
        flags="ry",
        completes=Names.REMOTE,
    ),
    Command(
        name="rmdir",
        arguments="FOLDER...",
        help="Remove empty folders.",
        handler=changing.rmdir,
        takes=(1, None),
        completes=Names.REMOTE_FOLDER,
    ),
    Command(
        name="mkdir",
        arguments="[-p] FOLDER...",
        help="Make folders; -p with those above.",
        handler=changing.mkdir,
        takes=(1, None),
        flags="p",
        completes=Names.REMOTE_FOLDER,
    ),
    Command(
        name="mv",
        arguments="NAME... TARGET",
        help="Rename, or move into a folder.",
        handler=changing.mv,
        takes=(2, None),
        completes=Names.REMOTE,
    ),
    Command(
        name="stat",
        arguments="NAME",
        help="Show all that the server tells of a name.",
        handler=looking.stat,
        takes=(1, 1),
        completes=Names.REMOTE,
    ),
    Command(
        name="hash",
        arguments="NAME [LOCAL]",
        help="Show a file's digest, or compare it with a local file's.",
        handler=looking.hash_,
        takes=(1, 2),
        completes=Names.REMOTE_THEN_LOCAL,
    ),
    Command(name="df", arguments="", help="Show the room left.", handler=looking.df),
    Command(
        name="lcd",
        arguments="[FOLDER]",
        help="Change the folder on this machine.",
        handler=looking.lcd,
        takes=(0, 1),
        completes=Names.LOCAL_FOLDER,
    ),
    Command(
        name="lls",
        arguments="[-lb] [FOLDER]",
        help="List a folder on this machine.",
        handler=looking.lls,
        takes=(0, 1),
        flags="lb",
        completes=Names.LOCAL_FOLDER,
    ),
    Command(name="lpwd", arguments="", help="Show the folder on this machine.", handler=looking.lpwd),
    Command(name="jobs", arguments="", help="List the transfers in the background.", handler=moving.jobs),
    Command(name="wait", arguments="[JOB...]", help="Wait for them.", handler=moving.wait, takes=(0, None)),
    Command(
        name="kill",
        arguments="JOB...",
        help="End one; what it has transferred is kept.",
        handler=moving.kill,
        takes=(1, None),
    ),
    Command(
        name="help",
        arguments="[COMMAND]",
        help="Show this, or how one command is typed.",
        handler=help_,
        takes=(0, 1),
        completes=Names.COMMANDS,
    ),
    Command(name="quit", arguments="", help="Leave; so does Ctrl-D.", handler=quit_),
)
ALIASES = {"exit": "quit", "bye": "quit", "dir": "ls", "?": "help"}
COMMANDS = {command.name: command for command in _ROWS}
