"""Log lines as they arrive: JSON in a pipe, columns on a terminal, datagrams at the journal."""

from __future__ import annotations

import array
import io
import json
import logging
import os
import re
import socket
import threading
import warnings
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, Any

import pytest
import structlog

from packd.domain.failures import Code, Failure
from packd.logs import configure
from packd.logs.catalog import message_id
from packd.logs.library import LibraryHandler

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

SECRET = "whsec_MDEyMzQ1Njc4OTAxMjM0NTY3ODkwMTIzNDU2Nzg5MDE="
COLOUR = re.compile(r"\x1b\[\d+m")


@pytest.fixture(autouse=True)
def as_it_was() -> Iterator[None]:
    """Leave structlog and logging as they were found."""
    root = logging.getLogger()
    before, hook = (root.level, list(root.handlers)), threading.excepthook
    yield
    structlog.contextvars.clear_contextvars()
    configure("json", "info", io.StringIO(), environ={})
    logging.captureWarnings(capture=False)
    root.setLevel(before[0])
    root.handlers[:] = before[1]
    structlog.reset_defaults()
    threading.excepthook = hook


class Pipe:
    """A real pipe as a text stream, and what came out of it."""

    def __init__(self) -> None:
        self._read, write = os.pipe()
        self.stream = os.fdopen(write, "w", encoding="utf-8")

    def text(self) -> str:
        self.stream.close()
        return self.rest()

    def rest(self) -> str:
        """Waits until the other end is closed."""
        with os.fdopen(self._read, encoding="utf-8") as stream:
            return stream.read()

    def entries(self) -> list[dict[str, Any]]:
        return [json.loads(line) for line in self.text().splitlines()]


class Terminal:
    """A real pseudo-terminal."""

    def __init__(self) -> None:
        self._ours, theirs = os.openpty()
        self.stream = os.fdopen(theirs, "w", encoding="utf-8")

    def text(self) -> str:
        """Everything that fits the terminal's buffer, line ends as they were written."""
        self.stream.flush()
        said = os.read(self._ours, 65536).decode().replace("\r\n", "\n")
        self.stream.close()
        os.close(self._ours)
        return said


class FakeJournal:
    """A datagram socket at a path, which is all that the journal is to a program."""

    def __init__(self, folder: Path) -> None:
        self.path = str(folder / "journal")
        self._socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self._socket.bind(self.path)
        self._socket.settimeout(10)

    def entry(self) -> dict[str, str]:
        data, attached, _, _ = self._socket.recvmsg(1 << 20, socket.CMSG_SPACE(4))
        if attached:
            assert data == b""
            (descriptor,) = array.array("i", attached[0][2])
            with os.fdopen(descriptor, "rb") as stream:
                stream.seek(0)
                data = stream.read()
        return dict(fields_of(data))

    def close(self) -> None:
        self._socket.close()


def fields_of(data: bytes) -> Iterator[tuple[str, str]]:
    """The protocol read backwards: `NAME=value\\n`, or `NAME\\n`, 8 bytes of length, value, `\\n`."""
    while data:
        line, _, rest = data.partition(b"\n")
        name, equals, value = line.partition(b"=")
        if equals:
            data = rest
        else:
            size = int.from_bytes(rest[:8], "little")
            value, data = rest[8 : 8 + size], rest[8 + size + 1 :]
        yield name.decode(), value.decode()


@pytest.fixture
def journal(tmp_path: Path) -> Iterator[FakeJournal]:
    fake = FakeJournal(tmp_path)
    yield fake
    fake.close()


def test_json_in_a_pipe() -> None:
    """What is no terminal gets one JSON object a line: time in UTC with milliseconds, level, event, pack, the rest."""
    pipe = Pipe()
    assert configure("auto", "info", pipe.stream, environ={}) == "json"
    structlog.get_logger().info("pack.registered", version="1.3.0", revision=7, pack="slack", note="ä\n☃")
    line = pipe.text()
    assert line.count("\n") == 1
    entry = json.loads(line)
    assert list(entry) == ["timestamp", "level", "event", "pack", "revision", "version", "note"]
    assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z", entry.pop("timestamp"))
    assert entry == {
        "level": "info",
        "event": "pack.registered",
        "pack": "slack",
        "revision": 7,
        "version": "1.3.0",
        "note": "ä\n☃",
    }


