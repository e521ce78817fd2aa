"""`packd db`: copies while somebody writes, putting back, and comparing database, store and links with each other."""

from __future__ import annotations

import json
import os
import shutil
import sqlite3
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path

import pytest
import structlog
from click.testing import CliRunner, Result

from packd.cli.app import cli
from packd.flow.exclusive import exclusively, holder
from packd.registry.backup import NotPackds, back_up, schema_of, troubles_of
from packd.registry.conditions import SCHEMA_VERSION
from tests.unit.registry_ground import NEXT, made_url, next_packd

Packd = Callable[..., Result]


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """`packs/` and `state/` of a daemon that has carried two packs to their end, one of them twice."""
    folder = tmp_path_factory.mktemp("made")
    for ref in ("hello", "other"):
        assert CliRunner().invoke(cli, ["new", ref, "--dir", str(folder / "packs")]).exit_code == 0
    _once(folder)
    (folder / "packs" / "hello" / "notes.txt").write_text("more\n")
    _once(folder)
    return folder


@pytest.fixture(autouse=True)
def logging_as_it_was() -> Iterator[None]:
    """A command sets it up for the process that it has to itself."""
    before = structlog.get_config()
    yield
    structlog.configure(**before)


def _once(folder: Path) -> None:
    command = [
        sys.executable,
        "-m",
        "packd",
        "run",
        str(folder / "packs"),
        "--state-dir",
        str(folder / "state"),
        "--once",
    ]
    done = subprocess.run(command, capture_output=True, text=True, timeout=100, check=False)
    assert done.returncode == 0, done.stderr


@pytest.fixture
def folder(made: Path, tmp_path: Path) -> Iterator[Path]:
    """A copy for each test."""
    shutil.copytree(made, tmp_path / "copy", symlinks=True)
    moved = f"replace(path, '{made}', '{tmp_path / 'copy'}')"
    _replace_in_database(tmp_path / "copy", f"UPDATE packs SET path = {moved}")
    yield tmp_path / "copy"
    for inside, folders, _ in os.walk(tmp_path):
        for name in folders:
            path = Path(inside, name)
            if not path.is_symlink():
                path.chmod(0o700)


@pytest.fixture
def packd(folder: Path) -> Packd:
    def run(*arguments: str) -> Result:
        env = {"PACKD_PACKS_DIR": str(folder / "packs"), "PACKD_STATE_DIR": str(folder / "state")}
        return CliRunner().invoke(cli, ["db", *arguments], env=env)

    return run


def snapshot_in_use(folder: Path, ref: str) -> Path:
    return (folder / "state" / "active" / ref).resolve()


def remove_tree(tree: Path) -> None:
    for inside, _, _ in os.walk(tree):
        Path(inside).chmod(0o700)
    shutil.rmtree(tree)


def test_nothing_is_wrong_with_what_a_daemon_leaves(packd: Packd) -> None:
    """Everything is read and compared, and all of it fits."""
    result = packd("check", "--json")
    assert result.exit_code == 0, result.output
    assert json.loads(result.stdout) == {
        "ok": True, "findings": [], "checked": {"snapshots": 3, "links": 2, "unused": 0},
    }  # fmt: skip


def test_a_link_that_leads_elsewhere_is_found_and_made_anew(packd: Packd, folder: Path) -> None:
    """Links are a projection of the registry: a wrong, a missing and a stray one are repaired."""
    active = folder / "state" / "active"
    good = os.readlink(active / "hello")
    (active / "hello").unlink()
    (active / "other").unlink()
    (active / "other").symlink_to("/nowhere")
    (active / "stray").symlink_to(good)
    found = json.loads(packd("check", "--json").stdout)
    assert [finding["where"] for finding in found["findings"]] == ["links"] * 3
    assert not found["ok"]
    repaired = packd("check", "--repair")
    assert repaired.exit_code == 0, repaired.output
    assert repaired.stdout.count("repaired: ") == 3
    assert os.readlink(active / "hello") == good
    assert packd("check").exit_code == 0


def test_what_repairing_logs_does_not_get_among_the_findings(packd: Packd, folder: Path) -> None:
    """A folder in the place of a link is moved aside, and that is said."""
    link = folder / "state" / "active" / "hello"
    link.unlink()
    link.mkdir()
    repaired = packd("check", "--repair", "--json")
    assert json.loads(repaired.stdout)["ok"]
    assert "link.misplaced" in repaired.stderr


