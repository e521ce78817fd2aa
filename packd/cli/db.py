"""`packd db`: look after the registry's database, without a daemon."""

from __future__ import annotations

import os
import sys
import time
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from packd.cli.live import progress
from packd.cli.options import A_PATH, said_before
from packd.cli.options import as_json as as_json_option
from packd.cli.screen import cell, note, say, say_json, word
from packd.cli.text import plural
from packd.domain.failures import Code, Failure
from packd.domain.printing import clean

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from packd.config import Settings
    from packd.flow.consistency import Checkup, Finding, Result
    from packd.registry.database import Database

    Function = Callable[..., Any]

_CONFIG = click.option(
    "--config", type=A_PATH, metavar="FILE", help="The daemon's configuration (default: $PACKD_CONFIG)."
)
_STATE = click.option(
    "--state-dir", type=A_PATH, metavar="DIR", help="Where the daemon keeps its own (default: ~/.local/state/packd)."
)


@click.group("db")
def command() -> None:
    """Look after the database in the state directory; no daemon is asked.

    `backup` and `check` may run beside a daemon; what changes something needs it stopped.

    \b
    Examples:
      packd db backup /var/backups/packd.db
      packd db check --repair
    """


@command.command("upgrade")
@_CONFIG
@_STATE
@as_json_option
def upgrade(config: Path | None, state_dir: Path | None, as_json: bool) -> None:
    """Make the database, or bring it to the schema of this packd. The daemon does the same when it starts.

    A copy of an embedded database with an older schema is kept beside it.

    \b
    Examples:
      packd db upgrade

    Exit status: 0 done, 1 a daemon uses it, 2 it can't be upgraded.
    """
    from packd.registry.conditions import SCHEMA_VERSION

    settings = _settings(config, state_dir)
    with _refusals(), _exclusively(settings):
        before = _schema_before(settings)
        with _database(settings) as database:
            kept = database.prepare()
    if as_json:
        say_json({"from": before, "to": SCHEMA_VERSION, "kept": str(kept) if kept else None})
        return
    if before == SCHEMA_VERSION:
        click.secho(f"nothing to do: the schema is {before} already", fg="green")
        return
    click.secho(f"upgraded from schema {before} to {SCHEMA_VERSION}" if before else "made a new database", fg="green")
    if kept is not None:
        note(f"the copy from before: {kept}")


@command.command("backup")
@click.argument("file", type=A_PATH)
@click.option("--replace", is_flag=True, help="FILE may be there already.")
@_CONFIG
@_STATE
@as_json_option
def backup(file: Path, replace: bool, config: Path | None, state_dir: Path | None, as_json: bool) -> None:
    """Copy the database into FILE: what is true at one moment, while the daemon goes on working.

    The copy is checked, and appears whole or not at all. It holds the secrets of webhooks, and it is the database
    alone. The rest of a backup is for any tool that copies files, AFTER this: `store` of the state directory, plain
    folders that never change; the configuration and its secrets; the packs directory. Links and environments are
    made anew.

    \b
    Examples:
      packd db backup /var/backups/packd.db --replace
      rsync -a /var/lib/packd/store /etc/packd /var/backups/      behind it

    Exit status: 0 done, 2 it could not be copied.
    """
    from packd.registry.backup import back_up

    settings = _settings(config, state_dir)
    also = [settings.state_dir / "store", settings.packs_dir, *([config] if config else [])]
    if file.exists() and not replace:
        raise Failure(Code.BAD_REQUEST, f"{file} is there already: choose another name, or give --replace")
    with _refusals():
        size = back_up(_file(settings), file)
    if as_json:
        say_json({"file": str(file.resolve()), "bytes": size, "also": [str(path) for path in also]})
        return
    click.secho(f"copied the database into {clean(str(file))} ({size / 1_048_576:.1f} MiB)", fg="green")
    note("that is the database alone; copy these now, and the backup is complete:")
    for path in also:
        note(f"  {clean(str(path))}")


