"""`packd doctor`: what commonly goes wrong, and what to do about it."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import click

from packd.cli.options import A_PATH, said_before
from packd.cli.options import as_json as as_json_option
from packd.cli.screen import cell, say, say_json, terminal_columns
from packd.cli.text import ago, folded, plural, width
from packd.domain.failures import Failure
from packd.domain.printing import clean

if TYPE_CHECKING:
    from collections.abc import Iterator

    from packd.config import Settings
    from packd.flow.diagnosis.answers import Answer
    from packd.flow.diagnosis.parts import Target

_MARKS: Final = {
    "ok": ("✓", "green"),
    "warning": ("!", "yellow"),
    "wrong": ("✗", "red"),
    "skipped": ("-", None),
}
_PATIENCE_S: Final = 10.0  # a daemon that does not answer by then is what is wrong
_MARGIN: Final = 19
_WIDE: Final = 60  # columns of a terminal with room for a margin


@click.command("doctor")
@click.argument("packs_dir", type=A_PATH, required=False)
@click.option("--config", type=A_PATH, metavar="FILE", help="The daemon's configuration (default: $PACKD_CONFIG).")
@click.option("--socket", type=A_PATH, metavar="PATH", help="The daemon's socket.")
@click.option("--state-dir", type=A_PATH, metavar="DIR", help="Where the daemon keeps its own.")
@as_json_option
@click.pass_context
def command(
    ctx: click.Context,
    packs_dir: Path | None,
    config: Path | None,
    socket: Path | None,
    state_dir: Path | None,
    as_json: bool,
) -> None:
    """Look at what commonly goes wrong, with and without a running daemon, and say what to do about it.

    Folders, disk, inotify limits, clock, user, programs, isolation of tests, database, socket, webhooks. Nothing is changed.

    \b
    Examples:
      packd doctor
      packd doctor /srv/packs --config /etc/packd/packd.yaml
      sudo -u packd packd doctor          as the daemon's user

    Exit status: 0 nothing is wrong (there may be warnings), 1 something is.
    """
    socket_before, state_before = said_before()
    flags = {"packs_dir": packs_dir, "api.socket": socket or socket_before, "state_dir": state_dir or state_before}
    found: list[Answer] = []
    for answer in _answers(config, flags):
        found.append(answer)
        if not as_json:
            _print(answer)
    troubles = [answer for answer in found if answer.outcome == "wrong"]
    if as_json:
        say_json({"ok": not troubles, "checks": [answer.to_dict() for answer in found]})
    else:
        _conclude(found, troubles)
    ctx.exit(1 if troubles else 0)


def _answers(config: Path | None, flags: dict[str, Any]) -> Iterator[Answer]:
    """One after another, so that the slow ones at the end keep nobody from reading."""
    from packd.config import FILE_VARIABLE, load
    from packd.flow.diagnosis.answers import ok, wrong

    file = config or os.environ.get(FILE_VARIABLE)
    try:
        settings = load(config, os.environ, flags)
        found = ok("configuration", f"{file} can be used" if file else "none is named, defaults are used")
    except Failure as failure:
        found = wrong("configuration", failure.sentence, "packd config check; the rest is judged by defaults")
        settings = load(None, {name: os.environ[name] for name in ("HOME",) if name in os.environ}, flags)
    status = _told(settings.socket_path, "/status")
    if status is None or file or found.outcome != "ok":
        yield found
    if status is not None:
        yield _configuration_of_daemon(status["configuration"])
        settings = _as_it_runs(settings, status)
    yield from _of_machine(settings, status)
    yield from _of_daemon(settings, status)


def _configuration_of_daemon(found: dict[str, Any]) -> Answer:
    from packd.flow.diagnosis.answers import ok, warning, wrong

    file, loaded = found["file"], ago(found["loaded_at"])
    if found["rejected"]:
        said = f"a newer {file} is not used; the one that was loaded {loaded} stays in force: {'; '.join(found['rejected'])}"
        return wrong("configuration", said, "correct it, which is noticed; packd config check FILE checks it before")
    in_force = f"{file}, loaded {loaded}, is in force" if file else "the daemon was started without a file"
    if found["needs_restart"]:
        keys = ", ".join(found["needs_restart"])
        return warning("configuration", f"{in_force}, but for {keys}: changed since the start", "restart packd")
    return ok("configuration", in_force)


def _as_it_runs(settings: Settings, status: dict[str, Any]) -> Settings:
    """What the daemon works with, not what it would if it were started now; as far as it is looked at, and no secret."""
    said = {one["key"]: one["value"] for one in _told(settings.socket_path, "/config") or ()}
    folders = {"packs_dir": Path(status["packs_dir"]), "state_dir": Path(status["state_dir"])}
    if not said:
        return settings.model_copy(update=folders)
    python = said["tests.python"] and Path(said["tests.python"])
    watch = {"ignore": tuple(said["watch.ignore"]), "reconcile_every_s": said["watch.reconcile_every_s"]}
    return settings.model_copy(
        update={
            **folders,
            "markers": said["markers"],
            "watch": settings.watch.model_copy(update=watch),
            "tests": settings.tests.model_copy(update={"python": python}),
        }
    )


def _of_machine(settings: Settings, status: dict[str, Any] | None) -> Iterator[Answer]:
    from packd.domain.ignore import Ignore
    from packd.flow.diagnosis import machine, places

    ignore = Ignore(settings.watch.ignore)
    yield from places.packs_folder(
        settings.packs_dir,
        ignore,
        markers=settings.markers != "none",
        every_s=settings.watch.reconcile_every_s,
        watched=status is not None,
    )
    yield from places.state_folder(settings.state_dir, settings.packs_dir)
    yield places.disk(settings.state_dir, "disk")
    if status is not None:
        yield from machine.watches_of_daemon(status["watch"])
    else:
        yield from machine.watches(settings.packs_dir, ignore)
    yield machine.open_files()
    yield from machine.clock(settings.packs_dir, _newest_event(settings, status))
    yield machine.user(None if status is None else status["pid"])
    yield machine.git()
    yield machine.node()


def _of_daemon(settings: Settings, status: dict[str, Any] | None) -> Iterator[Answer]:
    from packd.flow.diagnosis import parts, places
    from packd.flow.exclusive import holder
    from packd.registry.conditions import SCHEMA_VERSION

    yield parts.interpreter(settings.tests.python)
    yield _isolation(settings) if status is None else _isolation_of_daemon(status)
    if settings.database_url is not None:
        yield parts.server_database(settings.database_url.get_secret_value(), newest_schema=SCHEMA_VERSION)
    elif not any(ailment["part"] == "database" for ailment in (status or {}).get("health", ())):  # it knows better
        yield parts.database(settings.state_dir / "packd.db", newest_schema=SCHEMA_VERSION)
    yield places.socket(settings.socket_path, answers=status is not None, pid=_holder(holder, settings.state_dir))
    yield from _health(status)
    yield from parts.endpoints(_targets(settings, status))


def _health(status: dict[str, Any] | None) -> Iterator[Answer]:
    """What a daemon finds wrong with itself, but for what was looked at already."""
    from packd.flow.diagnosis.answers import warning, wrong

    for ailment in (status or {}).get("health", ()):
        if ailment["part"] != "clock":
            made = warning if ailment["grade"] == "warning" else wrong
            yield made(ailment["part"], *_said_and_fix(ailment["reason"]))


def _said_and_fix(sentence: str) -> tuple[str, str]:
    """What is wrong, and the way out behind the last `;` or `:`; where there is none, where to look on."""
    for mark in ("; ", ": "):
        said, _, fix = sentence.rpartition(mark)
        if said:
            return said, fix
    return sentence, "packd status says how it goes on"


def _targets(settings: Settings, status: dict[str, Any] | None) -> list[Target]:
    """Those of the daemon, if there is one: some may have been made by its API."""
    from packd.client import Client
    from packd.flow.diagnosis.parts import Target
    from packd.notify.tls import Tls

    known = {one.name: Tls(**(one.certificates() or {})) for one in settings.webhooks}
    if status is None:
        return [
            Target(name=one.name, url=str(one.url), allow_private=one.allow_private, tls=known[one.name])
            for one in settings.webhooks
        ]
    try:
        told = {one["name"]: one for one in Client(settings.socket_path).items("/webhooks/endpoints")}
    except Failure:
        told = {}
    # It shows no certificate, only whether there is one; the file of its configuration, where we have it, names them.
    own = {name for name, one in told.items() if any(one["tls"].values())}
    configured = {name: tls for name, tls in known.items() if tls != Tls()}
    return [
        Target(
            name=one["name"],
            url=told.get(one["name"], one)["url"],
            allow_private=told.get(one["name"], {}).get("allow_private", True),
            tls=configured.get(one["name"]) if one["name"] in own else Tls(),
        )
        for one in status["endpoints"]
    ]


def _isolation_of_daemon(status: dict[str, Any]) -> Answer:
    """What it found when it started: a service may have what this terminal has not."""
    from packd.flow.diagnosis.answers import ok, warning

    gaps = "; ".join(status["not_contained"])
    said = f"the daemon uses {status['isolation']}" + (f", but {gaps}" if gaps else "")
    if str(status["isolation"]).startswith("bwrap"):
        return ok("isolation", said)
    return warning("isolation", said, "apt install bubblewrap util-linux, and start it again")


def _isolation(settings: Settings) -> Answer:
    """Tried in a folder of its own, so that nothing of a daemon is touched."""
    import tempfile

    from packd.flow.diagnosis import parts
    from packd.flow.diagnosis.answers import wrong
    from packd.testrun.ladder import Footing, NoRung, rungs, suite_user

    try:
        with tempfile.TemporaryDirectory(prefix="packd-doctor-") as folder:
            footing = Footing(folder=Path(folder), someone=suite_user(settings.tests.user))
            return parts.isolation(rungs(footing), settings.tests.isolation)
    except NoRung as refusal:
        return wrong("isolation", str(refusal), "correct tests.user")


def _holder(holder: Any, state_dir: Path) -> int | None:
    try:
        pid: int | None = holder(state_dir)
    except OSError:  # not ours to look at; the state directory's own check says so
        return None
    return pid


def _told(socket: Path, path: str) -> Any:
    """What a daemon says of itself there; None when nobody answers."""
    from packd.client import Client

    try:
        return Client(socket, patience_s=_PATIENCE_S).get(path)["data"]
    except Failure:
        return None


def _newest_event(settings: Settings, status: dict[str, Any] | None) -> float | None:
    """Unix seconds; only a daemon can be asked."""
    from packd.client import Client
    from packd.domain.moments import unix_s

    if status is None:
        return None
    try:
        client = Client(settings.socket_path)
        newest = client.get("/events", limit=1)["cursor"]["newest"]
        items = client.get("/events", after=max(0, newest - 1), limit=1)["items"]
    except Failure:
        return None
    return unix_s(items[-1]["timestamp"]) if items else None


def _print(answer: Answer) -> None:
    mark, colour = _MARKS[answer.outcome]
    quiet = answer.outcome in ("ok", "skipped")
    columns, margin = terminal_columns(), _margin()
    about = answer.about if width(answer.about) < len(margin) - 2 else f"{answer.about}:"
    first, *more = folded(clean(answer.said), columns, indent=f"  {about:<{len(margin) - 3}} ", hanging=margin)
    say(cell(mark, colour=colour), first[1:])
    for line in more:
        say(line)
    if answer.fix and not quiet:
        for line in folded(f"→ {clean(answer.fix)}", columns, indent=margin, hanging=f"{margin}  "):
            click.secho(line, fg=colour)


def _margin() -> str:
    """What stands on the left of sentences; less of it where there is little room."""
    columns = terminal_columns()
    return " " * (_MARGIN if columns is None or columns >= _WIDE else 4)


def _conclude(found: list[Answer], troubles: list[Answer]) -> None:
    warnings = [answer for answer in found if answer.outcome == "warning"]
    click.echo()
    if troubles:
        click.secho(f"{plural(len(troubles), 'thing')} wrong, {plural(len(warnings), 'warning')}", fg="red")
    elif warnings:
        click.secho(f"nothing is wrong; {plural(len(warnings), 'warning')}", fg="yellow")
    else:
        click.secho("nothing is wrong", fg="green")
