"""What goes ahead of a daemon: the queue that is watched into, the survey, and what was known when packd last ended."""

from __future__ import annotations

import http.client
import json
import os
import socket
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest
from watchdog.observers.api import ObservedWatch
from watchdog.observers.inotify import InotifyFullEmitter, InotifyWatchGroup

from packd.api.porch import Porch
from packd.config import Settings
from packd.domain.lifecycle import UNFINISHED, Phase
from packd.extent import Extent, extent_of, usual_extent
from packd.flow.scouting import Survey, Surveyor
from packd.registry import outbox
from packd.registry.glimpse import Glimpse, glimpse
from packd.registry.rows import Drop
from packd.watch import queue, watcher
from tests.unit.registry_ground import Ground, a_revision, an_endpoint, made_ground
from tests.waiting import wait_until


def a_pack(root: Path, name: str, *folders: str) -> Path:
    """A folder with a manifest."""
    for folder in ("", *folders):
        (root / name / folder).mkdir(parents=True, exist_ok=True)
    (root / name / "pack.yaml").write_text(f"ref: {name}\n")
    return root / name


@pytest.fixture
def root(tmp_path: Path) -> Path:
    (tmp_path / "packs").mkdir()
    return tmp_path / "packs"


def surveyed(root: Path, watch: Callable[[bytes], None] = lambda _: None) -> Survey:
    return Surveyor(usual_extent(root).folder(), watch).survey()


def survey_at_rest(root: Path) -> Survey:
    """Once each change is so long ago that its timestamp would tell it from another."""
    return wait_until(lambda: (survey := surveyed(root)).is_as(known(survey)) and survey)


# --- the queue -------------------------------------------------------------------------------------------------------


def test_folders_are_watched_for_what_watchdog_asks_for() -> None:
    """Watching a folder once more, as the daemon does, does not change what it is watched for."""
    emitter = InotifyFullEmitter.__new__(InotifyFullEmitter)
    emitter._event_filter = watcher.EVENTS
    emitter._watch = ObservedWatch("/", recursive=True)
    asked = InotifyWatchGroup.build_event_mask(emitter.get_event_mask_from_filter(), follow_symlink=False)
    assert asked == queue.MASK


def test_a_folder_that_is_not_there_is_not_watched(tmp_path: Path) -> None:
    """The kernel's refusal is an OSError that names the folder."""
    made = queue.make_queue()
    try:
        with pytest.raises(FileNotFoundError, match="gone"):
            queue.watch(made, os.fsencode(tmp_path / "gone"))
    finally:
        os.close(made)


# --- the survey ------------------------------------------------------------------------------------------------------


def known(survey: Survey, **changes: Any) -> Glimpse:
    """What the registry would know if nothing had changed since."""
    values: dict[str, Any] = {
        "root_identity": survey.identity,
        "fingerprints": {(name, one.kind): one.fingerprint for name, one in survey.drops.items()},
        "digests": {},
        "is_at_rest": True,
    }
    return Glimpse(**{**values, **changes})


def test_every_folder_is_watched_before_it_is_listed(root: Path) -> None:
    """What is written into a folder when it has just been watched is found, or told by the queue."""
    a_pack(root, "p", "lib", "lib/deep")
    watched: list[str] = []

    def watch(folder: bytes) -> None:
        watched.append(os.fsdecode(folder))
        if not folder.endswith(b"late"):
            (Path(os.fsdecode(folder)) / "late").mkdir()

    found = surveyed(root, watch).drops
    assert watched[0] == str(root)
    assert set(found) == {"late", "p"}
    assert set(found["p"].folders) == {
        *("p", "p/lib", "p/lib/deep"),
        *("p/late", "p/lib/late", "p/lib/deep/late"),
    }
    assert list(dict.fromkeys(watched[1:])) == [str(root / folder) for one in found.values() for folder in one.folders]


