"""Who is let in by TCP, with what, how often, and from which pages; and what the socket's peers may."""

from __future__ import annotations

import http.client
import json
import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from packd.api.app import create_app
from packd.api.callers import Caller, Gate
from packd.api.guard import Access, names
from packd.api.server import Server
from packd.client import Client
from packd.domain.failures import Code, Failure
from packd.domain.rates import Bucket, Rate, next_in_s, take
from packd.domain.tokens import RANDOM_BYTES, digest_of, includes, is_well_formed, make, scope_for
from packd.flow.audit_trail import AuditTrail
from packd.flow.clock import Clock
from packd.flow.tokens import Tokens
from packd.registry import queries
from packd.registry.tables import tokens as tokens_table
from tests.unit.doors_ground import Ground, a_context, made_ground
from tests.waiting import wait_until


@pytest.fixture
def ground() -> Iterator[Ground]:
    with made_ground() as made:
        made.activate("core", 1)
        yield made


@dataclass
class Answered:
    status: int
    headers: dict[str, str]
    body: Any


@dataclass
class Door:
    """The API on TCP, and a token for it."""

    port: int
    tokens: Tokens
    token: str = ""
    extra: dict[str, str] = field(default_factory=dict)

    def ask(self, method: str, path: str, body: Any = None, *, raw: bytes | None = None, **headers: str) -> Answered:
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=20)
        given = {"Authorization": f"Bearer {self.token}"} if self.token else {}
        content = raw if raw is not None else json.dumps(body).encode() if body is not None else None
        if body is not None:
            given["Content-Type"] = "application/json"
        given |= {name.replace("_", "-"): value for name, value in headers.items()}
        connection.request(method, path, content, {name: value for name, value in given.items() if value})
        response = connection.getresponse()
        text = response.read()
        connection.close()
        said = {name.lower(): value for name, value in response.getheaders()}
        return Answered(response.status, said, json.loads(text) if text else None)


@contextmanager
def on_tcp(ground: Ground, *, scopes: tuple[str, ...] = ("admin",), **access: Any) -> Iterator[Door]:
    tokens = Tokens(registry=ground.registry, clock=Clock())
    rules = Access(check_token=tokens.check, hosts=names("127.0.0.1:0", ("packs.example",)), **access)
    trail, gate = AuditTrail(registry=ground.registry, clock=Clock()), Gate(roots=(Path("/srv/work"),))
    context = a_context(ground.registry, ground.asked, ground.feed, access=rules, gate=gate, trail=trail)
    server = Server(
        create_app(context), ground.folder / "other.sock", listen="127.0.0.1:0", tail=context.tail, grace_s=1.0
    )
    server.start()
    try:
        assert server.address is not None
        _, text = tokens.create("ci", scopes=scopes, expires_in_s=None, actor="test")
        yield Door(server.address[1], tokens, text)
    finally:
        server.stop()


# --- tokens ----------------------------------------------------------------------------------------------------------


def test_a_token_carries_its_own_checksum() -> None:
    """A typing error is told from a token without asking anybody."""
    text = make(bytes(range(RANDOM_BYTES)))
    assert text.startswith("pkd_")
    assert is_well_formed(text)
    for place in range(len(text)):
        wrong = text[:place] + ("a" if text[place] != "a" else "b") + text[place + 1 :]
        assert not is_well_formed(wrong)


def test_only_the_digest_of_a_token_is_stored(ground: Ground) -> None:
    """Whoever reads the database can't call with what he finds."""
    with on_tcp(ground) as door:
        made = door.ask("POST", "/api/v1/tokens", {"name": "deploy", "scopes": ["packs:read"]})
        text = made.body["data"]["token"]
        assert made.status == 201
        with ground.registry.read() as connection:
            stored = [dict(row) for row in connection.execute(tokens_table.select()).mappings()]
        assert text not in str(stored)
        assert digest_of(text) in {row["digest"] for row in stored}
        assert text not in json.dumps(door.ask("GET", "/api/v1/tokens").body)


