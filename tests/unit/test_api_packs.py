"""Packs, runs and health over HTTP, on a real registry and a real socket."""

from __future__ import annotations

import queue
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest

from packd.domain.failures import Code, Failure
from packd.domain.health import GRADES, Ailment, Pulse
from packd.domain.lifecycle import Phase
from packd.flow.status import pack_counts
from packd.flow.told import Told
from tests.unit.doors_ground import DIGESTS, Ground, made_ground, report


@pytest.fixture
def ground() -> Iterator[Ground]:
    with made_ground() as made:
        yield made


@pytest.fixture(scope="module")
def only_core() -> Iterator[Ground]:
    """For questions that change nothing."""
    with made_ground() as made:
        made.activate("core", 1)
        yield made


def test_list_has_packs_and_refused_drops(ground: Ground) -> None:
    """A drop that never became a pack is in the list with its problems; one that owns a pack is not listed twice."""
    ground.activate("core", 1)
    ground.refuse_drop("My Pack")
    ground.refuse_drop("core")
    items = ground.client.get("/packs")["items"]
    assert [(item["ref"], item["status"]) for item in items] == [("My Pack", "refused"), ("core", "active")]
    assert [problem["code"] for problem in items[1]["problems"]] == ["manifest.missing"]


def test_a_drop_that_is_gone_is_not_listed(ground: Ground) -> None:
    """What was found missing is not there any more, though it is remembered for a moment."""
    ground.refuse_drop("gone", gone_at_s=1.0)
    assert ground.client.get("/packs")["items"] == []


def test_list_by_status_and_words(ground: Ground) -> None:
    """`status` and `q` choose before the page is cut, `q` by all of its words in name, label and description."""
    ground.activate("core", 1)
    ground.activate("netops", 1)
    ground.fail("other", 1)
    ground.refuse_drop("nothing")

    def refs(**query: str) -> list[str]:
        return [item["ref"] for item in ground.client.get("/packs", **query)["items"]]

    assert refs(status="active") == ["core", "netops"]
    assert refs(status="failed") == ["other"]
    assert refs(status="refused") == ["nothing", "other"]
    assert refs(q="PACK netops") == ["netops"]
    assert refs(q="netops", status="failed") == []


def test_refused_content_is_found_by_its_status(ground: Ground) -> None:
    """Also where older content is in use: a list has as many as the daemon's status counts; other words are refused."""
    ground.activate("core", 1)
    ground.fail("core", 2)
    for status in ("active", "failed", "refused"):
        assert [item["status"] for item in ground.client.get("/packs", status=status)["items"]] == ["active"]
    assert ground.client.get("/packs", status="rejected")["items"] == []
    assert counted(ground) == (1, 1, 1)
    ground.activate("netops", 1)
    ground.refuse_drop("netops")
    ground.refuse_drop("core")
    assert [item["ref"] for item in ground.client.get("/packs", status="refused")["items"]] == ["core", "netops"]
    assert counted(ground) == (2, 2, 2)
    with pytest.raises(Failure, match="status"):
        ground.client.get("/packs", status="actve")


def counted(ground: Ground) -> tuple[int, int, int]:
    """What the daemon's status says: (in use, refused, in all)."""
    with ground.registry.read() as connection:
        counts = pack_counts(connection)
    return counts["active"], counts["refused"], counts["total"]


def test_a_list_says_why_tests_did_not_pass(ground: Ground) -> None:
    """With the same word as the pack alone."""
    ground.fail("core", 1)
    (listed,) = ground.client.get("/packs")["items"]
    assert listed["tests"]["reason"] == "failures"
    assert listed["tests"] == ground.client.get("/packs/core")["data"]["tests"]


def test_what_a_pack_waits_for(ground: Ground) -> None:
    """Stands beside what is on its way, in a list as well; what it needs at all beside the whole pack."""
    ground.wait("web", 1, {"ref": "vault", "version": ">=2"})
    whole = ground.client.get("/packs/web")["data"]
    assert whole["needs"] == [{"ref": "vault", "range": ">=2"}, {"ref": "core", "range": "*"}]
    assert whole["candidate"] == {"number": 1, "phase": "waiting", "waits_for": [{"ref": "vault", "version": ">=2"}]}
    assert ground.client.get("/packs", status="waiting")["items"][0]["candidate"] == whole["candidate"]


