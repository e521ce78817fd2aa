"""`packd config`: what is in force, whether a file is right, and what can be said."""

from __future__ import annotations

import math
import os
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import click

from packd.cli.options import A_PATH, SOCKET_HELP, STATE_DIR_HELP, client_for, said_before
from packd.cli.options import as_json as as_json_option
from packd.cli.screen import Cell, cell, flow, note, paragraph, say, say_json, table, terminal_columns
from packd.cli.status import of_configuration
from packd.cli.text import plural
from packd.domain.failures import Code, Failure
from packd.domain.printing import clean

if TYPE_CHECKING:
    from packd.client import Client
    from packd.config import Settings

_ROOM_FOR_A_TABLE: Final = 60  # columns: keys stay whole in it


@click.group("config")
def command() -> None:
    """Show, check and describe the configuration.

    A value comes from a flag of `packd run`, else from the environment (PACKD_SECTION__KEY), else from the file, else it
    is the default.
    """


@command.command("show")
@click.option("--config", type=A_PATH, metavar="FILE", help="What a daemon that is started here with FILE would use.")
@click.option("--here", is_flag=True, help="The same with the file that $PACKD_CONFIG names, if any.")
@click.option("--all", "all_of_it", is_flag=True, help="The defaults as well.")
@click.option("--socket", type=A_PATH, metavar="PATH", help=SOCKET_HELP)
@click.option("--state-dir", type=A_PATH, metavar="DIR", help=STATE_DIR_HELP)
@as_json_option
def show(
    config: Path | None, here: bool, all_of_it: bool, socket: Path | None, state_dir: Path | None, as_json: bool
) -> None:
    """Every value that was set, and where; secrets are starred out.

    The running daemon is asked for what it uses. Where none answers, and with --here or --config, it is what one would use
    that is started here and now.

    \b
    Examples:
      packd config show
      packd config show --all --json
      packd config show --here --config packd.yaml

    Exit status: 0 fine, 1 the daemon refuses, 2 the configuration can't be used, 3 the daemon is stopping.
    """
    running = None if here or config is not None else _of_running(client_for(socket, state_dir))
    settings = _of_here(config, socket, state_dir) if running is None else running
    if as_json:
        say_json(settings)
        return
    chosen = [setting for setting in settings if all_of_it or setting["origin"] != "default"]
    _print(chosen)
    if not all_of_it:
        say(f"{plural(len(settings) - len(chosen), 'value')} by default; --all shows them")


@command.command("check")
@click.argument("file", type=A_PATH, required=False)
@as_json_option
@click.pass_context
def check(ctx: click.Context, file: Path | None, as_json: bool) -> None:
    """Say everything that is wrong with a configuration FILE (default: $PACKD_CONFIG) and the environment.

    \b
    Examples:
      packd config check /etc/packd/packd.yaml

    Exit status: 0 it can be used, 2 it can't.
    """
    from packd.config import check_layout

    try:
        settings = _load(file)
        check_layout(settings)
    except Failure as failure:
        if not as_json:
            raise
        say_json({"ok": False, "problems": [problem.to_dict() for problem in failure.problems]})
        ctx.exit(2)
    if as_json:
        say_json({"ok": True, "problems": [warning.to_dict() for warning in settings.warnings]})
        return
    for warning in settings.warnings:
        flow(cell("warning", colour="yellow"), f": {clean(str(warning))}", hanging="  ")
    click.secho("the configuration can be used", fg="green")


@command.command("schema")
@click.option("--json", is_flag=True, expose_value=False, help="It is JSON anyway.")
def schema() -> None:
    """JSON Schema of the file, for editors that complete and check while one types.

    \b
    Examples:
      packd config schema > packd.schema.json

    Exit status: 0.
    """
    from packd.config import schema as schema_of_settings

    say_json(schema_of_settings())


def _of_running(client: Client) -> list[dict[str, Any]] | None:
    """What the daemon uses, and beside it whether the file says something else by now; None where nobody answers."""
    try:
        settings: list[dict[str, Any]] = client.get("/config")["data"]
        status = client.get("/status")["data"]
    except Failure as failure:
        if failure.code != Code.UNREACHABLE:
            raise
        note(f"{clean(failure.sentence)}. Shown is what one that is started here would use")
        return None
    note(f"of the running daemon, pid {status['pid']}; --here shows what one started here would use")
    for _, said, colour in of_configuration(status):
        paragraph(clean(said), err=True, fg=colour)
    return settings


def _of_here(file: Path | None, socket: Path | None, state_dir: Path | None) -> list[dict[str, Any]]:
    from packd.config import effective

    return [setting._asdict() for setting in effective(_load(file, socket, state_dir))]


def _load(file: Path | None, socket: Path | None = None, state_dir: Path | None = None) -> Settings:
    from packd.config import load

    socket_before, state_before = said_before()
    flags = {"api.socket": socket or socket_before, "state_dir": state_dir or state_before}
    return load(file, os.environ, flags)


def _print(settings: list[dict[str, Any]]) -> None:
    """A table; where there is no room for one, value and origin of each key below it."""
    columns = terminal_columns()
    if columns is not None and columns < _ROOM_FOR_A_TABLE:
        for setting in settings:
            value, origin = _value_and_origin(setting)
            say(cell(setting["key"], bold=True))
            flow("  ", value, "  ", origin, hanging="  ")
    elif settings:
        rows = [[cell(setting["key"], bold=True), *_value_and_origin(setting)] for setting in settings]
        table(("KEY", "VALUE", "SAID BY"), rows, whole=("KEY",))


def _value_and_origin(setting: dict[str, Any]) -> tuple[Cell, Cell]:
    origin = setting["origin"]
    return cell(_value(setting["value"])), cell(origin, faint=origin == "default")


def _value(value: Any) -> str:
    """As the file would say it, on one line."""
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, list | dict):
        import yaml

        flow_style = yaml.safe_dump(value, default_flow_style=True, allow_unicode=True, sort_keys=False, width=math.inf)
        return str(flow_style).rstrip()
    return "" if value is None else str(value)