@pytest.mark.parametrize("damage", ["missing", "changed"])
def test_content_in_use_is_taken_again_from_the_packs_directory(packd: Packd, folder: Path, damage: str) -> None:
    """A snapshot that is gone or was changed is told; --repair takes it again while the content lies there."""
    tree = snapshot_in_use(folder, "hello")
    if damage == "missing":
        remove_tree(tree)
    else:
        (tree / "pack.yaml").chmod(0o600)
        (tree / "pack.yaml").write_text("ref: evil\n")
    found = packd("check")
    assert found.exit_code == 1
    assert "hello#2 (in use)" in found.stdout
    assert "--repair" in found.stdout
    assert packd("check", "--repair").exit_code == 0
    assert (tree / "pack.yaml").read_text().startswith("ref: hello\n")
    assert packd("check").exit_code == 0


def test_the_packs_directory_need_not_be_named(packd: Packd, folder: Path, tmp_path: Path) -> None:
    """The daemon may have been started with it on its command line; the registry knows where the pack lies."""
    remove_tree(snapshot_in_use(folder, "hello"))
    elsewhere = {"PACKD_PACKS_DIR": str(tmp_path / "packs"), "PACKD_STATE_DIR": str(folder / "state")}
    repaired = CliRunner().invoke(cli, ["db", "check", "--repair"], env=elsewhere)
    assert repaired.exit_code == 0, repaired.output
    assert packd("check").exit_code == 0


def test_what_can_not_be_rebuilt_is_said(packd: Packd, folder: Path) -> None:
    """Damaged content that lies nowhere else stays where it is, and the exit status says so."""
    tree = snapshot_in_use(folder, "hello")
    (tree / "notes.txt").chmod(0o600)
    (tree / "notes.txt").write_text("changed\n")
    shutil.rmtree(folder / "packs" / "hello")
    result = packd("check", "--repair")
    assert result.exit_code == 1
    assert "put that content back" in result.stdout
    assert tree.is_dir()


def test_damaged_content_in_use_stays_when_other_content_lies_there(packd: Packd, folder: Path) -> None:
    """Somebody works on the drop, and nobody has looked at it since: a file less is better than no pack at all."""
    tree = snapshot_in_use(folder, "hello")
    (tree / "notes.txt").chmod(0o600)
    (tree / "notes.txt").write_text("changed\n")
    (folder / "packs" / "hello" / "more.txt").write_text("edited\n")
    result = packd("check", "--repair")
    assert result.exit_code == 1
    assert "put that content back" in result.stdout
    assert (folder / "state" / "active" / "hello" / "pack.yaml").exists()


def test_damaged_content_that_nobody_needs_is_removed(packd: Packd, folder: Path) -> None:
    """An older revision than the one to go back to is only a warning."""
    _replace_in_database(folder, "UPDATE revisions SET phase = 'failed' WHERE ref = 'hello' AND number = 1")
    store = folder / "state" / "store"
    (tree,) = (
        entry for entry in store.iterdir() if entry not in {snapshot_in_use(folder, ref) for ref in ("hello", "other")}
    )
    (tree / "pack.yaml").chmod(0o600)
    (tree / "pack.yaml").write_text("x")
    assert packd("check").exit_code == 0
    assert "warning: content not in use was changed" in packd("check").stdout
    assert packd("check", "--repair").exit_code == 0
    assert not tree.exists()


def _replace_in_database(folder: Path, statement: str) -> None:
    with closing(sqlite3.connect(folder / "state" / "packd.db")) as connection:
        connection.execute(statement)
        connection.commit()


def test_a_damaged_database_is_named(packd: Packd, folder: Path) -> None:
    """What SQLite finds is told with what to do, and a file that is none is refused as bad input."""
    database = folder / "state" / "packd.db"
    with closing(sqlite3.connect(database)) as connection:
        connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    content = bytearray(database.read_bytes())
    for page in range(4096 * 8, len(content), 4096):
        content[page : page + 64] = b"\xff" * 64
    database.write_bytes(bytes(content))
    result = packd("check")
    assert result.exit_code in (1, 2), result.output
    assert "restore" in result.output or "damaged" in result.output
    database.write_text("not a database at all" * 100)
    refused = packd("check")
    assert refused.exit_code == 2
    assert "no database of packd's" in refused.stderr


