"""`homeport completion`: the script that makes a shell complete our commands."""

from __future__ import annotations

import click

from homeport.cli.terminal import put

SHELLS = ("bash", "zsh", "fish", "powershell")
VARIABLE = "_HOMEPORT_COMPLETE"
_EPILOG = """\b
bash:        eval "$(homeport completion bash)"               in ~/.bashrc
zsh:         eval "$(homeport completion zsh)"                in ~/.zshrc
fish:        homeport completion fish | source                in ~/.config/fish/config.fish
PowerShell:  homeport completion powershell | Out-String | Invoke-Expression    in $PROFILE
"""


@click.command(name="completion", epilog=_EPILOG)
@click.argument("shell", type=click.Choice(SHELLS))
def command(shell: str) -> None:
    """Print the script that completes homeport's commands and options in SHELL."""
    put(script(shell).rstrip("\n"))


def script(shell: str) -> str:
    """The script for a shell of `SHELLS`."""
    from click.shell_completion import BashComplete, get_completion_class

    from homeport.cli import powershell
    from homeport.cli.main import cli

    powershell.register()
    kind = get_completion_class(shell)
    if kind is None:
        raise click.UsageError(f"there is no completion for {shell}")
    maker = kind(cli, {}, "homeport", VARIABLE)
    # Bash's own maker starts a bash to learn its version, which the script's user has in front of them.
    return maker.source_template % maker.source_vars() if isinstance(maker, BashComplete) else maker.source()