def test_even_loopback_needs_a_token(ground: Ground) -> None:
    """401 with a challenge; what says nothing about packs is open."""
    with on_tcp(ground) as door:
        assert door.ask("GET", "/api/v1/packs").status == 200
        refused = door.ask("GET", "/api/v1/packs", Authorization="")
        assert (refused.status, refused.body["code"]) == (401, "UNAUTHORIZED")
        assert refused.headers["www-authenticate"] == 'Bearer realm="packd"'
        assert door.ask("GET", "/api/v1/packs", Authorization="Bearer pkd_nonsense").status == 401
        assert door.ask("GET", "/livez", Authorization="").status == 200


def test_a_token_can_be_revoked_and_expires(ground: Ground) -> None:
    """From then on it is 401; the list keeps telling of it."""
    with on_tcp(ground) as door:
        made = door.ask("POST", "/api/v1/tokens", {"name": "short", "scopes": ["packs:read"]}).body["data"]
        assert door.ask("GET", "/api/v1/packs", Authorization=f"Bearer {made['token']}").status == 200
        assert door.ask("DELETE", "/api/v1/tokens/short").body["data"]["revoked_at"] is not None
        assert door.ask("GET", "/api/v1/packs", Authorization=f"Bearer {made['token']}").status == 401
        _, stale = door.tokens.create("stale", scopes=["packs:read"], expires_in_s=-1.0, actor="test")
        expired = door.ask("GET", "/api/v1/packs", Authorization=f"Bearer {stale}")
        assert (expired.status, "expired" in expired.body["detail"]) == (401, True)
        listed = {one["name"]: one for one in door.ask("GET", "/api/v1/tokens").body["items"]}
        assert listed["short"]["last_used_at"] is not None
        assert door.ask("DELETE", "/api/v1/tokens/nobody").status == 404
        assert door.ask("POST", "/api/v1/tokens", {"name": "ci", "scopes": ["admin"]}).status == 409


@pytest.mark.parametrize(
    ("method", "path", "scope"),
    [
        ("GET", "/api/v1/events", "events:read"),
        ("GET", "/api/v1/event-types/pack.registered/schema", "events:read"),
        ("GET", "/api/v1/packs", "packs:read"),
        ("GET", "/api/v1/jobs/job_1", "packs:read"),
        ("GET", "/api/v1/status", "packs:read"),
        ("GET", "/metrics", "packs:read"),
        ("POST", "/api/v1/packs/register", "packs:write"),
        ("DELETE", "/api/v1/packs/core", "packs:write"),
        ("GET", "/api/v1/webhooks/endpoints", "webhooks:manage"),
        ("GET", "/api/v1/tokens", "admin"),
        ("POST", "/api/v1/sweep", "admin"),
        ("GET", "/api/v1/config", "admin"),
        ("GET", "/docs/page.css", None),
        ("GET", "/openapi.json", None),
    ],
)
def test_every_path_has_its_scope(method: str, path: str, scope: str | None) -> None:
    """`packs:write` includes reading packs, `admin` everything."""
    assert scope_for(method, path) == scope
    if scope is not None:
        assert includes(frozenset({"admin"}), scope)
        assert includes(frozenset({scope}), scope)
        assert includes(frozenset({"packs:write"}), scope) == scope.startswith("packs:")


def test_a_token_may_only_what_its_scopes_say(ground: Ground) -> None:
    """403, and the answer names the scope that is missing."""
    with on_tcp(ground, scopes=("packs:read",)) as door:
        assert door.ask("GET", "/api/v1/packs").status == 200
        refused = door.ask("POST", "/api/v1/packs/core/retry")
        assert (refused.status, refused.body["scope"]) == (403, "packs:write")
        assert door.ask("GET", "/api/v1/events").status == 403
        assert door.ask("GET", "/api/v1/config").status == 403


