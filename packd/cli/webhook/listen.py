"""`packd webhook listen`: events to a local address, signed as webhooks are, while a receiver is being written."""

from __future__ import annotations

import asyncio
import json
import secrets
from contextlib import closing, suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import click

from packd import __version__
from packd.cli.options import A_PATH, asks_daemon
from packd.cli.screen import Cell, cell, note, say
from packd.cli.text import clock
from packd.cli.webhook.secret import read_text

if TYPE_CHECKING:
    from packd.client import Client
    from packd.notify.sender import Sender
    from packd.notify.signature import Secret

_TIMEOUT_S: Final = 15.0


@click.command("listen")
@click.option("--forward", "url", required=True, metavar="URL", help="Where to send them, e.g. http://localhost:8000/.")
@click.option("--secret-file", type=A_PATH, metavar="FILE", help="What signs them; without, a fresh secret is made.")
@click.option("--type", "types", multiple=True, metavar="GLOB", help="Only these types, e.g. 'pack.*'; repeatable.")
@click.option("--pack", "packs", multiple=True, metavar="GLOB", help="Only about these packs; repeatable.")
@click.option("--after", type=click.IntRange(0), metavar="SEQ", help="Begin behind this event instead of now.")
@click.option("--format", "form", type=click.Choice(("standard", "cloudevents")), default="standard")
@asks_daemon
def listen(
    client: Client,
    url: str,
    secret_file: Path | None,
    types: tuple[str, ...],
    packs: tuple[str, ...],
    after: int | None,
    form: str,
) -> None:
    """Send events to URL as they happen, until interrupted. Nothing is repeated, and nothing is kept for it.

    \b
    Examples:
      packd webhook listen --forward http://localhost:8000/packd

    Exit status: 0 interrupted, 2 a bad URL, 3 no daemon answers.
    """
    from packd.domain.targets import url_fault
    from packd.notify import signature
    from packd.notify.sender import Sender

    if fault := url_fault(url):
        raise click.BadParameter(fault, param_hint="--forward")
    text = read_text(secret_file).strip() if secret_file else signature.new_secret("v1", secrets.token_bytes)
    try:
        secret = signature.decode(text)
    except signature.BadSecretError as wrong:
        raise click.BadParameter(str(wrong), param_hint="--secret-file") from None
    if secret_file is None:
        note("the secret of this session:")
        click.echo(text)
    with asyncio.Runner() as runner, suppress(KeyboardInterrupt):
        sender = Sender(user_agent=f"packd/{__version__}")
        runner.run(sender.start())
        try:
            with closing(client.follow(after=after, types=list(types), packs=list(packs), on_gap=note)) as coming:
                for place, event in enumerate(coming, 1):
                    _forward(runner, sender, event, url=url, secret=secret, place=place, form=form)
        finally:
            runner.run(sender.close())


def _forward(
    runner: asyncio.Runner, sender: Sender, event: dict[str, Any], *, url: str, secret: Secret, place: int, form: str
) -> None:
    from packd.domain.deliveries import decide
    from packd.notify.attempt import Attempt
    from packd.notify.envelope import webhook_body

    attempt = Attempt(
        url=url,
        event_id=event["id"],
        body=webhook_body(json.dumps(event, ensure_ascii=False, separators=(",", ":")), place, form),
        secrets=(secret,),
        allow_private=True,
        total_timeout_s=_TIMEOUT_S,
    )
    outcome = runner.run(sender.send(attempt))
    said = decide(1, outcome, 0.0, 0.0, schedule=(0.0,))
    arrived = outcome.arrived and not said.warning
    status = str(outcome.status) if outcome.arrived else said.reason.partition(";")[0]
    say(
        Cell(text=f"{event['seq']:>5}  {clock(event['timestamp'])}  ", faint=True),
        cell(event["type"]),
        "  ",
        cell(event["subject"].partition("/")[2] or event["subject"], bold=True),
        "  ",
        cell(said.warning or status, colour="green" if arrived else "red"),
        "  ",
        cell(f"{outcome.duration_ms:.0f} ms", faint=True),
    )


COMMANDS: Final = {"listen": listen}
