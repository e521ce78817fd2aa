"""Secrets on the command line: read from files, never from arguments, which everybody on the machine can see."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Any

import click

from packd.cli.screen import note

if TYPE_CHECKING:
    from pathlib import Path


def read_text(path: Path) -> str:
    """The whole file; `-` is stdin. Raises click's BadParameter."""
    if str(path) == "-":
        return sys.stdin.read()
    try:
        return path.read_text("utf-8", "replace")
    except OSError as failure:
        raise click.BadParameter(f"{path} can't be read: {failure.strerror}") from None


def show_secret(kept: dict[str, Any]) -> None:
    """On stdout and alone on its line, so that a script can take it."""
    if kept.get("secret"):
        note("the secret, shown this once:" if not kept["public_key"] else "the private key, shown this once:")
        click.echo(kept["secret"])
    if kept["public_key"]:
        note("receivers verify with the public key:")
        click.echo(kept["public_key"])