def test_what_a_token_changes_bears_its_name(ground: Ground) -> None:
    """The audit and the activation say `token:ci`."""
    with on_tcp(ground) as door:
        door.ask("POST", "/api/v1/packs/core/retry")
    assert ("retry", "core", {"source": "api", "actor": "token:ci"}) in ground.asked.calls


def test_what_a_token_was_refused_bears_its_name_as_well(ground: Ground) -> None:
    """Whose it is stays known when its scopes, the page that uses it, or the size of what it sends are the trouble."""
    path = "/api/v1/packs/core/retry"
    with on_tcp(ground, most_body=1) as door:
        _, reader = door.tokens.create("reader", scopes=("packs:read",), expires_in_s=None, actor="test")
        assert door.ask("POST", path, Authorization=f"Bearer {reader}").status == 403
        assert door.ask("POST", path, Origin="https://evil.example").status == 403
        assert door.ask("POST", path, body={"a": "long one"}).status == 413
        assert door.ask("POST", path, Authorization="Bearer pkd_nobodys").status == 401

    def actors() -> list[str]:
        """Of what is on record; it is written behind the answer."""
        return [one["actor"] for one in ground.client.get("/audit", limit=10)["data"] if path in one["what"]]

    wait_until(lambda: len(actors()) == 4)
    assert sorted(actors()) == ["127.0.0.1", "token:ci", "token:ci", "token:reader"]


def test_a_token_on_the_socket_takes_away_what_it_does_not_have(ground: Ground) -> None:
    """A proxy that passes on its callers' tokens does not lend them its own rights."""
    with on_tcp(ground, scopes=("events:read",)) as door:
        assert door.ask("GET", "/api/v1/events").status == 200
    with pytest.raises(Failure) as refusal:
        Client(ground.socket).get("/packs/nowhere")
    assert refusal.value.code == Code.NOT_FOUND  # without one the socket's peer may everything


# --- requests --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("host", "status"),
    [
        ("127.0.0.1:1", 200),
        ("localhost", 200),
        ("PACKS.example:8420", 200),
        ("evil.example", 421),
        ("127.0.0.1.evil.example", 421),
    ],
)
def test_only_our_own_names_are_answered(ground: Ground, host: str, status: int) -> None:
    """A page that resolves its own name to our address gets nothing (DNS rebinding)."""
    with on_tcp(ground) as door:
        assert door.ask("GET", "/api/v1/packs", Host=host).status == status


@pytest.mark.parametrize(
    ("headers", "status"),
    [
        ({"Origin": "http://evil.example"}, 403),
        ({"Origin": "null"}, 403),
        ({"Sec_Fetch_Site": "cross-site"}, 403),
        ({"Sec_Fetch_Site": "same-site"}, 403),
        ({"Sec_Fetch_Site": "same-origin"}, 200),
        ({"Host": "localhost:1", "Origin": "http://localhost:1"}, 200),
    ],
)
def test_pages_of_other_sites_may_not_write(ground: Ground, headers: dict[str, str], status: int) -> None:
    """Nothing is changed because of a page that somebody looks at; and no answer lets one read either."""
    with on_tcp(ground) as door:
        answer = door.ask("POST", "/api/v1/packs/core/retry", **headers)
        assert answer.status == status
        assert not any(name.startswith("access-control-") for name in answer.headers)


def test_only_json_is_taken(ground: Ground) -> None:
    """A form that a page can send by itself is 415."""
    with on_tcp(ground) as door:
        for kind in ("application/x-www-form-urlencoded", "text/plain", ""):
            answer = door.ask("POST", "/api/v1/packs/register", raw=b'{"path": "/x"}', Content_Type=kind)
            assert (answer.status, answer.body["code"]) == (415, "UNSUPPORTED_MEDIA_TYPE")


def test_a_request_has_a_largest_size(ground: Ground) -> None:
    """413, by its length or by what arrives."""
    with on_tcp(ground, most_body=1000) as door:
        assert door.ask("POST", "/api/v1/packs/register", {"path": "/" * 2000}).status == 413
        connection = http.client.HTTPConnection("127.0.0.1", door.port, timeout=20)
        headers = {"Authorization": f"Bearer {door.token}", "Content-Type": "application/json"}
        connection.request("POST", "/api/v1/packs/register", iter([b"x" * 600] * 2), headers, encode_chunked=True)
        assert connection.getresponse().status == 413
        connection.close()


