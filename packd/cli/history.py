"""`packd history`: what a pack was."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import click

from packd.cli.options import as_json, asks_daemon, ref_argument
from packd.cli.screen import Cell, cell, flow, heading, say_json, table, word
from packd.cli.text import day_and_time, plural
from packd.client import part
from packd.domain.printing import typed

if TYPE_CHECKING:
    from packd.client import Client


@click.command("history")
@ref_argument
@as_json
@asks_daemon
def command(client: Client, ref: str, as_json: bool) -> None:
    """Every content that a pack had, newest first, and which of them was in use when.

    \b
    Examples:
      packd history core

    Exit status: 0 fine, 1 there is no such pack, 3 no daemon answers.
    """
    revisions = list(client.items(f"/packs/{part(ref)}/revisions"))
    activations = list(client.items(f"/packs/{part(ref)}/activations"))
    if as_json:
        say_json({"revisions": revisions, "activations": activations})
        return
    table(
        ("REVISION", "VERSION", "PHASE", "SINCE", "DIGEST", "BY", ""),
        [_revision(one) for one in revisions],
        spare=("DIGEST", "BY", "VERSION"),
    )
    in_use = any(one["phase"] == "active" for one in revisions)
    if activations:
        heading("In use")
        table(
            ("SINCE", "UNTIL", "REVISION", "INSTEAD OF", "BECAUSE", "BY"),
            [_activation(one, in_use=in_use and one is activations[0]) for one in activations],
            spare=("BY", "INSTEAD OF", "BECAUSE"),
        )
    if not in_use:
        flow(f"nothing of it is in use: packd why {typed(ref)}")


def _revision(revision: dict[str, Any]) -> list[Cell]:
    wrong = [problem for problem in revision["problems"] if problem["severity"] == "error"]
    marks = [plural(len(wrong), "problem")] if wrong else []
    marks += ["forced"] if revision["forced"] else []
    marks += ["tests skipped"] if revision["tests_skipped"] else []
    return [
        cell(f"#{revision['number']}", bold=revision["phase"] == "active"),
        cell(revision["version"]),
        word(revision["phase"]),
        cell(day_and_time(revision["phase_at"])),
        cell(revision["digest"].removeprefix("sha256:")[:12], faint=True),
        cell(revision["source"]),
        Cell(text=", ".join(marks), colour="yellow"),
    ]


def _activation(activation: dict[str, Any], *, in_use: bool) -> list[Cell]:
    previous = activation["previous_number"]
    return [
        cell(day_and_time(activation["at"])),
        cell("now" if in_use else day_and_time(activation["until"])),
        cell(f"#{activation['number']}", bold=True),
        cell(f"#{previous}" if previous else None),
        cell(activation["reason"].replace("_", " ")),
        cell(activation["actor"]),
    ]
