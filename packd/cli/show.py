"""`packd show`: a pack whole."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import click

from packd.cli.list import needed, own_name, remark, tests
from packd.cli.options import as_json, asks_daemon, ref_argument
from packd.cli.runs import flaky_case
from packd.cli.screen import Cell, cell, facts, flow, heading, say_json, table, word
from packd.cli.text import ago, counted, one_line
from packd.client import part
from packd.domain.printing import clean, typed
from packd.domain.problems import Problem

if TYPE_CHECKING:
    from packd.client import Client

_INTERPRETERS = {"python_version": "Python", "nodejs_version": "Node.js"}
_KNOWN = frozenset({"ref", "name", "label", "description", "version", "testing", "dependencies"})


@click.command("show")
@ref_argument
@as_json
@asks_daemon
def command(client: Client, ref: str, as_json: bool) -> None:
    """A pack whole: what is in use, what is newest, its components, its problems and what its pack.yaml says. REF is a
    pack, or the name of what was dropped.

    \b
    Examples:
      packd show core
      packd show core --json

    Exit status: 0 fine, 1 there is no such pack, 3 no daemon answers.
    """
    pack = client.get(f"/packs/{part(ref)}")["data"]
    if as_json:
        say_json(pack)
        return
    version = f" {one_line(pack['version'])}" if pack["version"] else ""
    flow(cell(pack["ref"], bold=True), version, " · ", word(pack["status"]))
    if pack["label"] not in (pack["ref"], ""):
        flow(cell(pack["label"]))
    if pack["description"]:
        flow(cell(pack["description"], faint=True))
    facts([(name, pieces) for name, pieces in _facts(pack) if pieces])
    _problems(pack["problems"])
    _components(list(client.items(f"/packs/{part(pack['ref'])}/components")) if pack["latest"] else [])
    _fields(pack["fields"])


def _facts(pack: dict[str, Any]) -> list[tuple[str, list[Cell | str]]]:
    in_use, latest, candidate = pack["active"], pack["latest"], pack["candidate"]
    run, parts, needs, seen = pack["tests"], pack["components"], _needs(pack), remark(pack)
    return [
        ("in use", _revision(in_use, in_use["activated_at"]) if in_use else [cell("nothing", faint=True)]),
        ("newest", [*_revision(latest, latest["phase_at"]), " · ", word(latest["phase"])] if latest else []),
        ("on its way", [cell(f"#{candidate['number']}"), " ", word(candidate["phase"])] if candidate else []),
        (
            "tests",
            [tests(run), f" · {ago(run['at'])} · ", cell(run["run_id"], faint=True)] if run else [],
        ),
        ("flaky", _flaky(pack["flaky"])),
        ("needs", [cell(", ".join(needs))] if needs else []),
        ("components", [cell(", ".join(counted(count, kinds) for kinds, count in parts.items()))] if parts else []),
        ("from", [cell(pack["path"]), *_provenance(pack)]),
        ("but", [seen, f": packd why {typed(own_name(pack))}"] if seen.text else []),
    ]


def _needs(pack: dict[str, Any]) -> list[str]:
    """Other packs, and the versions of interpreters, that it asks for."""
    said = pack["fields"].get("dependencies")
    interpreters = said if isinstance(said, dict) else {}
    return [
        *map(needed, pack["needs"]),
        *(f"{name} {interpreters[key]}" for key, name in _INTERPRETERS.items() if interpreters.get(key)),
    ]


def _provenance(pack: dict[str, Any]) -> list[Cell | str]:
    """Which commit, which archive, which index; nothing for what was dropped."""
    known = pack["provenance"]
    words = [
        f"commit {known['commit'][:12]}" if "commit" in known else "",
        known.get("ref", "").removeprefix("refs/heads/").removeprefix("refs/tags/") if "commit" in known else "",
        known.get("checksum", "")[:19],
        f"index {known['index']}" if "index" in known else "",
    ]
    said = " · ".join(one for one in words if one and one not in ("HEAD", known.get("commit")))
    return [" · ", cell(said, faint=True)] if said else []


def _flaky(cases: list[dict[str, Any]]) -> list[Cell | str]:
    """The first of the newest content's; all of them are in --json."""
    if not cases:
        return []
    more = f" (and {len(cases) - 1} more)" if len(cases) > 1 else ""
    return [cell(flaky_case(cases[0]) + more, colour="yellow")]


def _revision(revision: dict[str, Any], moment: str) -> list[Cell | str]:
    digest = revision["digest"].removeprefix("sha256:")[:12]
    return [
        cell(f"#{revision['number']}"),
        f" {revision['version']} · {ago(moment)} · " if revision["version"] else f" · {ago(moment)} · ",
        cell(digest, faint=True),
    ]


def _problems(problems: list[dict[str, Any]]) -> None:
    if problems:
        heading("Problems")
    for problem in (Problem(**found) for found in problems):
        code = cell(f"[{problem.code}]", faint=True)
        flow("  ", word(problem.severity), f": {clean(str(problem))} ", code, hanging="    ")


def _components(components: list[dict[str, Any]]) -> None:
    if components:
        heading("Components")
        rows = [
            [cell(one["kind"]), cell(one["ref"]), cell(one["runner_type"]), cell(one["label"])] for one in components
        ]
        table(("KIND", "REF", "RUNNER", "LABEL"), rows, spare=("LABEL", "RUNNER"))


def _fields(fields: dict[str, Any]) -> None:
    """The rest of pack.yaml, as far as it is short; all of it is in --json."""
    rest = {key: value for key, value in fields.items() if key not in _KNOWN and not isinstance(value, dict)}
    if rest:
        heading("pack.yaml")
        facts([(f"  {clean(key)}", [cell(_short(value))]) for key, value in rest.items()])


def _short(value: Any) -> str:
    if isinstance(value, list):
        return ", ".join(str(item) for item in value)
    return str(value).lower() if isinstance(value, bool) else str(value)
