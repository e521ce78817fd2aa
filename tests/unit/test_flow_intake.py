"""What a drop is taken for, and what is told of it."""

from __future__ import annotations

import errno
import itertools
import json
import os
import shutil
import time
from typing import TYPE_CHECKING, Any

import pytest
from structlog.testing import capture_logs

from packd.flow.occasion import Occasion
from packd.snapshot.store import Store, StoreFull
from packd.watch.settle import Settled
from tests.unit.flow_ground import core, latest, looked_at, made_parts, told
from tests.unit.snapshot_ground import aged, zip_of

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from structlog.typing import EventDict

    from packd.bootstrap import Parts


@pytest.fixture
def parts(tmp_path: Path) -> Iterator[Parts]:
    with made_parts(tmp_path) as made:
        yield made


def last_data(parts: Parts) -> dict[str, Any]:
    data: dict[str, Any] = json.loads(told(parts)[-1].body)["data"]
    return data


def test_a_second_drop_with_the_same_ref_is_told_with_what_stays_in_use(parts: Parts) -> None:
    """Nobody who hears of the refusal should think that the pack is out of use."""
    core(parts, name="first")
    core(parts, name="second")
    assert [event.type for event in told(parts)][-2:] == ["pack.validation_failed", "pack.rolled_back"]
    in_use = {"version": "1.0.0", "revision": 1, "digest": latest(parts).digest}
    assert last_data(parts)["restored"] == in_use
    assert last_data(parts)["pack"]["previous"] == in_use


def test_a_version_that_goes_backwards_is_taken_and_logged(parts: Parts) -> None:
    """One warning for its revision, and none when the drop is looked at again."""
    core(parts, "2.0.0")
    with capture_logs() as logged:
        core(parts, "1.0.0")
        looked_at(parts, "core")
    (line,) = [line for line in logged if line["event"] == "version.went_backwards"]
    assert (line["log_level"], line["pack"], line["revision"]) == ("warning", "core", 2)
    assert "1.0.0 is older than the active 2.0.0" in line["why"]
    assert latest(parts).version == "1.0.0"


def test_an_archive_without_its_end_is_left_until_it_is_another_one(parts: Parts) -> None:
    """What was waited for in vain is not waited for again at every scan and every start: it only can be copied again."""
    archive = parts.settings.packs_dir / "core.zip"
    whole = zip_of({"pack.yaml": "ref: core"})
    archive.write_bytes(whole[:-30])
    aged(archive)
    in_vain = Settled(name="core.zip", first_change=0.0, forced=True, touches=1)
    parts.intake.take_soon("core.zip", Occasion(first_change_at_s=time.time(), burst=in_vain))
    assert parts.lanes.wait_idle(30)
    assert last_data(parts)["reason"] == "validation_failed"
    assert parts.reconciler.run() == {"unchanged": 1}
    archive.write_bytes(whole)
    assert parts.reconciler.run() == {"changed": 1}


def test_what_there_is_no_room_for_is_told_once_however_much_room_there_is(
    parts: Parts, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A full disk has a few bytes more or less at every look; that is no news, and webhooks are told news."""
    free = itertools.count()

    def full(*_: object) -> None:
        raise StoreFull(f"the disk with the store is full ({next(free)} B free): make room on it")

    with monkeypatch.context() as patched:
        patched.setattr(Store, "take", full)
        for _ in range(3):
            core(parts)
    assert [event.type for event in told(parts)] == ["pack.validation_failed", "pack.rolled_back"]
    looked_at(parts, "core")
    assert told(parts)[-1].type == "pack.registered"


def test_a_disk_that_fails_is_said_where_the_drop_is_asked_for(parts: Parts, monkeypatch: pytest.MonkeyPatch) -> None:
    """As one that is full: by event, `packd why` and marker, and not only as a traceback in the log. When it is well again
    the drop is taken."""

    def failing(_: int) -> None:
        raise OSError(errno.EIO, os.strerror(errno.EIO))

    with monkeypatch.context() as patched, capture_logs() as logged:
        patched.setattr(os, "fsync", failing)
        core(parts)
    assert not [line for line in logged if line["event"] == "lane.job_failed"]
    (problem,) = json.loads(told(parts)[-2].body)["data"]["problems"]
    assert problem["code"] == "store.unwritable"
    assert "store fails (Input/output error): see what the log of the system says of it" in problem["message"]
    assert (parts.settings.packs_dir / "core.failed").exists()
    looked_at(parts, "core")
    assert told(parts)[-1].type == "pack.registered"


def lines(logged: list[EventDict]) -> list[tuple[int, str]]:
    """The one line of each revision: (number, phase)."""
    carried = [line for line in logged if line["event"] == "revision.carried"]
    assert all({"settle_ms", "snapshot_ms", "validate_ms"} <= line.keys() for line in carried)
    return [(line["revision"], line["phase"]) for line in carried]


def test_what_is_overtaken_while_it_waits_has_its_line_too(parts: Parts) -> None:
    """One for every revision, with the time of every stage, whether anybody was at work on it in the end or not."""
    with capture_logs() as logged:
        core(parts, "1.0.0", needs="base")
        assert lines(logged) == []
        core(parts, "2.0.0", needs="base")
        assert lines(logged) == [(1, "superseded")]
        core(parts, "3.0.0")
        assert lines(logged) == [(1, "superseded"), (2, "superseded"), (3, "active")]
        core(parts, "4.0.0", needs="base")
        parts.availability.disable("core", actor="test")
        assert parts.lanes.wait_idle(30)
        assert lines(logged)[3:] == [(4, "superseded")]


def test_what_waits_and_is_removed_has_its_line_too(parts: Parts) -> None:
    """Nothing of it is ever carried on."""
    with capture_logs() as logged:
        shutil.rmtree(core(parts, "1.0.0", needs="base"))
        parts.intake.remove_soon("core")
        assert parts.lanes.wait_idle(30)
    assert lines(logged) == [(1, "superseded")]