def test_pages_are_clamped(ground: Ground) -> None:
    """Numbers out of range are brought into it; a page behind the last one is empty."""
    for name in ("a", "b", "c"):
        ground.refuse_drop(name)
    first = ground.client.get("/packs", page=-5, page_size=2)
    assert [item["ref"] for item in first["items"]] == ["a", "b"]
    assert first["pagination"] == {
        "page": 1, "page_size": 2, "total_items": 3, "total_pages": 2, "has_previous": False, "has_next": True,
    }  # fmt: skip
    assert ground.client.get("/packs", page_size=1000)["pagination"]["page_size"] == 100
    assert ground.client.get("/packs", page=9)["items"] == []
    assert [item["ref"] for item in ground.client.items("/packs")] == ["a", "b", "c"]


def test_show_has_the_fields(ground: Ground) -> None:
    """A pack whole: what is in use, what is newest, the last run of the newest, and what pack.yaml says."""
    ground.activate("core", 1)
    ground.fail("core", 2)
    pack = ground.client.get("/packs/core")["data"]
    assert pack["active"]["digest"] == DIGESTS[1]
    assert (pack["latest"]["number"], pack["latest"]["phase"]) == (2, "failed")
    assert (pack["tests"]["status"], pack["tests"]["revision"], pack["tests"]["failed"]) == ("partial", 2, 1)
    assert pack["components"] == {"actions": 1, "policies": 1}
    assert pack["fields"]["author"] == "somebody"


def test_show_by_the_name_of_the_drop(ground: Ground) -> None:
    """As `why` does: it is the name that lies in the folder."""
    ground.activate("core", 1)
    with ground.registry.write() as tx:
        tx.claim_pack("core", drop_name="Core 1", path="/srv/packs/Core 1")
    assert ground.client.get("/packs/Core%201")["data"]["ref"] == "core"


def test_fields_may_say_anything(ground: Ground) -> None:
    """Halves of characters, which UTF-8 can't carry, come through as JSON escapes."""
    ground.add_revision("odd", 1, Phase.REJECTED, fields={"label": "half \ud800", "note": "naïve ✓"})
    fields = ground.client.get("/packs/odd")["data"]["fields"]
    assert fields == {"label": "half \ud800", "note": "naïve ✓"}


def test_history_is_newest_first(ground: Ground) -> None:
    """Revisions and activations, newest first, the latter with who caused them."""
    ground.activate("core", 1)
    ground.activate("core", 2)
    revisions = ground.client.get("/packs/core/revisions")["items"]
    assert [(one["number"], one["phase"]) for one in revisions] == [(2, "active"), (1, "superseded")]
    activations = ground.client.get("/packs/core/activations")["items"]
    assert [(one["number"], one["previous_number"], one["actor"]) for one in activations] == [
        (2, 1, "watch"),
        (1, None, "watch"),
    ]
    assert [one["until"] for one in activations] == [None, activations[0]["at"]]
    assert "fields" not in revisions[0]
    assert ground.client.get("/packs/core/revisions/1")["data"]["fields"]["ref"] == "core"


def test_components_are_of_what_is_in_use(ground: Ground) -> None:
    """A candidate's components are not those of the pack yet."""
    ground.activate("core", 1)
    ground.add_revision("core", 2)
    items = ground.client.get("/packs/core/components")["items"]
    assert [(item["kind"], item["ref"]) for item in items] == [("action", "core.go"), ("policy", "core.calm")]


def test_runs(ground: Ground) -> None:
    """The history is without the cases; one run, and the latest, have the whole report."""
    ground.activate("core", 1)
    first = ground.add_run("core", 1, report())
    ground.activate("core", 2)
    second = ground.add_run("core", 2, report(failed=True))
    items = ground.client.get("/packs/core/tests")["items"]
    assert [item["id"] for item in items] == [second.id, first.id]
    assert "report" not in items[0]
    assert ground.client.get("/packs/core/tests/latest")["data"]["id"] == second.id
    one = ground.client.get(f"/packs/core/tests/{first.id}")["data"]
    assert [suite["name"] for suite in one["report"]["test_suites"]] == ["shell", "python"]


