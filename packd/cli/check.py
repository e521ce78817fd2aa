"""`packd check`: what is wrong with a pack's files."""

from __future__ import annotations

import shlex
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from packd.cli.ending import orderly_end
from packd.cli.options import A_PATH
from packd.cli.options import as_json as as_json_option
from packd.cli.screen import cell, flow, note, paragraph, say_json, word
from packd.cli.text import counted, plural
from packd.domain.printing import clean
from packd.domain.refs import archive_suffix

if TYPE_CHECKING:
    from packd.flow.offline import Checked


@click.command("check")
@click.argument("path", type=A_PATH, default=Path())
@click.option("--config", type=A_PATH, metavar="FILE", help="The daemon's configuration (default: $PACKD_CONFIG).")
@as_json_option
@click.pass_context
def command(ctx: click.Context, path: Path, config: Path | None, as_json: bool) -> None:
    """Say everything that is wrong with the pack in PATH (default: here), a folder or an archive. Needs no daemon.

    \b
    Examples:
      packd check ./hello
      packd check hello.tar.gz --json

    Exit status: 0 nothing, 1 a daemon would refuse it, 2 there is no such folder or archive.
    """
    from packd.cli.terms import terms
    from packd.flow.offline import check_path

    with orderly_end():
        checked = check_path(path, terms=terms(config))
    if as_json:
        say_json(view(checked))
    else:
        print_problems(checked)
        _conclude(checked, path)
    ctx.exit(0 if checked.good else 1)


def view(checked: Checked) -> dict[str, Any]:
    """JSON form."""
    testing = checked.manifest.testing if checked.manifest else None
    return {
        "ref": checked.ref,
        "version": checked.version,
        "ok": checked.good,
        "problems": [problem.to_dict() for problem in checked.problems],
        "components": checked.manifest.component_counts() if checked.manifest else {},
        "suites": [suite.name for suite in testing.suites] if testing else [],
    }


def print_problems(checked: Checked) -> None:
    """One a line, in the form that editors can jump to; folded where a terminal is narrower."""
    for problem in checked.problems:
        severity = () if problem.severity == "error" else (word("warning"), " ")
        flow(*severity, clean(str(problem)), " ", cell(f"[{problem.code}]", faint=True), hanging="  ")


def _conclude(checked: Checked, path: Path) -> None:
    wrong = sum(1 for problem in checked.problems if problem.severity == "error")
    if not checked.good:
        paragraph(f"{plural(wrong, 'problem')}: packd would refuse {clean(checked.name)}", fg="red")
        return
    seen = view(checked)
    parts = [counted(count, kinds) for kinds, count in seen["components"].items()]
    parts.append(plural(len(seen["suites"]), "suite"))
    paragraph(f"{checked.ref} {checked.version} is fine: {', '.join(parts)}", fg="green")
    note(f"next: packd test {shlex.quote(as_argument(path))}")


def as_argument(path: Path) -> str:
    """So that `packd test` takes it for a path: a bare name would be a ref."""
    text = clean(str(path))
    return text if "/" in text or text == "." or archive_suffix(text) else f"./{text}"