def test_callers_are_counted(ground: Ground) -> None:
    """Every answer says what is left; too often is 429 with the time to wait, and each caller has his own count."""
    with on_tcp(ground, rate=Rate(quota=3, window_s=600.0)) as door:
        answers = [door.ask("GET", "/api/v1/packs") for _ in range(4)]
        assert [one.status for one in answers] == [200, 200, 200, 429]
        assert answers[0].headers["ratelimit-policy"] == '"default";q=3;w=600'
        assert answers[0].headers["ratelimit"].startswith('"default";r=2;t=')
        assert 0 < int(answers[3].headers["retry-after"]) <= 201
        _, other = door.tokens.create("other", scopes=["packs:read"], expires_in_s=None, actor="test")
        assert door.ask("GET", "/api/v1/packs", Authorization=f"Bearer {other}").status == 200


def test_a_bucket_fills_evenly() -> None:
    """After the time that is asked for, one more request may be carried out, and no sooner."""
    rate, bucket = Rate(quota=2, window_s=10.0), None
    for _ in range(2):
        bucket, may = take(rate, bucket, 0.0)
        assert may
    bucket, may = take(rate, bucket, 0.0)
    assert not may
    wait_s = next_in_s(rate, bucket)
    assert not take(rate, bucket, wait_s - 0.01)[1]
    assert take(rate, bucket, wait_s + 0.01)[1]
    assert take(rate, Bucket(left=0.0, at_s=0.0), 1e6)[0].left == 1.0


# --- paths -----------------------------------------------------------------------------------------------------------


def test_only_the_socket_s_owner_has_any_path_read(ground: Ground, tmp_path: Path) -> None:
    """Root and the daemon's own user may register from anywhere; others below `sources.allow`, links followed."""
    (tmp_path / "allowed").mkdir()
    (tmp_path / "allowed" / "link").symlink_to("/etc")
    gate = Gate(roots=(tmp_path / "allowed",), owners=frozenset({1000}))
    gate.may_read(Caller(name="uid=1000 pid=1", uid=1000), Path("/etc"))
    stranger = Caller(name="token:ci", scopes=frozenset({"admin"}))
    gate.may_read(stranger, tmp_path / "allowed" / "pack")
    for path in ("/etc", tmp_path / "allowed" / ".." / "other", tmp_path / "allowed" / "link", tmp_path / "allowed2"):
        with pytest.raises(Failure) as refusal:
            gate.may_read(stranger, Path(path))
        assert refusal.value.code == Code.FORBIDDEN
    with pytest.raises(Failure):
        gate.may_read(Caller(name="uid=7 pid=1", uid=7), Path("/etc"))


def test_register_over_tcp_is_confined(ground: Ground) -> None:
    """403 before anything is read."""
    with on_tcp(ground) as door:
        assert door.ask("POST", "/api/v1/packs/register", {"path": "/etc"}).status == 403
        assert not any(name == "register" for name, *_ in ground.asked.calls)
    Client(ground.socket).post("/packs/register", {"path": "/etc"})
    wish = next(more["wish"] for name, _, more in ground.asked.calls if name == "register")
    assert wish.actor == f"uid={os.geteuid()} pid={os.getpid()}"


def test_last_use_is_written_down(ground: Ground) -> None:
    """To the minute, so that reading does not cost a write each time."""
    with on_tcp(ground) as door:
        door.ask("GET", "/api/v1/packs")
        with ground.registry.read() as connection:
            first = queries.all_tokens(connection)[0].last_used_at_s
        door.ask("GET", "/api/v1/packs")
        with ground.registry.read() as connection:
            assert queries.all_tokens(connection)[0].last_used_at_s == first
    assert first is not None