def test_a_copy_is_one_consistent_moment_while_somebody_writes(folder: Path, tmp_path: Path) -> None:
    """Two rows that are always changed together are equal in every copy, however busy the writer is."""
    database, stop = folder / "state" / "packd.db", threading.Event()

    def write() -> None:
        with closing(sqlite3.connect(database, timeout=30)) as connection:
            number = 0
            while not stop.is_set():
                number += 1
                for name in ("left", "right"):
                    connection.execute("INSERT OR REPLACE INTO facts VALUES (?, ?)", (name, str(number)))
                connection.commit()

    writer = threading.Thread(target=write)
    writer.start()
    try:
        for number in range(5):
            target = tmp_path / f"copy-{number}.db"
            assert back_up(database, target) == target.stat().st_size
            with closing(sqlite3.connect(target)) as copy:
                values = {value for (value,) in copy.execute("SELECT value FROM facts WHERE name IN ('left', 'right')")}
            assert len(values) <= 1
    finally:
        stop.set()
        writer.join()
    assert [entry.name for entry in tmp_path.iterdir() if entry.name.startswith(".")] == []


def test_backup_and_restore(packd: Packd, folder: Path, tmp_path: Path) -> None:
    """What was true then is true again; what was there is kept aside, and the daemon goes on from it."""
    copy = tmp_path / "copy.db"
    assert packd("backup", str(copy)).exit_code == 0
    assert copy.stat().st_mode & 0o777 == 0o600
    assert packd("backup", str(copy)).exit_code == 2
    assert packd("backup", str(copy), "--replace").exit_code == 0
    _replace_in_database(folder, "UPDATE packs SET unregistered_at = 'x'")
    answer = json.loads(packd("restore", str(copy), "--json").stdout)
    assert answer["schema"] == SCHEMA_VERSION
    assert schema_of(Path(answer["aside"])) == SCHEMA_VERSION
    assert packd("check").exit_code == 0
    _once(folder)


def test_a_restore_without_the_store_says_what_is_missing(packd: Packd, folder: Path, tmp_path: Path) -> None:
    """A backup is the database and what it says to copy with it; what was not copied is named, and taken again if it
    lies in the packs directory."""
    copy = tmp_path / "copy.db"
    said = packd("backup", str(copy))
    for path in (folder / "state" / "store", folder / "packs"):
        assert str(path) in said.stderr
    for tree in (folder / "state" / "store").iterdir():
        remove_tree(tree)
    answer = json.loads(packd("restore", str(copy), "--json").stdout)
    assert answer["missing"] == ["hello#1 (to go back to)", "hello#2 (in use)", "other#1 (in use)"]
    assert "hello#2 (in use)" in packd("restore", str(copy)).stderr
    repaired = packd("check", "--repair")
    assert repaired.exit_code == 1
    assert repaired.stdout.count("repaired: ") == 2
    assert "error: the content of hello#1 (to go back to) is missing from the store" in repaired.stdout


def test_what_is_no_backup_is_not_restored(packd: Packd, folder: Path, tmp_path: Path) -> None:
    """Nothing is changed by a file that is missing, is something else, or is of a newer packd."""
    before = (folder / "state" / "packd.db").read_bytes()
    (tmp_path / "text").write_text("hello")
    newer = tmp_path / "newer.db"
    back_up(folder / "state" / "packd.db", newer)
    with closing(sqlite3.connect(newer)) as connection:
        connection.execute("UPDATE alembic_version SET version_num = '9999'")
        connection.commit()
    for name, piece in (("none", "no such database"), ("text", "no database of packd's"), ("newer.db", "schema 9999")):
        refused = packd("restore", str(tmp_path / name))
        assert refused.exit_code == 2, refused.output
        assert piece in refused.stderr
    assert (folder / "state" / "packd.db").read_bytes() == before
    with pytest.raises(NotPackds):
        back_up(tmp_path / "text", tmp_path / "copy.db")
    assert troubles_of(tmp_path / "text")


