"""`packd run`: the daemon in the foreground."""

from __future__ import annotations

import errno
import gc
import os
import sys
from contextlib import ExitStack
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

import click

from packd.cli.options import A_PATH, said_before
from packd.domain.failures import Code, Failure, shortage
from packd.domain.printing import clean, quoted
from packd.extent import extent_of, usual_extent

if TYPE_CHECKING:
    from packd.config import Settings, Source
    from packd.extent import Extent
    from packd.flow.exclusive import Lock
    from packd.scout import Scout


@click.command("run")
@click.argument("packs_dir", type=A_PATH, required=False)
@click.option(
    "--config", type=A_PATH, metavar="FILE", help="The configuration (default: $PACKD_CONFIG, else defaults)."
)
@click.option("--state-dir", type=A_PATH, metavar="DIR", help="Where it keeps its own (default: ~/.local/state/packd).")
@click.option(
    "--socket", type=A_PATH, metavar="PATH", help="Where it answers (default: packd.sock in the state directory)."
)
@click.option("--listen", metavar="HOST:PORT", help="Answer on TCP as well; callers there need a token.")
@click.option("--once", is_flag=True, help="Carry every pack to its end, then exit: 0 if all are active, else 1.")
@click.pass_context
def command(
    ctx: click.Context,
    packs_dir: Path | None,
    config: Path | None,
    state_dir: Path | None,
    socket: Path | None,
    listen: str | None,
    once: bool,
) -> None:
    """Watch PACKS_DIR (default: ./packs), test what is dropped there and make the good ones active.

    The folder is made if it is missing. Stop it with Ctrl-C or SIGTERM.

    \b
    Examples:
      packd run packs
      packd run /srv/packs --state-dir /var/lib/packd
      packd run packs --listen 127.0.0.1:8420
      packd run packs --once       as a check in CI

    Exit status: 0 it was stopped (with --once: every pack is active), 1 another daemon uses the state directory (with
    --once: a pack is not active), 2 the configuration or a folder can't be used, 3 the server of the database does not
    answer, or this machine has too little left of something: try again.
    """
    # Nobody's plugins are wanted, and looking for them reads the metadata of every package that is installed.
    os.environ.setdefault("PYDANTIC_DISABLE_PLUGINS", "__all__")
    gc.disable()  # nearly all that is made until the daemon is ready stays: looking for garbage in it finds nothing
    try:
        ctx.exit(_start(packs_dir, config, state_dir, socket, listen, once=once))
    finally:
        gc.enable()


def _start(
    packs_dir: Path | None,
    config: Path | None,
    state_dir: Path | None,
    socket: Path | None,
    listen: str | None,
    *,
    once: bool,
) -> int:
    with ExitStack() as stack:
        scout = None if once or packs_dir is None else _sent_ahead(usual_extent(packs_dir), stack)
        from packd.config import Source, check_layout, load

        socket_before, state_before = said_before()
        flags = {
            "packs_dir": packs_dir,
            "state_dir": state_dir or state_before,
            "api.socket": socket or socket_before,
            "api.listen": listen,
        }
        file = _file(config)
        settings = load(file, os.environ, flags)
        check_layout(settings)
        if sys.stderr.isatty() and not once:
            _welcome(settings)
        source = Source(load=partial(load, file, os.environ, flags), file=file)
        if scout is None and not once:
            scout = _sent_ahead(extent_of(settings), stack)
        return _run(settings, once=once, source=source, scout=scout)


def _sent_ahead(supposed: Extent, stack: ExitStack) -> Scout | None:
    """Somebody looks at the packs directory while all else is loaded: where that is said on the command line, already
    while the settings are read."""
    try:
        if not supposed.path.is_dir() or "LISTEN_FDS" in os.environ:
            return None
        from packd.scout import Scout

        scout = Scout(supposed)
    except OSError:  # the daemon finds out for itself, and says what to do
        return None
    return stack.enter_context(scout)


def _file(config: Path | None) -> Path | None:
    """The file that is read, whoever named it; who is told where it is need not know from where the daemon was started."""
    from packd.config import FILE_VARIABLE

    named = config or os.environ.get(FILE_VARIABLE)
    return Path(named).absolute() if named else None


def _run(settings: Settings, *, once: bool, source: Source, scout: Scout | None) -> int:
    """What keeps a daemon from starting is a sentence, not a traceback."""
    from packd.flow.exclusive import AlreadyRunning, exclusively

    try:
        _make_folders(settings)
        with exclusively(settings.state_dir) as lock:
            if lock.is_new and "LISTEN_FDS" not in os.environ:  # a socket that we were given answers for us
                _look_for_another(settings)
            if scout is not None:
                scout.instruct(settings)
            return _load_and_run(settings, once=once, source=source, scout=scout, lock=lock)
    except AlreadyRunning as refusal:
        raise Failure(Code.CONFLICT, str(refusal)) from refusal
    except (OSError, RuntimeError) as refusal:
        short = shortage(refusal)
        if short is not None:  # which may pass: whoever supervises packd tries again
            raise Failure(short.code, f"can't start: {short.sentence}") from refusal
        if isinstance(refusal, RuntimeError):
            raise
        raise Failure(Code.BAD_REQUEST, f"can't start: {_why(refusal, settings.state_dir)}") from refusal


