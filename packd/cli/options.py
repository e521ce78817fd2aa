"""Options that many commands share."""

from __future__ import annotations

import functools
import os
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import click

from packd.cli.completing import complete_refs
from packd.domain.failures import Code, Failure

if TYPE_CHECKING:
    from collections.abc import Callable

    from packd.client import Client

    Function = Callable[..., Any]

SOCKET_HELP: Final = "The daemon's socket (default: $PACKD_SOCKET, else packd.sock in the state directory)."
STATE_DIR_HELP: Final = "Where the daemon keeps its own (default: $STATE_DIRECTORY, else ~/.local/state/packd)."

A_PATH: Final = click.Path(path_type=Path)


def asks_daemon(command: Function) -> Function:
    """Adds `--socket` and `--state-dir`, and hands the command a `client`."""

    @click.option("--socket", type=A_PATH, metavar="PATH", help=SOCKET_HELP)
    @click.option("--state-dir", type=A_PATH, metavar="DIR", help=STATE_DIR_HELP)
    @functools.wraps(command)
    def asking(*arguments: Any, socket: Path | None, state_dir: Path | None, **options: Any) -> Any:
        return command(*arguments, client=client_for(socket, state_dir), **options)

    return asking


def client_at(socket: Path | None, state_dir: Path | None, *, patience_s: float | None = None) -> Client:
    """A client of the daemon at exactly this place, or at the usual one; it is asked for no longer than `patience_s`."""
    from packd.cli.where import socket_path
    from packd.client import Client

    return Client(socket_path(socket, state_dir, os.environ), patience_s=patience_s)


def client_for(socket: Path | None, state_dir: Path | None) -> Client:
    """A client of the daemon that is meant; what was said before the command's name counts if nothing is said behind."""
    if socket is None and state_dir is None:
        socket, state_dir = said_before()
    return client_at(socket, state_dir)


def said_before() -> tuple[Path | None, Path | None]:
    """`--socket` and `--state-dir` as in `packd --socket X status`."""
    before = click.get_current_context().find_root().params
    return before.get("socket"), before.get("state_dir")


as_json = click.option("--json", "as_json", is_flag=True, help="JSON, as the API gives it.")


def pack_name(text: str) -> str:
    """A name that a pack or a drop can have. Raises Failure NOT_FOUND for a path, and for an empty one."""
    if not text:
        raise Failure(Code.NOT_FOUND, "no pack has an empty name; `packd list` shows what there is")
    if "/" not in text:
        return text
    last = text.rstrip("/").rpartition("/")[2]
    hint = "`packd list` shows what there is" if last in ("", ".", "..") else f"did you mean '{last}'?"
    raise Failure(Code.NOT_FOUND, f"'{text}' is a path, and a pack is named by its ref; {hint}")


def checked_ref(ctx: click.Context, param: click.Parameter, value: str | None) -> str | None:
    """The same of an argument, which may have been left out."""
    return None if value is None else pack_name(value)


def checked_refs(ctx: click.Context, param: click.Parameter, value: tuple[str, ...]) -> tuple[str, ...]:
    """The same of as many as there are."""
    return tuple(map(pack_name, value))


ref_argument = click.argument("ref", callback=checked_ref, shell_complete=complete_refs)
