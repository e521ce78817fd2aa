"""`packd list`: one line a pack."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

import click

from packd.cli.options import as_json, asks_daemon
from packd.cli.screen import Cell, cell, note, say_json, table, word
from packd.cli.text import ago
from packd.domain.statuses import PackStatus

if TYPE_CHECKING:
    from packd.client import Client


_SPARE: Final = ("REVISION", "CHANGED", "VERSION", "TESTS")  # what a narrow terminal can do without


@click.command("list")
@click.argument("words", nargs=-1)
@click.option(
    "--status",
    metavar="WORD",
    type=click.Choice([str(word) for word in PackStatus if word != PackStatus.UNREGISTERED]),
    help="Only these: active, waiting, testing, disabled, …; refused: whose newest content was refused.",
)
@as_json
@asks_daemon
def command(client: Client, words: tuple[str, ...], status: str | None, as_json: bool) -> None:
    """One line a pack; with WORDS only those that have them in their name or description.

    `--status refused` has every pack whose newest content was refused, also where older content stays in use; rejected,
    failed and rolled_back are the ways of being refused.

    \b
    Examples:
      packd list
      packd list --status failed
      packd list backup s3

    Exit status: 0 fine, also when none fits, 2 there is no such status, 3 no daemon answers.
    """
    packs = list(client.items("/packs", status=status, q=" ".join(words) or None))
    if as_json:
        say_json(packs)
    elif packs:
        drops = any(pack["drop"] not in (None, pack["ref"]) for pack in packs)  # which tell apart what has one name
        table(
            ("PACK", *(("DROP",) if drops else ()), "VERSION", "STATUS", "REVISION", "TESTS", "CHANGED", ""),
            [_row(pack, drops=drops) for pack in packs],
            spare=_SPARE,
        )
    else:
        note("no pack fits" if status or words else "no packs yet: drop one into the folder, or try `packd new hello`")


def _row(pack: dict[str, Any], *, drops: bool) -> list[Cell]:
    latest, in_use = pack["latest"], pack["active"]
    shown = in_use or latest
    return [
        cell(pack["ref"], bold=True),
        *([cell(pack["drop"])] if drops else []),
        cell(pack["version"]),
        word(pack["status"]),
        cell(f"#{shown['number']}" if shown else None),
        tests(pack["tests"]),
        cell(ago(latest["phase_at"]) if latest else None, faint=True),
        remark(pack),
    ]


def tests(counts: dict[str, Any] | None) -> Cell:
    """`36/36`, red when some failed; with a word for what else was wrong: `0/1 memory`."""
    if counts is None:
        return cell(None)
    if counts["total"] is None:
        return word(counts["status"])
    executed = counts["total"] - counts["skipped"]
    good = counts["status"] == "passed"
    why = "" if good or counts["reason"] in (None, "failures") else f" {counts['reason'].replace('_', ' ')}"
    return cell(f"{counts['passed']}/{executed}{why}", colour="green" if good else "red")


def needed(need: dict[str, str]) -> str:
    """`core >=1.2,<2`; only the name where any version will do."""
    versions = need.get("version") or need.get("range")
    return need["ref"] if versions in (None, "*") else f"{need['ref']} {versions}"


def own_name(pack: dict[str, Any]) -> str:
    """By which it is asked for: what never became a pack may claim the ref of another one."""
    return str(pack["ref"] if pack["latest"] else pack["drop"] or pack["ref"])


_REFUSED: Final = {"failed": "its own tests did not pass", "rolled_back": "it was rolled back"}


def remark(pack: dict[str, Any]) -> Cell:
    """What needs a look: newer content that is not in use, or why there is none."""
    latest, in_use, candidate = pack["latest"], pack["active"], pack["candidate"]
    if candidate and candidate["waits_for"]:
        which = f"#{candidate['number']} " if in_use else ""
        return cell(f"{which}waits for {', '.join(map(needed, candidate['waits_for']))}", colour="yellow")
    if in_use and latest and latest["number"] != in_use["number"]:
        return cell(f"#{latest['number']} {latest['phase'].replace('_', ' ')}", colour="red")
    wrong = [problem for problem in pack["problems"] if problem["severity"] == "error"]
    if wrong:
        return cell(wrong[0]["message"], colour="red")
    refused = None if in_use or latest is None else _REFUSED.get(latest["phase"])
    if refused and latest["phase"] == "failed" and pack["tests"] and pack["tests"]["reason"] == "unavailable":
        refused = "it could not be tested"
    return cell(refused, colour="red") if refused else Cell(text="")
