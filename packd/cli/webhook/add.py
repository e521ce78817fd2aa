"""`packd webhook add` and `set`: what somebody wants of an endpoint."""

from __future__ import annotations

import functools
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import click

from packd.cli.options import A_PATH, as_json, asks_daemon
from packd.cli.refusals import in_words_of_options
from packd.cli.screen import note, paragraph, say, say_json
from packd.cli.webhook.endpoints import ENDPOINTS, path_of
from packd.cli.webhook.secret import read_text, show_secret
from packd.domain.printing import clean

if TYPE_CHECKING:
    from collections.abc import Callable

    from packd.client import Client

_FILES: Final = ("ca", "client_cert", "client_key")


def _fields(command: Callable[..., Any]) -> Callable[..., Any]:
    """The options that both commands share, handed over as the body of the request."""

    @click.option(
        "--type", "types", multiple=True, metavar="GLOB", help="Only these events, e.g. 'pack.*'; repeatable."
    )
    @click.option("--pack", "packs", multiple=True, metavar="GLOB", help="Only about these packs; repeatable.")
    @click.option("--ordering", type=click.Choice(("pack", "strict", "none")), help="What must stay in order.")
    @click.option("--format", type=click.Choice(("standard", "cloudevents")), help="What is sent.")
    @click.option("--rate", type=click.FloatRange(0, min_open=True), metavar="N", help="Deliveries a second, at most.")
    @click.option("--timeout", "timeout_s", type=click.FloatRange(0, 120, min_open=True), metavar="SECONDS")
    @click.option("--header", "headers", multiple=True, metavar="'NAME: VALUE'", help="Sent along; repeatable.")
    @click.option("--ca", type=A_PATH, metavar="FILE", help="Certificates (PEM) that may vouch for it.")
    @click.option("--client-cert", type=A_PATH, metavar="FILE", help="The certificate (PEM) that packd shows.")
    @click.option("--client-key", type=A_PATH, metavar="FILE", help="The key of that certificate.")
    @click.option("--allow-private/--no-allow-private", default=None, help="May the address be a private one?")
    @functools.wraps(command)
    def wishing(*arguments: Any, **options: Any) -> Any:
        wish = {name: options.pop(name) for name in _NAMES}
        tls = {name: read_text(path) for name in _FILES if (path := options.pop(name)) is not None}
        return command(*arguments, wish=_said(wish, tls), **options)

    return wishing


_NAMES: Final = ("types", "packs", "ordering", "format", "rate", "timeout_s", "headers", "allow_private")


def _said(wish: dict[str, Any], tls: dict[str, str]) -> dict[str, Any]:
    """What was given; the rest is left to the daemon."""
    said = {name: list(value) if isinstance(value, tuple) else value for name, value in wish.items()}
    said = {name: value for name, value in said.items() if value not in (None, [])}
    if "headers" in said:
        said["headers"] = dict(_header(text) for text in said["headers"])
    if tls:
        names = {"ca": "ca", "client_cert": "certificate", "client_key": "key"}
        said["tls"] = {names[name]: text for name, text in tls.items()}
    return said


def _header(text: str) -> tuple[str, str]:
    name, colon, value = text.partition(":")
    if not colon:
        raise click.BadParameter("write it as 'NAME: VALUE'", param_hint="--header")
    return name.strip(), value.strip()


@click.command("add")
@click.argument("name")
@click.argument("url")
@_fields
@click.option("--secret-file", type=A_PATH, metavar="FILE", help="A secret that there is already; - is stdin.")
@click.option("--signature", type=click.Choice(("v1", "v1a")), help="v1a: an Ed25519 key instead of a shared secret.")
@as_json
@asks_daemon
def add(
    client: Client,
    name: str,
    url: str,
    wish: dict[str, Any],
    secret_file: Path | None,
    signature: str | None,
    as_json: bool,
) -> None:
    """Tell URL of events from now on. packd makes the secret and shows it once; a webhook.test is sent at once.

    \b
    Examples:
      packd webhook add ci https://ci.example/packd
      packd webhook add chat http://10.0.0.7/in --allow-private

    Exit status: 0 it is there (its webhook.test may have failed: that is said), 1 the name is taken,
    2 a value is no good, 3 no daemon answers.
    """
    wish |= {"name": name, "url": url}
    if secret_file is not None:
        wish["secret"] = read_text(secret_file).strip()
    if signature is not None:
        wish["signature"] = signature
    with in_words_of_options():
        answer = client.post(ENDPOINTS, wish)
    if as_json:
        say_json(answer["data"])
        return
    paragraph(clean(answer["message"]), fg="green")
    show_secret(answer["data"])
    say(f"did it arrive? packd webhook deliveries --endpoint {name}, or packd webhook test {name}")


@click.command("set")
@click.argument("name")
@_fields
@click.option("--url", metavar="URL", help="Where events are sent to.")
@as_json
@asks_daemon
def change(client: Client, name: str, wish: dict[str, Any], url: str | None, as_json: bool) -> None:
    """Change what is given and leave the rest. What the configuration file says is changed there.

    \b
    Examples:
      packd webhook set ci --type 'pack.*' --rate 5

    Exit status: 0 changed, 1 there is no such endpoint or the file says it, 2 a value is no good,
    3 no daemon answers.
    """
    if url is not None:
        wish["url"] = url
    if not wish:
        raise click.UsageError("say what is to be another, e.g. --type 'pack.*'")
    with in_words_of_options():
        answer = client.patch(path_of(name), wish)
    if as_json:
        say_json(answer["data"])
        return
    note(clean(answer["message"]))


COMMANDS: Final = {"add": add, "set": change}