def test_what_json_cannot_say_is_said_as_text() -> None:
    """Paths, bytes, sets, numbers without a value, lone surrogates and objects that break never break the line."""

    class Broken:
        def __str__(self) -> str:
            raise RuntimeError

    class Loop(dict[str, Any]):
        pass

    loop = Loop()
    loop["again"] = loop
    pipe = Pipe()
    configure("json", "info", pipe.stream, environ={})
    structlog.get_logger().info("x", a=b"\xff", b={1}, c=float("nan"), d="\udc80", e=Broken(), f=loop, g={2: (3,)})
    (entry,) = pipe.entries()
    assert (entry["a"], entry["b"], entry["c"], entry["d"]) == ("\\xff", [1], "nan", "\\udc80")
    assert entry["e"].startswith("<Broken that can't be shown")
    assert entry["g"] == {"2": [3]}


@pytest.mark.parametrize(("level", "heard"), [("debug", 4), ("info", 3), ("warning", 2), ("error", 1)])
def test_levels(level: Any, heard: int) -> None:
    """Only what is at least as important as the level is shown, under its usual name."""
    pipe = Pipe()
    configure("json", level, pipe.stream, environ={})
    log = structlog.get_logger()
    for method in ("debug", "info", "warning", "error"):
        getattr(log, method)("x")
    assert [entry["level"] for entry in pipe.entries()] == ["debug", "info", "warning", "error"][-heard:]


def test_what_ends_a_thread_is_an_entry_like_any_other() -> None:
    """Not a bare traceback between the lines. A thread that ends itself is no news."""
    pipe = Pipe()
    configure("json", "info", pipe.stream, environ={})

    def end(why: BaseException) -> None:
        raise why

    for why in (LookupError("no such folder"), SystemExit()):
        thread = threading.Thread(target=end, args=(why,), name="watcher")
        thread.start()
        thread.join()
    (entry,) = pipe.entries()
    assert (entry["level"], entry["event"], entry["thread"]) == ("error", "thread.died", "watcher")
    assert entry["exception"].endswith("LookupError: no such folder")


def test_exceptions_and_context() -> None:
    """`exception` brings the traceback as text, and what was bound in this context stands in every line."""
    pipe = Pipe()
    configure("json", "info", pipe.stream, environ={})
    with structlog.contextvars.bound_contextvars(correlation_id="cor_1"):
        try:
            raise LookupError("pack.yaml")
        except LookupError:
            structlog.get_logger().exception("lane.job_failed", lane="slack")
    (entry,) = pipe.entries()
    assert (entry["level"], entry["correlation_id"], entry["lane"]) == ("error", "cor_1", "slack")
    assert entry["exception"].endswith("LookupError: pack.yaml")


def test_a_refusal_needs_no_traceback() -> None:
    """What was refused is told by its sentence alone; a detail that was given already stays."""
    pipe = Pipe()
    configure("json", "info", pipe.stream, environ={})
    try:
        raise Failure(Code.UNAVAILABLE, "the disk is full")
    except Failure:
        structlog.get_logger().exception("lane.job_failed", lane="slack")
        structlog.get_logger().exception("lane.job_failed", detail="no room")
    assert [(entry["detail"], "exception" in entry) for entry in pipe.entries()] == [
        ("the disk is full", False),
        ("no room", False),
    ]


def test_loggers_in_use_follow_a_new_stream() -> None:
    """A logger that is already cached writes to where `configure` points last."""
    first, second = Pipe(), Pipe()
    configure("json", "info", first.stream, environ={})
    log = structlog.get_logger()
    log.info("one")
    configure("json", "info", second.stream, environ={})
    log.info("two")
    assert [entry["event"] for entry in first.entries()] == ["one"]
    assert [entry["event"] for entry in second.entries()] == ["two"]