@pytest.mark.parametrize(
    "path",
    ["/packs/cor", "/packs/cor/revisions", "/packs/cor/activations", "/packs/cor/components", "/packs/cor/tests",
     "/packs/core/revisions/99", "/packs/core/tests/latest", "/packs/core/tests/run_x"],
)  # fmt: skip
def test_what_is_not_there(only_core: Ground, path: str) -> None:
    """Every unknown thing is NOT_FOUND, with what was probably meant or where to look."""
    with pytest.raises(Failure) as caught:
        only_core.client.get(path)
    assert caught.value.code == Code.NOT_FOUND
    assert "did you mean 'core'?" in caught.value.sentence or "`packd " in caught.value.sentence


def test_a_run_of_another_pack_is_not_found(ground: Ground) -> None:
    """A run is found under its own pack only."""
    ground.activate("core", 1)
    run = ground.add_run("core", 1, report())
    ground.activate("other", 1)
    with pytest.raises(Failure):
        ground.client.get(f"/packs/other/tests/{run.id}")


def test_commands_know_who_asks(ground: Ground) -> None:
    """The actor is the peer of the socket as the kernel names it; the command line is told apart as a source."""
    import os

    ground.activate("core", 1)
    ground.activate("core", 2)
    ground.add_run("core", 2, report())
    me = f"uid={os.getuid()} pid={os.getpid()}"
    ground.client.post("/packs/core/test", {"runner": "shell"})
    ground.client.post("/packs/core/retry")
    answer = ground.client.post("/packs/core/rollback")
    assert ground.asked.calls == [
        ("run_tests", "core", {"runner": "shell", "rebuild": False, "actor": me, "source": "cli"}),
        ("retry", "core", {"source": "cli", "actor": me}),
        ("rollback", "core", {"to": None, "force": False, "actor": me}),
    ]
    assert (answer["data"]["withdrawn"]["number"], answer["data"]["restored"]["number"]) == (2, 1)
    assert answer["message"] == "core#2 was rolled back; core#1 is in use"


def test_failing_tests_are_an_answer(ground: Ground) -> None:
    """Running tests that fail is no error: the run says that they were not accepted, and why."""
    ground.activate("core", 1)
    ground.add_run("core", 1, report(failed=True))
    answer = ground.client.post("/packs/core/test")
    assert (answer["data"]["accepted"], answer["message"]) == (False, "1 of 3 tests failed")


def test_long_runs_keep_nobody_waiting(ground: Ground) -> None:
    """However many tests run at once, readers are answered."""
    ground.activate("core", 1)
    ground.add_run("core", 1, report())
    ground.asked.hold = threading.Event()
    askers = [threading.Thread(target=ground.client.post, args=("/packs/core/test",)) for _ in range(60)]
    for asker in askers:
        asker.start()
    try:
        assert ground.client.get("/packs/core")["data"]["ref"] == "core"
    finally:
        ground.asked.hold.set()
        for asker in askers:
            asker.join()


def test_names_with_anything_in_them(ground: Ground) -> None:
    """A drop is found by its name, with blanks, slashes of the URL's own and signs in it."""
    from packd.client import part

    for name in ("My Pack", "50% off?", "naïve#1"):
        ground.refuse_drop(name)
        assert ground.client.get(f"/packs/{part(name)}")["data"]["drop"] == name
        assert ground.client.get(f"/packs/{part(name)}/why")["data"]["refused"]


def test_names_that_are_not_utf8(ground: Ground) -> None:
    """A drop is asked for by the bytes of its name, whatever they are, and a name that nobody has is not found."""
    ground.refuse_drop("caf\udce9")
    assert ground.client.get("/packs/caf%E9")["data"]["drop"] == "caf\udce9"
    assert ground.client.get("/packs/caf%E9/why")["data"]["refused"] is True
    with pytest.raises(Failure, match="is called") as refusal:
        ground.client.get("/packs/caf%FF%FF%FF/why")
    assert refusal.value.code == Code.NOT_FOUND


