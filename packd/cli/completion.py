"""`packd completion`: the script with which a shell completes commands, options and packs."""

from __future__ import annotations

import os
import sys
from pathlib import PurePath
from typing import Final

import click

from packd.cli.screen import note

_SHELLS: Final = ("bash", "zsh", "fish")
_PLACES: Final = {
    "bash": "packd completion bash > ~/.local/share/bash-completion/completions/packd",
    "zsh": "packd completion zsh > ~/.zfunc/_packd     (with `fpath+=~/.zfunc` before compinit in ~/.zshrc)",
    "fish": "packd completion fish > ~/.config/fish/completions/packd.fish",
}


@click.command("completion")
@click.argument("shell", type=click.Choice(_SHELLS), required=False)
def command(shell: str | None) -> None:
    """Print the script that makes SHELL (default: the one in $SHELL) complete commands, options, and packs by asking
    the daemon.

    \b
    Examples:
      source <(packd completion bash)      for this session
      packd completion bash > ~/.local/share/bash-completion/completions/packd
      packd completion zsh > ~/.zfunc/_packd
      packd completion fish > ~/.config/fish/completions/packd.fish

    Exit status: 0, or 2 for a shell that is not known.
    """
    chosen = shell or PurePath(os.environ.get("SHELL", "")).name
    if chosen not in _SHELLS:
        raise click.UsageError(f"say for which shell: packd completion {'|'.join(_SHELLS)}")
    click.echo(script(chosen))
    if sys.stdout.isatty():
        note(f"to keep it: {_PLACES[chosen]}")


def script(shell: str) -> str:
    """The shell calls `packd` with a variable that makes it answer with completions instead."""
    from click.shell_completion import ShellComplete, get_completion_class

    from packd.cli.app import cli

    kind = get_completion_class(shell)
    if kind is None:  # every one in _SHELLS is known to click
        raise LookupError(shell)
    # Not `kind.source`: for bash that starts one to ask for its version.
    return ShellComplete.source(kind(cli, {}, "packd", "_PACKD_COMPLETE")).strip()
