"""`packd webhook`: who is told of events, what they were told, and what a receiver needs while it is written."""

from __future__ import annotations

from importlib import import_module
from typing import Final

import click

from packd.cli.nearest import nearest_command

# Name → (module, one line). In the order of the help.
_COMMANDS: Final = {
    "list": ("endpoints", "One line an endpoint."),
    "show": ("endpoints", "An endpoint whole."),
    "add": ("add", "Make an endpoint, and try it."),
    "set": ("add", "Change some fields of an endpoint."),
    "test": ("state", "Send a webhook.test now, and say what came of it."),
    "rotate": ("state", "Another secret; the former one signs as well for a day."),
    "enable": ("state", "Send to it again, what was held first."),
    "disable": ("state", "Send nothing to it; its events are held."),
    "remove": ("state", "Send nothing to it any more."),
    "deliveries": ("deliveries", "What was told, or waits to be told."),
    "resend": ("deliveries", "Send a delivery again."),
    "recover": ("deliveries", "Send again what did not arrive."),
    "replay": ("deliveries", "Send everything again."),
    "listen": ("listen", "Send events to a local address while developing."),
    "verify": ("verify", "Say why a webhook can or can't be trusted."),
    "examples": ("examples", "What the body of each type of event looks like."),
}


class WebhookGroup(click.Group):
    """Knows its commands by name; a module is imported when one of its commands is called."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        return list(_COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        if cmd_name not in _COMMANDS:
            return None
        module = import_module(f"packd.cli.webhook.{_COMMANDS[cmd_name][0]}")
        found: click.Command = module.COMMANDS[cmd_name]
        return found

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        """A mistyped name gets the nearest one."""
        if args and args[0] not in _COMMANDS and not args[0].startswith("-"):
            near = nearest_command(args[0], _COMMANDS)
            hint = f"did you mean '{near}'?" if near else "`packd webhook --help` lists what there is"
            raise click.UsageError(f"there is no command 'webhook {args[0]}'; {hint}", ctx)
        return super().resolve_command(ctx, args)

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """From the table, without importing what it names."""
        with formatter.section("Commands"):
            formatter.write_dl([(f"{name:<10}", line) for name, (_, line) in _COMMANDS.items()])


@click.group("webhook", cls=WebhookGroup)
def command() -> None:
    """Who is told of events by HTTP, and what they were told.

    \b
    Examples:
      packd webhook add ci https://ci.example/packd --type 'pack.*'
      packd webhook test ci
      packd webhook deliveries --endpoint ci --state exhausted
      packd webhook recover ci --since 2h
    """
