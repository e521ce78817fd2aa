"""Options that many commands share."""

from __future__ import annotations

import functools
import os
import shlex
from contextlib import suppress
from functools import partial
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

A_PATH: Final = click.Path(path_type=Path, readable=False)  # whoever opens it says what to do where he may not


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


def pack_name(text: str, client: Callable[[], Client]) -> str:
    """A name that a pack or a drop can have. Raises Failure NOT_FOUND for a path, and for an empty one."""
    if not text:
        raise Failure(Code.NOT_FOUND, "no pack has an empty name; `packd list` shows what there is")
    if "/" not in text:
        return text
    raise Failure(Code.NOT_FOUND, f"'{text}' is a path, and a pack is named by its ref; {_meant_by(text, client)}")


def _meant_by(path: str, client: Callable[[], Client]) -> str:
    """The name of what lies there, if that is a pack or a drop; else which folder is watched."""
    last = path.rstrip("/").rpartition("/")[2]
    if last in ("", ".", ".."):
        return "`packd list` shows what there is"
    name: str | None = last
    with suppress(Failure):  # where nobody answers, the name is as good a guess as any
        asked = client()
        packs_dir = asked.get("/status")["data"]["packs_dir"]
        name = _drop_at(path, packs_dir) or _if_known(asked, last)
        if name is None:
            elsewhere = f"; to take it from there: packd register {shlex.quote(path)}" if Path(path).exists() else ""
            return f"no pack is called '{last}', and the folder that is watched is {packs_dir}{elsewhere}"
    return f"did you mean '{name}'?"


def _drop_at(path: str, packs_dir: str) -> str | None:
    """The entry of the packs directory that `path` is, or is in."""
    root, place = os.path.realpath(packs_dir), os.path.realpath(path)
    return place.removeprefix(f"{root}/").partition("/")[0] if place.startswith(f"{root}/") else None


def _if_known(client: Client, name: str) -> str | None:
    from packd.client import part

    try:
        client.get(f"/packs/{part(name)}")
    except Failure as failure:
        if failure.code == Code.NOT_FOUND:
            return None
        raise
    return name


def checked_ref(ctx: click.Context, param: click.Parameter, value: str | None) -> str | None:
    """The same of an argument, which may have been left out."""
    return None if value is None else pack_name(value, partial(_client_of, ctx))


def checked_refs(ctx: click.Context, param: click.Parameter, value: tuple[str, ...]) -> tuple[str, ...]:
    """The same of as many as there are."""
    return tuple(pack_name(one, partial(_client_of, ctx)) for one in value)


def _client_of(ctx: click.Context) -> Client:
    """Options are parsed before arguments."""
    return client_for(ctx.params.get("socket"), ctx.params.get("state_dir"))


ref_argument = click.argument("ref", callback=checked_ref, shell_complete=complete_refs)