@command.command("restore")
@click.argument("file", type=A_PATH)
@_CONFIG
@_STATE
@as_json_option
def restore(file: Path, config: Path | None, state_dir: Path | None, as_json: bool) -> None:
    """Put the copy in FILE in the place of the database. The daemon must not run; what was there is kept aside.

    \b
    Examples:
      packd db restore /var/backups/packd.db && packd db check --repair

    Exit status: 0 done, 1 a daemon uses the database, 2 FILE can't be restored.
    """
    from packd.registry import backup as copies
    from packd.registry.conditions import SCHEMA_VERSION

    settings = _settings(config, state_dir)
    database = _file(settings)
    aside = database.with_name(f"{database.name}.before-restore-{time.strftime('%Y%m%d-%H%M%S')}")
    with _refusals(), _exclusively(settings):
        schema = copies.schema_of(file)
        if schema > SCHEMA_VERSION:
            raise Failure(
                Code.BAD_REQUEST,
                f"{file} has schema {schema}, this packd knows up to {SCHEMA_VERSION}: install the packd that made it",
            )
        was_there = copies.restore(file, database, aside=aside)
        missing = _missing(settings) if schema == SCHEMA_VERSION else []
    if as_json:
        kept = str(aside) if was_there else None
        say_json({"file": str(database), "aside": kept, "schema": schema, "missing": missing})
        return
    click.secho(f"restored {clean(str(database))}", fg="green")
    if was_there:
        note(f"what was there before: {aside}")
    if missing:
        note(
            f"the store has not the content of {', '.join(map(clean, missing))}: copy it back from your backup of the store"
        )
    note("next: `packd db check --repair` compares every snapshot, and takes again what lies in the packs directory")


@command.command("check")
@click.option("--repair", is_flag=True, help="Rebuild what can be rebuilt; the daemon must not run.")
@_CONFIG
@_STATE
@as_json_option
@click.pass_context
def check(ctx: click.Context, repair: bool, config: Path | None, state_dir: Path | None, as_json: bool) -> None:
    """Compare the database, the snapshots and the links with each other. Reads every snapshot that is kept.

    \b
    Examples:
      packd db check
      packd db check --repair      with the daemon stopped

    Exit status: 0 all is well (or was repaired), 1 something is wrong, 2 there is no such database.
    """
    settings = _settings(config, state_dir)
    with _refusals():
        damage = _damage(settings)
        result = _compared(settings, repair=repair) if not damage else None
    findings = [*damage, *(result.findings if result else ())]
    good = not damage and result is not None and result.good
    if as_json:
        counted = {"snapshots": result.snapshots, "links": result.links, "unused": result.unused} if result else None
        say_json({"ok": good, "findings": [one.to_dict() for one in findings], "checked": counted})
    else:
        _print(findings, result, good=good)
    ctx.exit(0 if good else 1)


def _print(findings: list[Finding], result: Result | None, *, good: bool) -> None:
    for finding in findings:
        state = cell("repaired", colour="green") if finding.repaired else word(finding.severity)
        say(state, f": {clean(finding.message)}")
        if not finding.repaired:
            say("  ", cell(clean(finding.cure), faint=True))
    if result is not None:
        looked = f"{plural(result.snapshots, 'snapshot')} and {plural(result.links, 'link')}"
        say(f"looked at the database, {looked}")
        if result.unused:
            note(f"{plural(result.unused, 'snapshot')} that nothing names: `packd sweep` removes them")
    click.secho("all is well" if good else "something is wrong", fg="green" if good else "red")


def _damage(settings: Settings) -> list[Finding]:
    """What the database itself finds, for the embedded one."""
    from packd.flow.consistency import Finding
    from packd.registry.backup import schema_of, troubles_of

    if settings.database_url is not None:
        with _database(settings) as database:
            _refuse_schema(database.schema(), "the database of database_url")
        return []
    _refuse_schema(schema_of(_file(settings)), str(_file(settings)))
    cure = "stop the daemon and `packd db restore FILE` from the newest backup"
    return [
        Finding(where="database", severity="error", message=said, cure=cure) for said in troubles_of(_file(settings))
    ]


