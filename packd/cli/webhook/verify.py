"""`packd webhook verify`: headers and body in, why it can or can't be trusted out."""

from __future__ import annotations

import os
import sys
import time
from pathlib import Path
from typing import Final

import click

from packd.cli.options import A_PATH
from packd.cli.screen import paragraph, say_json
from packd.cli.webhook.secret import read_text

_SECRET_VARIABLE: Final = "PACKD_WEBHOOK_SECRET"  # noqa: S105  the name of a variable


@click.command("verify")
@click.argument("body", type=A_PATH, metavar="[BODY]", default=Path("-"))
@click.option("--secret-file", type=A_PATH, multiple=True, metavar="FILE",
              help=f"whsec_…, whsk_… or whpk_…; repeatable (default: ${_SECRET_VARIABLE}).")  # fmt: skip
@click.option("--header", "-H", "headers", multiple=True, metavar="'NAME: VALUE'", help="A header; repeatable.")
@click.option(
    "--headers", "header_file", type=A_PATH, metavar="FILE", help="All headers, one a line, as curl -i prints them."
)
@click.option("--at", "at_s", type=float, metavar="UNIX", help="Judge the age as of this moment instead of now.")
@click.option("--json", "as_json", is_flag=True)
@click.pass_context
def verify(
    ctx: click.Context,
    body: Path,
    secret_file: tuple[Path, ...],
    headers: tuple[str, ...],
    header_file: Path | None,
    at_s: float | None,
    as_json: bool,
) -> None:
    """Say whether a webhook can be trusted, and if not, why. BODY is the file with the exact bytes; without, stdin.

    \b
    Examples:
      packd webhook verify body.json --secret-file ci.secret --headers headers.txt

    Exit status: 0 it can be trusted, 1 it can't, 2 something is missing.
    """
    from packd.notify import signature

    try:
        secrets = [signature.decode_trusted(text) for text in _secrets(secret_file)]
    except signature.BadSecretError as wrong:
        raise click.UsageError(str(wrong)) from None
    lines = [*headers, *(read_text(header_file).splitlines() if header_file else ())]
    given = dict(_header(line) for line in lines if ":" in line)
    fault = signature.verify(given, _bytes(body), secrets, time.time() if at_s is None else at_s)
    if as_json:
        say_json({"trusted": fault is None, "code": fault and fault.code, "reason": fault and fault.sentence})
    elif fault is None:
        click.secho("it can be trusted: signed with this secret, and not long ago", fg="green")
    else:
        paragraph(fault.sentence, fg="red")
    ctx.exit(1 if fault else 0)


def _secrets(files: tuple[Path, ...]) -> list[str]:
    if files:
        return [read_text(file).strip() for file in files]
    if os.environ.get(_SECRET_VARIABLE):
        return [os.environ[_SECRET_VARIABLE]]
    raise click.UsageError(f"give the secret with --secret-file, or in ${_SECRET_VARIABLE}")


def _header(line: str) -> tuple[str, str]:
    name, _, value = line.partition(":")
    return name.strip(), value.strip()


def _bytes(path: Path) -> bytes:
    if str(path) == "-":
        return sys.stdin.buffer.read()
    try:
        return path.read_bytes()
    except OSError as failure:
        raise click.BadParameter(f"{path} can't be read: {failure.strerror}", param_hint="BODY") from None


COMMANDS: Final = {"verify": verify}
