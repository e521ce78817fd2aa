"""`packd config`: what is in force, whether a file is right, and what can be said."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING

import click

from packd.cli.options import A_PATH, said_before
from packd.cli.options import as_json as as_json_option
from packd.cli.screen import cell, say, say_json, table
from packd.cli.text import clean, plural
from packd.domain.failures import Failure

if TYPE_CHECKING:
    from packd.config import Setting, Settings

_FILE = click.option("--config", type=A_PATH, metavar="FILE", help="The configuration (default: $PACKD_CONFIG).")


@click.group("config")
def command() -> None:
    """Show, check and describe the configuration.

    A value comes from a flag of `packd run`, else from the environment (PACKD_SECTION__KEY), else from the file, else it
    is the default.
    """


@command.command("show")
@_FILE
@click.option("--all", "all_of_it", is_flag=True, help="The defaults as well.")
@as_json_option
def show(config: Path | None, all_of_it: bool, as_json: bool) -> None:
    """Every value that was set, and where; secrets are starred out.

    \b
    Examples:
      packd config show
      packd config show --all --config packd.yaml

    Exit status: 0 fine, 2 the configuration can't be used.
    """
    from packd.config import effective

    settings = effective(_load(config))
    if as_json:
        say_json([setting._asdict() for setting in settings])
        return
    chosen = [setting for setting in settings if all_of_it or setting.origin != "default"]
    if chosen:
        table(
            ("KEY", "VALUE", "SAID BY"),
            [
                [
                    cell(setting.key, bold=True),
                    cell(_value(setting)),
                    cell(setting.origin, faint=setting.origin == "default"),
                ]
                for setting in chosen
            ],
        )
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
        say(cell("warning", colour="yellow"), f": {clean(str(warning))}")
    click.secho("the configuration can be used", fg="green")


@command.command("schema")
def schema() -> None:
    """JSON Schema of the file, for editors that complete and check while one types.

    \b
    Examples:
      packd config schema > packd.schema.json

    Exit status: 0.
    """
    from packd.config import schema as schema_of_settings

    say_json(schema_of_settings())


def _load(file: Path | None) -> Settings:
    from packd.config import load

    socket, state_dir = said_before()
    return load(file, os.environ, {"api.socket": socket, "state_dir": state_dir})


def _value(setting: Setting) -> str:
    value = setting.value
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, list):
        return ", ".join(str(item) for item in value)
    return "" if value is None else str(value)
