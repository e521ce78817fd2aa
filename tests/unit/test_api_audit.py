"""What is on record of the requests that change something: which packs they were about."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from packd.domain.failures import Code, Failure
from packd.flow.audit_trail import AuditTrail
from packd.flow.clock import Clock
from packd.registry import migrations
from packd.registry.tables import audit
from tests.unit.doors_ground import Ground, made_ground, report
from tests.unit.registry_ground import KINDS, made_url
from tests.unit.test_api_documentation import ask
from tests.waiting import wait_until

REGISTER = "/api/v1/packs/register"


@pytest.fixture
def ground() -> Iterator[Ground]:
    with made_ground() as made:
        made.activate("core", 1)
        made.add_run("core", 1, report("core"))
        yield made


def noted(ground: Ground, path: str, count: int = 1, *, pack: str | None = None) -> list[dict[str, Any]]:
    """What there is about requests to `path`, newest first, once it is so much: it is written behind the answer."""

    def found() -> list[dict[str, Any]]:
        entries = ground.client.get("/audit", limit=1000, pack=pack)["data"]
        return [one for one in entries if one["what"].endswith(f" {path}")]

    wait_until(lambda: len(found()) >= count, lambda: f"{count} entries about {path}; there are {found()}")
    return found()


@pytest.mark.parametrize(
    ("method", "path", "pack"),
    [
        ("POST", "/api/v1/packs/core/retry", "core"),  # whose parameter is a name
        ("POST", "/api/v1/packs/core/disable", "core"),
        ("DELETE", "/api/v1/packs/core", "core"),
        ("POST", "/api/v1/packs/install/disable", "install"),  # a pack may be called so
        ("POST", "/api/v1/packs/nowhere/enable", "nowhere"),
        ("PUT", "/api/v1/packs/core", None),  # nothing that could be asked
        ("POST", "/api/v1/webhooks/endpoints/core/disable", None),
        ("POST", "/api/v1/packs/upgrade", None),  # of all packs, and nothing came of it
    ],
)
def test_a_request_is_about_the_pack_that_its_route_names(
    ground: Ground, method: str, path: str, pack: str | None
) -> None:
    """Not about whatever stands there in its path."""
    ask(ground, method, path, {} if method == "POST" else None)
    (entry,) = noted(ground, path)
    assert (entry["pack"], entry["packs"]) == (pack, [pack] if pack else [])


def test_what_is_refused_at_the_door_is_about_its_pack_as_well(ground: Ground) -> None:
    """It never came to its handler."""
    path = "/api/v1/packs/core/rollback"
    assert ask(ground, "POST", path, {}, **{"Content-Type": "text/plain"})[0] == 415
    assert [one["pack"] for one in noted(ground, path)] == ["core"]


@pytest.mark.parametrize("prefer", ["", "respond-async"])
def test_a_registration_is_about_the_pack_that_came_of_it(ground: Ground, prefer: str) -> None:
    """Also when the answer was a job, and nobody knew yet."""
    assert ask(ground, "POST", REGISTER, {"path": "/srv/work"}, Prefer=prefer)[0] == (202 if prefer else 201)
    (entry,) = noted(ground, REGISTER, pack="core")
    assert (entry["pack"], entry["packs"]) == ("core", ["core"])


@pytest.mark.parametrize("prefer", ["", "respond-async"])
def test_a_refused_registration_is_about_the_pack_that_it_names(ground: Ground, prefer: str) -> None:
    """As far as it was known by then."""
    ground.asked.refusal = Failure(Code.CONFLICT, "Pack 'core' already exists.", members={"ref": "core"})
    ask(ground, "POST", REGISTER, {"path": "/srv/work"}, Prefer=prefer)
    assert len(noted(ground, REGISTER, pack="core")) == 1
    ground.asked.refusal = Failure(Code.BAD_REQUEST, "Pack directory does not exist: /srv/gone")
    ask(ground, "POST", REGISTER, {"path": "/srv/gone"}, Prefer=prefer)
    assert [one["pack"] for one in noted(ground, REGISTER, 2)] == [None, "core"]


def test_a_job_may_be_faster_than_the_note(ground: Ground) -> None:
    """Whichever comes first, both end up in one row."""
    trail = AuditTrail(registry=ground.registry, clock=Clock())
    row: dict[str, Any] = {"actor": "uid=0 pid=1", "method": "POST", "path": REGISTER, "status": 202}
    trail.about("req_1", ["core", "web"])
    trail.note(request_id="req_1", **row)
    trail.note(request_id="req_2", **row)
    trail.about("req_2", ["core"])
    found = {one["request_id"]: one["packs"] for one in trail.newest(limit=9, pack="core")}
    assert found == {"req_1": ["core", "web"], "req_2": ["core"], None: ["core"]}  # the last one is its activation
    assert [one["pack"] for one in trail.newest(limit=9, pack="web")] == ["core"]


@pytest.mark.parametrize("kind", KINDS)
def test_what_was_noted_before_keeps_its_pack(kind: str, tmp_path: Path) -> None:
    """Requests from before the column was there, as far as their paths say it."""
    from packd.registry.database import Database

    paths = {
        ("POST", "/api/v1/packs/core/rollback"): ["core"],
        ("DELETE", "/api/v1/packs/web"): ["web"],
        ("POST", REGISTER): None,
        ("POST", "/api/v1/webhooks/endpoints"): None,
    }
    with made_url(kind, tmp_path) as url:
        database = Database(url)
        with database.write() as connection:
            migrations.upgrade(connection, to="0002")
            for method, path in paths:
                row = {"at": "2026", "actor": "x", "method": method, "path": path, "request_id": f"req_{path}"}
                connection.execute(audit.insert().values(**row))
            migrations.upgrade(connection, to="0003")
            found = {(row.method, row.path): row.packs for row in connection.execute(audit.select())}
        database.close()
    assert found == paths
