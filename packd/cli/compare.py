"""`packd compare`: what changed between two runs of a pack's tests."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

import click

from packd.cli.completing import complete_revisions
from packd.cli.options import as_json, asks_daemon, ref_argument
from packd.cli.screen import Cell, cell, flow, heading, note, say_json, word
from packd.cli.text import ago, duration, gist, one_line, plural
from packd.client import part

if TYPE_CHECKING:
    from packd.client import Client

# What is listed, in this order: title, colour, mark.
_KINDS: Final = {
    "newly_failing": ("Newly failing", "red", "✗"),
    "still_failing": ("Still failing", "red", "✗"),
    "fixed": ("Fixed", "green", "✓"),
    "newly_skipped": ("Skipped now", "yellow", "-"),
    "added": ("Added", "cyan", "+"),
    "removed": ("Removed", "yellow", "-"),
    "slower": ("More than twice as slow", "yellow", "!"),
}
_BAD: Final = ("failed", "error", "not_run")


@click.command("compare")
@ref_argument
@click.argument("older", metavar="[A", required=False, shell_complete=complete_revisions)
@click.argument("newer", metavar="B]", required=False, shell_complete=complete_revisions)
@as_json
@asks_daemon
@click.pass_context
def command(ctx: click.Context, client: Client, ref: str, older: str | None, newer: str | None, as_json: bool) -> None:
    """What changed between two runs of a pack's tests, case by case.

    A and B are revisions (7) or runs (run_01…); of a revision its last run is meant. Without B it is the last run, and
    without A the last one before it that was of other content.

    \b
    Examples:
      packd compare core           what the newest content changed
      packd compare core 6         since revision 6
      packd compare core 6 7

    Exit status: 0 nothing fails that did not fail before, 1 something does, or there is nothing to compare,
    3 no daemon answers.
    """
    asked = {"from": older, "to": newer}
    said = client.get(f"/packs/{part(ref)}/compare", **asked)["data"]
    if as_json:
        say_json(said)
    else:
        _print(said)
    ctx.exit(1 if said["worse"] else 0)


def _print(said: dict[str, Any]) -> None:
    for name in ("from", "to"):
        flow(cell(name, faint=True), " " * (5 - len(name)), *_run(said["ref"], said[name]), hanging="     ")
    if said["same_content"]:
        note("both ran the same content: what differs is up to the tests, or to the machine")
    for kind, (title, colour, mark) in _KINDS.items():
        if said[kind]:
            heading(f"{title} ({len(said[kind])})")
            for change in said[kind]:
                _change(kind, change, colour, mark)
    click.echo()
    _conclusion(said)


def _run(ref: str, run: dict[str, Any]) -> list[Cell | str]:
    counted = run["total_tests"] - run["skipped"]
    return [
        cell(f"{ref}#{run['revision']}", bold=True),
        f" {run['id']} · ",
        word(run["status"]),
        f" {run['passed']}/{counted} · {ago(run['started_at'])}",
    ]


def _change(kind: str, change: dict[str, Any], colour: str, mark: str) -> None:
    bad = change["to"] in _BAD
    shown = "red" if kind == "added" and bad else colour
    flow("  ", cell(mark, colour=shown), f" {_name(change)}", *_remark(kind, change), hanging="    ")
    if why := gist(change["error_message"]):
        flow("      ", one_line(why), hanging="      ")


def _remark(kind: str, change: dict[str, Any]) -> list[Cell | str]:
    if kind == "slower":
        text = f"{duration(change['from_ms'])} → {duration(change['to_ms'])}"
    elif change["to"] == "not_run":
        text = "its suite broke off before its turn"
    else:
        text = change["to"] if kind == "added" else ""
    return ["  ", cell(text, faint=True)] if text else []


def _name(change: dict[str, Any]) -> str:
    return one_line(f"{change['suite']}: {change['name']}")


def _conclusion(said: dict[str, Any]) -> None:
    failing = len(said["newly_failing"]) + sum(1 for change in said["added"] if change["to"] in _BAD)
    unchanged = f"; {plural(said['unchanged'], 'case')} unchanged" if said["unchanged"] else ""
    if said["worse"]:
        click.secho(f"worse: {plural(failing, 'case')} that did not fail before{unchanged}", fg="red")
    else:
        click.secho(f"not worse{unchanged}", fg="green")