def _look_for_another(settings: Settings) -> None:
    """A lock that was removed is free while a daemon runs that had it. Raises Failure CONFLICT when one answers."""
    if not settings.socket_path.exists():
        return
    from packd.client import Client

    try:
        theirs = Client(settings.socket_path).get("/status")["data"]
    except Failure:  # nobody, or nobody who could work with what is there
        return
    if Path(theirs["state_dir"]).samefile(settings.state_dir):
        said = f"another packd (pid {theirs['pid']}) uses the state directory {settings.state_dir}, and its lock was removed"
        raise Failure(Code.CONFLICT, f"{said}: stop it first, or give this one its own with --state-dir")


def _why(refusal: OSError, state_dir: Path) -> str:
    if refusal.errno in (errno.ENOSPC, errno.EDQUOT):
        return f"the disk with {refusal.filename or state_dir} is full: make room on it"
    where = f"{refusal.filename}: " if refusal.filename else ""
    return f"{where}{refusal.strerror or refusal}"


def _load_and_run(settings: Settings, *, once: bool, source: Source, scout: Scout | None, lock: Lock) -> int:
    from packd.logs import configure

    configure(settings.log.format, settings.log.level)
    import structlog

    log = structlog.get_logger("packd")
    for warning in settings.warnings:
        log.warning("config.unwise", detail=str(warning))
    from packd.daemon import run
    from packd.registry.broken import DatabaseAway, DatabaseBroken, NotOnDisk
    from packd.registry.full_disk import DiskFull
    from packd.registry.schema import SchemaMismatch

    try:
        return run(settings, once=once, source=source, scout=scout, lock=lock)
    except (SchemaMismatch, LookupError) as refusal:
        raise Failure(Code.BAD_REQUEST, str(refusal)) from refusal
    except DatabaseAway as refusal:
        raise Failure(Code.UNAVAILABLE, f"can't start: {refusal}") from refusal
    except (DatabaseBroken, NotOnDisk) as refusal:
        raise Failure(refusal.code, f"can't start: {refusal.sentence}") from refusal
    except DiskFull as refusal:
        raise Failure(Code.BAD_REQUEST, f"can't start: {refusal.sentence}") from refusal


def _make_folders(settings: Settings) -> None:
    _make_folder(settings.packs_dir, "the packs directory", "give another PACKS_DIR", mode=0o777)
    _make_folder(settings.state_dir, "the state directory", "give another one with --state-dir", mode=0o700)
    try:
        settings.state_dir.chmod(0o700)
    except PermissionError as refusal:
        said = f"can't start: the state directory {settings.state_dir} is another user's; give another one with --state-dir"
        raise Failure(Code.BAD_REQUEST, said) from refusal


def _make_folder(path: Path, what: str, way_out: str, *, mode: int) -> None:
    """Raises Failure BAD_REQUEST when it isn't there and can't be made."""
    try:
        path.mkdir(parents=True, exist_ok=True, mode=mode)
    except OSError as refusal:
        said = f"can't start: {what} {path} can't be made: {_in_the_way(path, refusal)}; {way_out}"
        raise Failure(Code.BAD_REQUEST, said) from refusal


def _in_the_way(path: Path, refusal: OSError) -> str:
    """What is in the way of making this folder."""
    if refusal.errno == errno.ENAMETOOLONG:
        return "no file system takes so long a name"
    there = next(one for one in (path, *path.parents) if os.path.lexists(one))
    if not there.is_dir():
        return f"{there} is no folder"
    if isinstance(refusal, FileNotFoundError):  # as in /proc, and "No such file" would only puzzle
        return f"nothing can be made in {there}"
    return f"{there}: {refusal.strerror}"


def _welcome(settings: Settings) -> None:
    """What it watches, where its state is, and what to try next."""
    folder = _short(settings.packs_dir)
    where = "" if settings.socket_path == _usual_socket() else f" --socket {quoted(_short(settings.socket_path))}"
    lines = (
        ("watches", clean(folder)),
        ("state", clean(_short(settings.state_dir))),
        ("try", f"packd new hello --dir {quoted(folder)}"),
        ("", f"packd list{where}"),
        ("", f"packd events --follow{where}"),
    )
    for name, value in lines:
        click.echo(f"{click.style(f'{name:>8}', dim=True)}  {value}", err=True)


def _usual_socket() -> Path:
    from packd.cli.where import socket_path

    return socket_path(None, None, os.environ)


def _short(path: Path) -> str:
    """As one would type it from here, when that is shorter."""
    try:
        return str(path.relative_to(Path.cwd()))
    except ValueError:
        return str(path)