def test_lines_of_many_threads_stay_whole() -> None:
    """Eight threads at once, and every line is one JSON object."""
    pipe = Pipe()
    configure("json", "info", pipe.stream, environ={})
    log = structlog.get_logger()
    writers = [threading.Thread(target=lambda: [log.info("x", filler="y" * 300) for _ in range(50)]) for _ in range(8)]
    with ThreadPoolExecutor(1) as reader:
        said = reader.submit(pipe.rest)
        for thread in writers:
            thread.start()
        for thread in writers:
            thread.join(30)
        pipe.stream.close()
        assert len([json.loads(line) for line in said.result(30).splitlines()]) == 400


def test_a_log_that_is_gone_stops_nobody() -> None:
    """A closed stream, a pipe without a reader: the line is lost and nothing is raised, nor when Python exits."""
    closed = io.StringIO()
    closed.close()
    configure("json", "info", closed, environ={})
    structlog.get_logger().info("x")
    read, write = os.pipe()
    os.close(read)
    stream = os.fdopen(write, "w")
    configure("json", "info", stream, environ={})
    structlog.get_logger().info("x")
    stream.close()


def test_libraries_are_heard_from_warning_on() -> None:
    """The standard library's logging, Python's warnings too, comes in the same form; watchdog is not heard at all."""
    pipe = Pipe()
    configure("json", "debug", pipe.stream, environ={})
    configure("json", "debug", pipe.stream, environ={})
    for name in ("sqlalchemy.pool", "apscheduler.scheduler", "uvicorn.error", "aiohttp.client", "asyncio", "else"):
        logging.getLogger(name).info("not worth it")
        logging.getLogger(name).warning("%d of %s", 3, name)
    logging.getLogger("asyncio").error("bad", exc_info=ValueError("why"))
    LibraryHandler().emit(logging.LogRecord("else", logging.WARNING, __file__, 1, "%d", ("no number",), None))
    logging.getLogger("watchdog.observers").error("again and again")
    with warnings.catch_warnings():
        warnings.simplefilter("always")
        logging.captureWarnings(capture=False)
        logging.captureWarnings(capture=True)
        warnings.warn("old", DeprecationWarning, stacklevel=1)
        logging.captureWarnings(capture=False)
    entries = pipe.entries()
    assert {entry["event"] for entry in entries} == {"library.warned"}
    assert [entry["logger"] for entry in entries] == [
        "sqlalchemy.pool",
        "apscheduler.scheduler",
        "uvicorn.error",
        "aiohttp.client",
        "asyncio",
        "else",
        "asyncio",
        "else",
        "py.warnings",
    ]
    assert entries[0]["message"] == "3 of sqlalchemy.pool"
    assert (entries[6]["level"], entries[6]["exception"].splitlines()[-1]) == ("error", "ValueError: why")


def test_columns_on_a_terminal() -> None:
    """For people: the time, the level, the event, the pack and what matters in words and units, coloured."""
    terminal = Terminal()
    assert configure("auto", "info", terminal.stream, environ={"TERM": "xterm"}) == "console"
    structlog.get_logger().info(
        "pack.registered",
        seq=12,
        correlation_id="cor_1",
        pack="slack",
        revision=7,
        version="1.3.0",
        duration_ms=5.83,
        tests={"total": 5, "passed": 4, "failed": 0, "skipped": 1},
        tests_skipped=False,
        stages={"snapshot_ms": 2.94, "test_ms": 1204.0},
    )
    text = terminal.text()
    assert COLOUR.search(text)
    assert re.fullmatch(
        r"\d\d:\d\d:\d\d\.\d{3} info    pack\.registered          slack#7           "
        r"version 1\.3\.0  duration 5\.8 ms  tests 4 passed, 1 skipped  stages snapshot 2\.9 ms, test 1\.2 s\n",
        COLOUR.sub("", text),
    )