def test_what_changes_something_needs_the_daemon_stopped(packd: Packd, folder: Path, tmp_path: Path) -> None:
    """Refused by the name of the one that runs; looking and copying are not."""
    assert packd("backup", str(tmp_path / "copy.db")).exit_code == 0
    with exclusively(folder / "state"):
        assert holder(folder / "state") == os.getpid()
        for command in (["restore", str(tmp_path / "copy.db")], ["check", "--repair"], ["upgrade"]):
            refused = packd(*command)
            assert refused.exit_code == 1, refused.output
            assert f"pid {os.getpid()}" in refused.stderr
        assert packd("check").exit_code == 0
        assert packd("backup", str(tmp_path / "copy.db"), "--replace").exit_code == 0
    assert holder(folder / "state") is None


def test_a_first_start_that_was_killed_at_once(packd: Packd, folder: Path) -> None:
    """An empty database is no damage: it is said to be what it is, and gets its tables."""
    for file in (folder / "state").glob("packd.db*"):
        file.unlink()
    (folder / "state" / "packd.db").touch()
    checked = packd("check")
    assert checked.exit_code == 2
    assert "is empty: packd had not begun to use it, and does when it starts next" in checked.stderr
    assert "made a new database" in packd("upgrade").stdout
    assert packd("check").exit_code in (0, 1)


def test_upgrade_makes_or_leaves(packd: Packd, folder: Path) -> None:
    """The schema of this packd is left alone, a missing database is made, another program's is refused."""
    assert "nothing to do" in packd("upgrade").stdout
    (folder / "state" / "packd.db").unlink()
    assert "made a new database" in packd("upgrade").stdout
    _replace_in_database(folder, "UPDATE alembic_version SET version_num = '9999'")
    refused = packd("upgrade")
    assert refused.exit_code == 2
    assert "9999" in refused.stderr


def test_an_older_schema_is_upgraded_and_kept(
    packd: Packd, folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What it says is where the copy from before lies, and that one can be restored by who goes back."""
    with monkeypatch.context() as newer:
        next_packd(tmp_path, newer)
        said = json.loads(packd("upgrade", "--json").stdout)
        kept = folder / "state" / f"packd.db.schema-{SCHEMA_VERSION}"
        assert said == {"from": SCHEMA_VERSION, "to": NEXT, "kept": str(kept)}
        assert schema_of(folder / "state" / "packd.db") == NEXT
        assert "nothing to do" in packd("upgrade").stdout
    for command in ("upgrade", "check"):
        refused = packd(command)
        assert refused.exit_code == 2
        assert f"schema {NEXT}, this packd" in refused.stderr
    assert packd("restore", str(kept)).exit_code == 0
    assert packd("check").exit_code == 0


def test_an_upgrade_on_a_server_says_what_was_there(
    packd: Packd, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """That a new database was made is said only where there was none."""
    with made_url("postgresql", tmp_path) as url:
        monkeypatch.setenv("PACKD_DATABASE_URL", url)
        assert "made a new database" in packd("upgrade").stdout
        assert "nothing to do" in packd("upgrade").stdout
        with monkeypatch.context() as newer:
            next_packd(tmp_path, newer)
            assert f"upgraded from schema {SCHEMA_VERSION} to {NEXT}" in packd("upgrade").stdout


def test_no_state_directory(tmp_path: Path) -> None:
    """A folder that is not there is bad input, and is not made."""
    result = CliRunner().invoke(cli, ["db", "check", "--state-dir", str(tmp_path / "none")])
    assert result.exit_code == 2
    assert "--state-dir" in result.stderr
    assert not (tmp_path / "none").exists()


@pytest.mark.parametrize("command", ["check", "upgrade"])
def test_a_server_that_does_not_answer_is_a_refusal(tmp_path: Path, command: str) -> None:
    """In a sentence that names it, without its password."""
    pytest.importorskip("psycopg")
    config = tmp_path / "packd.yaml"
    config.write_text("database_url: postgresql://ada:hunter2@127.0.0.1:1/packd?password=hunter3\n")
    (tmp_path / "state").mkdir()
    arguments = ["db", command, "--config", str(config), "--state-dir", str(tmp_path / "state")]
    done = CliRunner().invoke(cli, arguments)
    assert done.exit_code == 2
    assert "the database postgresql://ada:**********@127.0.0.1:1/packd" in done.output
    assert "hunter" not in done.output