def test_a_survey_glances_as_the_packs_directory_does(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The same fingerprint of every drop, and each of its folders is entered; of what came later it knows nothing."""
    monkeypatch.setattr("packd.snapshot.glance.COARSE_MARGIN_NS", -(10**10))
    a_pack(root, "p", "lib")
    a_pack(root, "with link")
    (root / "with link" / "link").symlink_to("pack.yaml")
    folder = usual_extent(root).folder()
    survey = survey_at_rest(root)
    entered: list[str] = []
    assert survey.glance("p", entered.append) == folder.glance("p")
    assert sorted(entered) == ["p", "p/lib"]
    assert folder.glance("with link") is None
    assert survey.glance("with link") == folder.look("with link").fingerprint(time.time_ns())
    assert survey.glance("later") is None
    assert survey.is_as(known(survey))


def test_only_what_is_as_it_was_is_at_rest(root: Path) -> None:
    """Another root, a drop more, less, changed or too fresh, and whatever the registry has open: then it is not."""
    a_pack(root, "p")
    survey = survey_at_rest(root)
    same = known(survey).fingerprints
    assert survey.is_as(known(survey))
    for changed in (
        {"root_identity": "1:2"},
        {"root_identity": None},
        {"is_at_rest": False},
        {"fingerprints": {}},
        {"fingerprints": {**same, ("q", "folder"): "f"}},
        {"fingerprints": {("p", "folder"): "another"}},
        {"fingerprints": {("p", "archive"): same["p", "folder"]}},
    ):
        assert not survey.is_as(known(survey, **changed)), changed
    (root / "p" / "pack.yaml").touch()
    fresh = surveyed(root)
    assert not fresh.is_as(known(fresh))


def test_what_can_not_be_watched_or_listed_is_not_at_rest(root: Path, tmp_path: Path) -> None:
    """The survey is not whole then; it never fails."""

    def refuse(folder: bytes) -> None:
        if folder.endswith(b"/p"):
            raise OSError(28, "No space left on device")

    a_pack(root, "p")
    refused = surveyed(root, refuse)
    assert set(refused.drops) == {"p"}
    assert not refused.is_as(known(refused))
    missing = surveyed(tmp_path / "missing")
    assert missing == Survey()
    assert not missing.is_as(known(missing))


def test_the_usual_extent_is_that_of_settings_which_say_nothing(tmp_path: Path) -> None:
    """Else the scout would look twice at every start."""
    settings = Settings(packs_dir=tmp_path)
    assert extent_of(settings) == usual_extent(tmp_path) == Extent(tmp_path)


# --- what was known --------------------------------------------------------------------------------------------------


@pytest.fixture
def ground(tmp_path: Path) -> Iterator[Ground]:
    with made_ground("sqlite", tmp_path) as made:
        yield made


def looked(ground: Ground, tmp_path: Path) -> Glimpse:
    found = glimpse(tmp_path / "packd.db")
    assert found is not None
    return found


def test_a_glimpse_is_what_the_registry_says(ground: Ground, tmp_path: Path) -> None:
    """Drops by name and kind with their fingerprints, whatever bytes a name has; what is in use; the root; the last stop."""
    odd = os.fsdecode(b"\xff\x00\xe2".replace(b"\x00", b"-"))
    ground.add(a_revision("a", phase=Phase.ACTIVE))
    with ground.registry.write() as tx:
        tx.set_fact("root_identity", "7:8")
        tx.set_fact("last_stop", "clean")
        tx.save_drop(Drop(name=odd, kind="folder", fingerprint="f1"))
        tx.save_drop(Drop(name="z.zip", kind="archive"))
    found = looked(ground, tmp_path)
    assert found == Glimpse(
        root_identity="7:8",
        fingerprints={(odd, "folder"): "f1", ("z.zip", "archive"): None},
        digests={"a": a_revision("a").digest},
        is_at_rest=True,
    )


@pytest.mark.parametrize("phase", sorted(UNFINISHED))
def test_a_candidate_is_not_at_rest(ground: Ground, tmp_path: Path, phase: Phase) -> None:
    """Its way goes on."""
    ground.add(a_revision("a", phase=phase))
    with ground.registry.write() as tx:
        tx.set_fact("last_stop", "clean")
    assert not looked(ground, tmp_path).is_at_rest


def test_what_else_is_not_at_rest(ground: Ground, tmp_path: Path) -> None:
    """Another end than a clean one, a drop that is being missed, an endpoint that was given up."""
    assert not looked(ground, tmp_path).is_at_rest
    with ground.registry.write() as tx:
        tx.set_fact("last_stop", "crash")
    assert not looked(ground, tmp_path).is_at_rest
    with ground.registry.write() as tx:
        tx.set_fact("last_stop", "clean")
        tx.save_drop(Drop(name="p", kind="folder", fingerprint="f", gone_at_s=1.0))
    assert not looked(ground, tmp_path).is_at_rest
    with ground.registry.write() as tx:
        tx.save_drop(Drop(name="p", kind="folder", fingerprint="f"))
    assert looked(ground, tmp_path).is_at_rest
    with ground.registry.write() as tx:
        outbox.save_endpoint(tx.connection, an_endpoint(state="disabled"))
    assert not looked(ground, tmp_path).is_at_rest


def test_of_anything_else_there_is_no_glimpse(ground: Ground, tmp_path: Path) -> None:
    """No database, another schema, no database at all; and none is made."""
    with ground.database.write() as connection:
        connection.exec_driver_sql("UPDATE alembic_version SET version_num = '0999'")
    assert glimpse(tmp_path / "packd.db") is None
    assert glimpse(tmp_path / "none.db") is None
    assert not (tmp_path / "none.db").exists()
    (tmp_path / "words").write_text("these are words and no database, however long they may be" * 20)
    assert glimpse(tmp_path / "words") is None


# --- the porch -------------------------------------------------------------------------------------------------------


class Visit:
    """A porch in a thread, until it is relieved."""

    def __init__(self, path: Path, stack: ExitStack) -> None:
        self._path = path
        self._stack = stack
        self._door = stack.enter_context(socket.socket(socket.AF_UNIX))
        self._door.bind(str(path))
        self._door.listen(10)
        self._line, self._theirs = map(stack.enter_context, socket.socketpair())
        self._found: list[socket.socket] = []
        self._thread = threading.Thread(target=self._receive)
        self._thread.start()

    def _receive(self) -> None:
        self._found = Porch(self._door).receive(until=self._theirs)

    def caller(self, said: bytes) -> socket.socket:
        caller = self._stack.enter_context(socket.socket(socket.AF_UNIX))
        caller.settimeout(10)
        caller.connect(str(self._path))
        caller.sendall(said)
        return caller

    def asked(self) -> tuple[http.client.HTTPResponse, bytes]:
        """Somebody wants to know whether packd is ready."""
        connection = http.client.HTTPConnection("localhost")
        connection.sock = self.caller(b"")
        connection.request("GET", "/readyz")
        answer = connection.getresponse()
        content = answer.read()
        connection.close()
        return answer, content

    def relieved(self) -> list[socket.socket]:
        """Those who were kept waiting."""
        self.asked()  # callers are let in one after another: who came before has been listened to
        self._line.send(b"relieved")
        self._thread.join(10)
        for one in self._found:
            self._stack.enter_context(one).setblocking(True)
        return self._found


@pytest.fixture
def visit(tmp_path: Path) -> Iterator[Visit]:
    with ExitStack() as stack:
        yield Visit(tmp_path / "door", stack)


def test_the_porch_tells_readiness(visit: Visit) -> None:
    """As often as it is asked, in the words of the whole door; the connection ends with the answer."""
    for _ in range(3):
        answer, content = visit.asked()
        assert answer.status == 200
        assert answer.headers["Content-Type"] == "application/json"
        assert answer.headers["X-Request-Id"].startswith("req_")
        assert json.loads(content) == {"data": {"status": "ready", "warnings": []}}
    assert visit.relieved() == []


@pytest.mark.parametrize(
    "said",
    [
        b"GET /status HTTP/1.1\r\nhost: x\r\n\r\n",
        b"POST /readyz HTTP/1.1\r\n\r\n",
        b"GET /readyz HTTP/1.1\r\nhost:",
        b"\0",
    ],
    ids=["another", "another method", "half of it", "rubbish"],
)
def test_everybody_else_is_handed_on_with_what_they_said(visit: Visit, said: bytes) -> None:
    """Unread, so that whoever takes over answers it."""
    caller = visit.caller(said)
    (one,) = visit.relieved()
    assert one.recv(1000) == said
    one.sendall(b"here")
    assert caller.recv(1000) == b"here"


def test_who_has_said_nothing_yet_is_handed_on_and_who_left_is_not(visit: Visit) -> None:
    """A caller may take its time."""
    silent, gone = visit.caller(b""), visit.caller(b"")
    gone.close()
    (one,) = visit.relieved()
    silent.sendall(b"now")
    assert one.recv(1000) == b"now"
