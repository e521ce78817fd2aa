"""Before the whole door is there: readiness is told, and whoever wants more waits until it is built."""

from __future__ import annotations

import http.client
import json
import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from packd.api.app import create_app
from packd.api.front import Front
from packd.api.readiness import ready
from packd.api.server import Server
from packd.domain.failures import Failure
from packd.domain.health import Ailment, Grade
from tests.unit.doors_ground import Ground, a_context, made_ground


@pytest.fixture
def ground() -> Iterator[Ground]:
    with made_ground() as made:
        yield made


@contextmanager
def serving(ground: Ground, front: Front, tail: Any) -> Iterator[Path]:
    path = ground.folder / "front.sock"
    server = Server(front, path, tail=tail)
    server.start()
    try:
        yield path
    finally:
        server.stop()


def ask(path: Path, what: str) -> tuple[int, str, dict[str, Any]]:
    connection = http.client.HTTPConnection("localhost")
    connection.sock = socket.socket(socket.AF_UNIX)
    connection.sock.settimeout(20)
    connection.sock.connect(str(path))
    connection.request("GET", what)
    answer = connection.getresponse()
    found = answer.status, answer.headers["Content-Type"], json.loads(answer.read())
    assert answer.headers["X-Request-Id"].startswith("req_")
    connection.close()
    found[2].pop("request_id", None)
    return found


GRADES: tuple[Grade | None, ...] = (None, "warning", "degraded", "unready", "dying")


@pytest.mark.parametrize("grade", GRADES)
def test_readiness_is_told_as_the_whole_door_tells_it(ground: Ground, grade: Grade | None) -> None:
    """The same status, type and body, before and after; asking does not build the door."""
    wrong = () if grade is None else (Ailment(part="disk", grade=grade, sentence="no room; make some"),)
    health = SimpleNamespace(dying=lambda: (), ailments=lambda: wrong)
    context = replace(a_context(ground.registry, ground.asked, ground.feed), health=health)
    front = Front(lambda: create_app(context), lambda: wrong)
    with serving(ground, front, context.tail) as path:
        first = ask(path, "/readyz")
        assert front._whole is None
        front.build()
        assert ask(path, "/readyz") == first
    assert first[0] == (503 if grade in ("unready", "dying") else 200)


def test_the_door_is_built_once_for_the_first_who_want_more(ground: Ground) -> None:
    """However many come at the same time, all of them are answered."""
    context = a_context(ground.registry, ground.asked, ground.feed)
    built: list[object] = []

    def make() -> Any:
        built.append(None)
        return create_app(context)

    answers: list[int] = []
    front = Front(make, tuple)
    with serving(ground, front, context.tail) as path:
        askers = [threading.Thread(target=lambda: answers.append(ask(path, "/api/v1/status")[0])) for _ in range(5)]
        for asker in askers:
            asker.start()
        for asker in askers:
            asker.join(20)
    assert answers == [200] * 5
    assert len(built) == 1


def test_a_door_that_can_not_be_built_is_a_dead_part() -> None:
    """It is told as such, so that a supervisor starts the daemon anew."""

    def make() -> Any:
        raise ImportError("no fastapi")

    front = Front(make, tuple)
    assert front.pulse().alive
    with pytest.raises(ImportError):
        front.build()
    assert not front.pulse().alive


def test_strangers_are_told_whether_and_not_why() -> None:
    """On TCP anybody may ask; reasons name folders."""
    full = Ailment(part="space", grade="unready", sentence="/srv/packd is full")
    with pytest.raises(Failure, match="/srv/packd is full"):
        ready((full,))
    with pytest.raises(Failure) as refused:
        ready((full,), to_strangers=True)
    assert "/srv" not in refused.value.sentence
    assert not refused.value.members
    minor = Ailment(part="webhooks", grade="warning", sentence="the endpoint 'x' is disabled")
    assert ready((minor,), to_strangers=True) == {"status": "ready", "warnings": []}
