"""The doors to installing: what is asked of the daemon for whom, and how the answers look."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from packd.domain.failures import Code, Failure
from packd.flow.plans import Plan, Step
from packd.flow.trip import InstallWish
from packd.sources.catalogue import Catalogue
from packd.sources.errand import refused
from packd.sources.index import Listing, Offer
from tests.unit.doors_ground import Ground, made_ground
from tests.unit.test_api_access import on_tcp

CORE = Offer(ref="core", version="2.0.0", index="main", label="Core", description="The base of all", keywords=("base",))
SHELF = Catalogue(listings=(Listing(name="main", offers=(CORE, Offer(ref="slack", version="1.0.0", index="main"))),),
                  complaints=("the index 'other' is as it was last seen: …",))  # fmt: skip
PLAN = Plan(
    steps=(
        Step(ref="core", version="2.0.0", action="update", before="1.1.0", asked=True, offer=CORE, needed_by=("net",)),
        Step(ref="net", version="1.0.0", action="keep", before="1.0.0", needs=("core",)),
    )
)


@pytest.fixture
def ground() -> Iterator[Ground]:
    with made_ground() as made:
        made.activate("core", 1)
        yield made


def wish_of(ground: Ground) -> InstallWish:
    wish = ground.asked.calls[-1][2]["wish"]
    assert isinstance(wish, InstallWish)
    return wish


def test_the_sockets_owner_may_everything(ground: Ground) -> None:
    """What was asked for arrives as it was asked; who asks is known, and that everything here is his."""
    asked = {"source": "/srv/x.zip", "ref_spec": "v1", "checksum": "sha256:1", "replace": True, "skip_tests": True}
    ground.client.post("/packs/install", asked)
    wish = wish_of(ground)
    assert (wish.source, wish.ref_spec, wish.checksum) == ("/srv/x.zip", "v1", "sha256:1")
    assert (wish.replace, wish.force, wish.skip_tests, wish.dry_run) == (True, False, True, False)
    assert wish.actor.startswith("uid=")
    assert wish.is_owner
    assert wish.door == "cli"


def test_the_bearer_of_a_token_is_nobodys_owner(ground: Ground) -> None:
    """Whatever its scopes are."""
    with on_tcp(ground, scopes=("packs:write",)) as door:
        assert door.ask("POST", "/api/v1/packs/install", {"source": "core"}).status == 200
        assert not wish_of(ground).is_owner
        assert wish_of(ground).door == "api"


def test_scopes(ground: Ground) -> None:
    """Installing needs the scope that writes, searching the one that reads."""
    with on_tcp(ground, scopes=("packs:read",)) as door:
        assert door.ask("POST", "/api/v1/packs/install", {"source": "core"}).status == 403
        assert door.ask("POST", "/api/v1/packs/upgrade", {}).status == 403
        assert door.ask("GET", "/api/v1/indexes/packs").status == 200


def test_a_plan_says_what_would_be_done(ground: Ground) -> None:
    """Each step with what it replaces, where it comes from and who needs it."""
    ground.asked.plan = PLAN
    answer = ground.client.post("/packs/install", {"source": "core", "dry_run": True, "replace": True})
    assert answer["message"] == "this would be installed: core 2.0.0"
    first = answer["data"]["plan"][0]
    assert first == {
        "ref": "core", "version": "2.0.0", "action": "update", "before": "1.1.0", "needs": [], "needed_by": ["net"],
        "asked": True, "index": "main", "source": None,
    }  # fmt: skip
    assert answer["data"]["pack"]["ref"] == "core"
    assert answer["data"]["installed"] == []
    upgraded = ground.client.post("/packs/upgrade", {"refs": ["core"], "dry_run": True})
    assert upgraded["message"] == "would be upgraded: core 1.1.0 → 2.0.0"
    assert wish_of(ground).replace


def test_a_refusal_keeps_its_kind(ground: Ground) -> None:
    """What must not be fetched is 403, what can't be fetched now 503."""
    ground.asked.refusal = refused("127.0.0.1 is a loopback address: set sources.allow_private to fetch from there")
    with pytest.raises(Failure, match=r"sources\.allow_private") as caught:
        ground.client.post("/packs/install", {"source": "https://127.0.0.1/x.zip"})
    assert caught.value.code == Code.FORBIDDEN


def test_what_is_not_understood(ground: Ground) -> None:
    """Unknown fields and an empty source are named."""
    for body in ({"source": ""}, {"source": "core", "sauce": 1}, {}, {"source": "x" * 5000}):
        with pytest.raises(Failure, match="can't be understood"):
            ground.client.post("/packs/install", body)


def test_searching(ground: Ground) -> None:
    """All words, the best first; what is in use is said beside what is offered; notes tell of indexes that are away."""
    ground.asked.shelf = SHELF
    answer = ground.client.get("/indexes/packs", q="BASE of")
    assert answer["notes"] == ["the index 'other' is as it was last seen: …"]
    (found,) = answer["items"]
    assert (found["ref"], found["version"], found["versions"], found["in_use"]) == ("core", "2.0.0", ["2.0.0"], "1.1.0")
    assert [one["ref"] for one in ground.client.get("/indexes/packs", page_size=1, page=2)["items"]] == ["slack"]
    (late,) = ground.client.get("/indexes/outdated")["items"]
    assert late == {
        "ref": "core", "version": "1.1.0", "newest": "2.0.0", "fits": "2.0.0", "held_by": [], "index": "main",
        "from_index": False,
    }  # fmt: skip