@pytest.mark.parametrize("environ", [{"NO_COLOR": "1"}, {"TERM": "dumb"}])
def test_no_colours_where_none_are_wanted(environ: dict[str, str]) -> None:
    """NO_COLOR and a dumb terminal get the same columns without colours."""
    terminal = Terminal()
    assert configure("auto", "info", terminal.stream, environ=environ) == "console"
    structlog.get_logger().warning("marker.not_written", error="No space left")
    text = terminal.text()
    assert "\x1b" not in text
    assert text.endswith('error "No space left"\n')


def test_a_pack_cannot_play_with_the_terminal() -> None:
    """Control characters, line ends and changes of writing direction in values, names and tracebacks are shown."""
    terminal = Terminal()
    configure("console", "info", terminal.stream, environ={"NO_COLOR": "1"})
    hostile = "a\x1b[2J\r\nb\u202e"
    try:
        raise ValueError(hostile)
    except ValueError:
        structlog.get_logger().exception("x", pack=hostile, why=hostile, many=[hostile], deep={hostile: hostile})
    text = terminal.text()
    assert "\x1b" not in text
    assert "\u202e" not in text
    first, *below = text.splitlines()
    assert r"a\x1b[2J\r\nb\u202e" in first
    assert all(line.startswith("    ") for line in below)


def test_problems_and_revisions_read_well() -> None:
    """A list of problems is its first ones and how many more there are; a revision is its number."""
    pipe = Pipe()
    configure("console", "info", pipe.stream, environ={})
    problem = {"code": "x", "file": "pack.yaml", "line": 2, "column": 10, "message": "quote it"}
    restored = {"version": "1.0.0", "revision": 6, "digest": "sha256:" + "0" * 64}
    log = structlog.get_logger()
    log.error("pack.validation_failed", problems=[problem] * 5, digest="sha256:" + "9f" * 32)
    log.warning("pack.rolled_back", restored=restored, failed=dict.fromkeys(restored))
    first, second = pipe.text().splitlines()
    assert first.endswith(
        f"problems {'; '.join(['pack.yaml:2:10: quote it'] * 3)} and 2 more  digest sha256:9f9f9f9f9f9f…"
    )
    assert second.endswith("restored #6  failed none")


def test_the_journal_gets_fields(journal: FakeJournal, tmp_path: Path) -> None:
    """Under systemd: a sentence, the priority, the place in the code, and every value as a field of its own."""
    with (tmp_path / "stderr").open("w") as stream:
        status = os.fstat(stream.fileno())
        environ = {"JOURNAL_STREAM": f"{status.st_dev}:{status.st_ino}"}
        assert configure("auto", "info", stream, environ=environ, journal_socket=journal.path) == "journal"
        structlog.get_logger().warning("pack.rolled_back", pack="slack", revision=8, reason="tests_failed", ms={"a": 1})
        entry = journal.entry()
        assert entry.pop("CODE_FILE") == __file__
        assert int(entry.pop("CODE_LINE")) > 0
        assert entry == {
            "MESSAGE": "Pack slack#8 rolled back: reason tests_failed, ms a 1",
            "PRIORITY": "4",
            "SYSLOG_IDENTIFIER": "packd",
            "MESSAGE_ID": message_id("pack.rolled_back"),
            "CODE_FUNC": "test_the_journal_gets_fields",
            "PACKD_EVENT": "pack.rolled_back",
            "PACKD_PACK": "slack",
            "PACKD_REVISION": "8",
            "PACKD_REASON": "tests_failed",
            "PACKD_MS": '{"a":1}',
        }
    assert (tmp_path / "stderr").read_text() == ""