def test_readiness(ground: Ground) -> None:
    """Alive as soon as it answers, ready when the folder was compared; each says why it is not as it should be."""
    import http.client
    import json
    import socket

    def ask(path: str) -> tuple[int, dict[str, Any]]:
        connection = http.client.HTTPConnection("localhost")
        connection.sock = socket.socket(socket.AF_UNIX)
        connection.sock.connect(str(ground.socket))
        connection.request("GET", path)
        response = connection.getresponse()
        body = json.loads(response.read())
        connection.close()
        return response.status, body

    assert ask("/livez")[0] == ask("/readyz")[0] == ask("/healthz")[0] == 200
    found: dict[str, tuple[int, int, int, str]] = {}
    for grade in GRADES[1:]:
        ground.ailing[:] = [Ailment(part="watch", grade=grade, sentence="it is dim: give it light")]
        status, body = ask("/healthz")
        found[grade] = (ask("/livez")[0], ask("/readyz")[0], status, body["data"]["status"])
        assert body["data"]["reasons"] == [{"part": "watch", "grade": grade, "reason": "it is dim: give it light"}]
    assert found == {
        "unready": (200, 503, 503, "failing"),
        "degraded": (200, 200, 503, "degraded"),
        "warning": (200, 200, 200, "ok"),
    }
    assert ask("/readyz")[1]["data"]["warnings"] == ["it is dim: give it light"]
    ground.ailing.clear()
    ground.health.stopping()
    assert (ask("/livez")[0], ask("/readyz")[0]) == (200, 503)
    assert ask("/readyz")[1]["reasons"] == ["packd is stopping"]
    ground.health.include(lambda: Pulse(part="settle", alive=False))
    assert ask("/livez")[0] == 503


def test_a_run_can_be_followed(ground: Ground) -> None:
    """Whoever accepts an event stream is told of each case, and then of the run as anybody else is."""
    ground.activate("core", 1)
    ground.add_run("core", 1, report(failed=True))
    heard: list[tuple[str, dict[str, object]]] = []
    answer = ground.client.post_live("/packs/core/test", {}, on_message=lambda *message: heard.append(message))
    told = [said for name, said in heard if name == "case"]
    assert heard[0] == ("started", {"run_id": "run_1"})
    assert answer == ground.client.post("/packs/core/test")
    assert [(case["suite"], case["name"]) for case in told] == [
        (suite["name"], case["name"])
        for suite in answer["data"]["report"]["test_suites"]
        for case in suite["test_cases"]
    ]


def test_a_run_that_can_not_begin_is_refused_as_ever(ground: Ground) -> None:
    """Before the first byte of a stream a refusal has its own status and code."""
    with pytest.raises(Failure) as refused:
        ground.client.post_live("/packs/core/test", {"nonsense": True}, on_message=lambda *_: None)
    assert "nonsense" in refused.value.sentence


def test_a_run_of_somebody_else_can_be_followed(ground: Ground) -> None:
    """From its first word on, whenever one comes, to the run as anybody else is told of it."""
    ground.activate("core", 1)
    ground.add_run("core", 1, report(failed=True))
    (run,) = list(ground.client.items("/packs/core/tests"))
    told = ground.asked.told[run["id"]] = Told()
    told.say("progress", {"text": "installing"})
    heard: queue.SimpleQueue[tuple[str, dict[str, object]]] = queue.SimpleQueue()
    with ThreadPoolExecutor(1) as threads:
        ended = threads.submit(
            ground.client.follow_run, "core", "latest", on_message=lambda name, said: heard.put((name, said))
        )
        assert heard.get(timeout=20) == ("progress", {"text": "installing"})
        told.say("case", {"suite": "unit", "name": "a", "status": "passed"})
        assert heard.get(timeout=20)[1]["name"] == "a"
        assert not ended.done()
        told.finish()
        assert ended.result(20)["data"]["id"] == run["id"]
    assert ground.client.follow_run("core", run["id"], on_message=lambda *_: None) == ended.result()


def test_a_drop_that_was_not_read_yet_is_not_denied(ground: Ground) -> None:
    """There is nothing to show of it, but why."""
    ground.asked.unread["slow"] = "'slow' lies in the packs directory and is about to be read"
    for name, sentence in (("slow", "about to be read"), ("nobody", "no pack is called 'nobody'")):
        with pytest.raises(Failure, match=sentence) as raised:
            ground.client.get(f"/packs/{name}")
        assert raised.value.code == Code.NOT_FOUND