def _refuse_schema(schema: str | None, where: str) -> None:
    """Raises Failure unless it is the one that this packd knows."""
    from packd.registry.conditions import SCHEMA_VERSION

    if schema != SCHEMA_VERSION:
        older = schema is None or schema < SCHEMA_VERSION
        way = "`packd db upgrade` first" if older else "install the packd that made it"
        raise Failure(Code.BAD_REQUEST, f"{where} has schema {schema or 'none'}, this packd {SCHEMA_VERSION}: {way}")


def _compared(settings: Settings, *, repair: bool) -> Result:
    _log_to_stderr()
    with _database(settings) as database, _exclusively(settings, only_if=repair), progress("reading snapshots") as line:
        checkup = _checkup(settings, database)
        return checkup.run(repair=repair, on_snapshot=lambda digest: line.on_case(digest[:19], "passed"))


def _log_to_stderr() -> None:
    """Parts of a daemon do the repairing, and stdout is for the findings."""
    import structlog

    structlog.configure(logger_factory=lambda *_: structlog.PrintLogger(sys.stderr))


def _missing(settings: Settings) -> list[str]:
    """What the database needs and the store has not."""
    with _database(settings) as database:
        return _checkup(settings, database).missing()


def _checkup(settings: Settings, database: Database) -> Checkup:
    from packd.domain.ignore import Ignore
    from packd.flow.consistency import Checkup
    from packd.snapshot.limits import MIB, Limits
    from packd.snapshot.store import Store

    largest = settings.limits
    return Checkup(
        database=database,
        store=Store(
            settings.state_dir / "store", Limits(files=largest.files, bytes=largest.bytes_mb * MIB, depth=largest.depth)
        ),
        active=settings.state_dir / "active",
        packs_dir=settings.packs_dir,
        ignore=Ignore(settings.watch.ignore),
    )


def _schema_before(settings: Settings) -> str | None:
    from packd.registry.backup import Unused, schema_of

    if settings.database_url is not None:
        with _database(settings) as database:
            found: str | None = database.schema()
            return found
    if not _path(settings).exists():
        return None
    try:
        return schema_of(_path(settings))
    except Unused:
        return None


def _settings(config: Path | None, state_dir: Path | None) -> Settings:
    from packd.config import load

    _, state_before = said_before()
    settings = load(config, os.environ, {"state_dir": state_dir or state_before})
    if not settings.state_dir.is_dir():
        raise Failure(
            Code.BAD_REQUEST, f"there is no state directory {settings.state_dir}: say where it is with --state-dir"
        )
    return settings


def _path(settings: Settings) -> Path:
    return settings.state_dir / "packd.db"


def _file(settings: Settings) -> Path:
    """The embedded database. Raises Failure where the registry is on a server."""
    if settings.database_url is not None:
        raise Failure(Code.BAD_REQUEST, "database_url names a server: use its own tools, e.g. pg_dump and pg_restore")
    return _path(settings)


@contextmanager
def _database(settings: Settings) -> Iterator[Any]:
    from packd.registry.database import Database, sqlite_url

    url = settings.database_url
    database = Database(url.get_secret_value() if url else sqlite_url(settings.state_dir))
    try:
        yield database
    finally:
        database.close()


@contextmanager
def _exclusively(settings: Settings, *, only_if: bool = True) -> Iterator[None]:
    from packd.flow.exclusive import AlreadyRunning, exclusively

    if not only_if:
        yield
        return
    try:
        with exclusively(settings.state_dir):
            yield
    except AlreadyRunning as refusal:
        raise Failure(Code.CONFLICT, str(refusal)) from refusal


@contextmanager
def _refusals() -> Iterator[None]:
    """What a database refuses is a sentence, not a traceback."""
    from packd.registry.backup import NotPackds
    from packd.registry.broken import DatabaseBroken
    from packd.registry.schema import SchemaMismatch

    try:
        yield
    except (NotPackds, SchemaMismatch) as refusal:
        raise Failure(Code.BAD_REQUEST, str(refusal)) from refusal
    except DatabaseBroken as refusal:
        raise Failure(Code.BAD_REQUEST, refusal.sentence) from refusal
    except OSError as refusal:
        where = f"{refusal.filename}: " if refusal.filename else ""
        raise Failure(Code.BAD_REQUEST, f"{where}{refusal.strerror or refusal}") from refusal