@pytest.mark.parametrize(
    ("method", "priority"), [("debug", "7"), ("info", "6"), ("warning", "4"), ("error", "3"), ("critical", "2")]
)
def test_priorities(journal: FakeJournal, method: str, priority: str) -> None:
    """Levels are syslog's priorities."""
    configure("journal", "debug", io.StringIO(), environ={}, journal_socket=journal.path)
    getattr(structlog.get_logger(), method)("x")
    assert journal.entry()["PRIORITY"] == priority


def test_the_journal_gets_lines_and_what_is_long(journal: FakeJournal) -> None:
    """Values of several lines keep them; what no datagram holds arrives all the same; names are the journal's."""
    configure("journal", "info", io.StringIO(), environ={}, journal_socket=journal.path)
    log = structlog.get_logger()
    log.info("x", **{"output-tail": "one\ntwo\n"})
    entry = journal.entry()
    assert entry["PACKD_OUTPUT_TAIL"] == "one\ntwo\n"
    assert entry["MESSAGE"] == r'X: output-tail "one\ntwo\n"'
    log.info("x", long="z" * 5_000_000)
    assert journal.entry()["PACKD_LONG"] == "z" * 5_000_000
    try:
        raise KeyError("k")
    except KeyError:
        log.exception("lane.job_failed")
    assert journal.entry()["MESSAGE"].splitlines()[0] == "Lane job failed"


def test_a_library_keeps_its_own_place_in_the_journal(journal: FakeJournal) -> None:
    """CODE_FILE of a library's warning is where it was said, not where it was passed on."""
    configure("journal", "info", io.StringIO(), environ={}, journal_socket=journal.path)
    logging.getLogger("sqlalchemy").warning("pool is full")
    entry = journal.entry()
    assert (entry["CODE_FILE"], entry["CODE_FUNC"]) == (__file__, "test_a_library_keeps_its_own_place_in_the_journal")
    assert entry["MESSAGE"] == "sqlalchemy: pool is full"


def test_json_when_the_journal_is_away(journal: FakeJournal, tmp_path: Path) -> None:
    """No socket at the start, or a journal that stops: JSON lines on the stream instead, nothing lost."""
    pipe = Pipe()
    assert configure("journal", "info", pipe.stream, environ={}, journal_socket=str(tmp_path / "none")) == "json"
    assert configure("journal", "info", pipe.stream, environ={}, journal_socket=journal.path) == "journal"
    journal.close()
    structlog.get_logger().info("pack.registered", pack="slack")
    (entry,) = pipe.entries()
    assert (entry["event"], entry["pack"]) == ("pack.registered", "slack")
    assert "site" not in entry


def test_the_journal_is_chosen_only_for_its_own_stream(journal: FakeJournal, tmp_path: Path) -> None:
    """`$JOURNAL_STREAM` is inherited: a stream that is redirected elsewhere is not the journal."""
    with (tmp_path / "log").open("w") as stream:
        assert (
            configure("auto", "info", stream, environ={"JOURNAL_STREAM": "8:1"}, journal_socket=journal.path) == "json"
        )
    assert configure("auto", "info", io.StringIO(), environ={"JOURNAL_STREAM": "8:1"}) == "json"


def test_stderr_is_the_default(capsys: pytest.CaptureFixture[str]) -> None:
    """Logs go to stderr, where they do not mix with data."""
    configure(environ={})
    structlog.get_logger().info("x")
    assert json.loads(capsys.readouterr().err)["event"] == "x"


@pytest.mark.parametrize("format_name", ["json", "console"])
def test_no_secret_in_any_format(format_name: Any) -> None:
    """A traceback or an error whose text holds a secret is shown without it."""
    stream = io.StringIO()
    configure(format_name, "info", stream, environ={})
    try:
        raise ValueError(f"can't sign with {SECRET} at postgresql://ada:hunter2@x/")
    except ValueError:
        structlog.get_logger().exception("delivery.failed", error=ValueError(SECRET))
    text = stream.getvalue()
    assert "ValueError" in text
    assert SECRET not in text
    assert "hunter2" not in text.replace('hunter2@x/")', "")
    if format_name == "json":
        assert json.loads(text)["error"] == "whsec_***"
