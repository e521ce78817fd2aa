"""The real daemon on TCP, and what it has emitted against what it publishes."""

from __future__ import annotations

import contextlib
import http.client
import json
import os
import resource
import socket
import subprocess
import sys
from pathlib import Path
from typing import Any

import jsonschema
from daemon import Daemon
from packs import write_pack
from receiver import SECRET, Receiver

from packd.client import Client
from packd.domain.failures import Failure


def ask(port: int, method: str, path: str, body: Any = None, **headers: str) -> tuple[int, Any]:
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=30)
    kind = {"Content-Type": "application/json"} if body is not None else {}
    connection.request(method, path, json.dumps(body) if body is not None else None, {**kind, **headers})
    response = connection.getresponse()
    text = response.read()
    connection.close()
    return response.status, json.loads(text) if text else None


def test_tcp_needs_a_token_and_the_socket_none(tmp_path: Path) -> None:
    """`--listen` opens TCP; what a token's bearer registers is confined to `sources.allow`, and bears the token's name."""
    daemon = Daemon(tmp_path, sources={"allow": [str(tmp_path / "allowed")]})
    daemon.start("--listen", "127.0.0.1:0")
    try:
        port = next(line["port"] for line in daemon.logged() if line["event"] == "api.listening")
        assert ask(port, "GET", "/api/v1/packs")[0] == 401
        wish = {"name": "ci", "scopes": ["packs:write"]}
        token = Client(daemon.socket).post("/tokens", wish)["data"]["token"]
        bearer = {"Authorization": f"Bearer {token}"}
        assert ask(port, "GET", "/api/v1/packs", **bearer)[0] == 200
        outside = {"path": str(write_pack(tmp_path / "outside", "outside"))}
        status, refused = ask(port, "POST", "/api/v1/packs/register", outside, **bearer)
        assert (status, refused["code"]) == (403, "FORBIDDEN")
        inside = {"path": str(write_pack(tmp_path / "allowed" / "inside", "inside"))}
        assert ask(port, "POST", "/api/v1/packs/register", inside, **bearer)[0] == 201
        activations = Client(daemon.socket).get("/packs/inside/activations")["items"]
        assert activations[0]["actor"] == "token:ci"
        assert token not in daemon.log.read_text()
    finally:
        assert daemon.stop() == 0


def test_strangers_are_told_whether_and_not_why(tmp_path: Path) -> None:
    """Load balancers ask without a token: they need the status, and no names of folders."""
    daemon = Daemon(tmp_path)
    daemon.start("--listen", "127.0.0.1:0")
    try:
        port = next(line["port"] for line in daemon.logged() if line["event"] == "api.listening")
        token = Client(daemon.socket).post("/tokens", {"name": "ci", "scopes": ["packs:read"]})["data"]["token"]
        bearer = {"Authorization": f"Bearer {token}"}
        daemon.packs.rename(tmp_path / "elsewhere")
        daemon.wait_until(lambda: ask(port, "GET", "/healthz", **bearer)[0] == 503, "the loss to be noticed")
        assert str(daemon.packs) in json.dumps(ask(port, "GET", "/healthz", **bearer))
        assert ask(port, "GET", "/readyz") == (200, {"data": {"status": "ready", "warnings": []}})
    finally:
        assert daemon.stop() == 0


def test_an_address_that_is_taken_is_a_sentence(tmp_path: Path) -> None:
    """Exit status 2, the address and the way out; no traceback."""
    import socket

    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        address = f"127.0.0.1:{taken.getsockname()[1]}"
        command = [
            sys.executable,
            "-m",
            "packd",
            "run",
            str(tmp_path / "packs"),
            "--state-dir",
            str(tmp_path / "state"),
        ]
        ended = subprocess.run(
            [*command, "--listen", address], capture_output=True, text=True, timeout=60, check=False, env=os.environ
        )
    assert ended.returncode == 2
    assert f"can't listen on {address}" in ended.stderr
    assert "Traceback" not in ended.stderr


def test_every_event_is_as_its_schema_says(tmp_path: Path) -> None:
    """What a daemon emits in all the ways it knows, from the feed and as webhooks, by the schemas that it publishes."""
    receiver = Receiver()
    daemon = Daemon(tmp_path, webhooks=[{"name": "test", "url": receiver.url, "secret": SECRET, "types": ["*"]}])
    daemon.start()
    client = Client(daemon.socket)
    try:
        _do_everything(daemon, client, tmp_path)
        schemas = {
            one["type"]: client.get(f"/event-types/{one['type']}/schema") for one in client.get("/event-types")["items"]
        }
        events = client.get("/events", limit=500)["items"]
        for event in [*events, *(one.event for one in receiver.received)]:
            jsonschema.validate(event, schemas[event["type"]])
        assert {event["type"] for event in events} >= {
            "daemon.started", "pack.discovered", "pack.changed", "pack.validation_failed", "pack.waiting",
            "pack.test_started", "pack.test_passed", "pack.test_failed", "pack.registered", "pack.updated",
            "pack.rolled_back", "pack.unregistered", "webhook.test", "webhook.endpoint_disabled",
            "webhook.endpoint_enabled",
        }  # fmt: skip
    finally:
        assert daemon.stop() == 0
        receiver.close()


def _do_everything(daemon: Daemon, client: Client, folder: Path) -> None:
    work = folder / "work"
    client.post("/packs/register", {"path": str(write_pack(work / "one", "one"))})
    client.post("/packs/register", {"path": str(write_pack(work / "one", "one", "2.0.0")), "replace": True})
    bad = write_pack(work / "bad", "bad", test="exit 1")
    for path, wish in (
        (bad, {}),
        (bad, {"force": True}),
        (write_pack(work / "none", "none", extra="sensors: 7\n"), {}),
    ):
        with contextlib.suppress(Failure):
            client.post("/packs/register", {"path": str(path), **wish})
    (write_pack(work / "odd", "odd") / "pack.yaml").write_text("ref: odd\nversion: 1.0\n")
    write_pack(daemon.packs / "needy", "needy", needs='"absent@^9"')
    daemon.wait_until(lambda: bool(client.get("/packs", status="waiting")["items"]), "the pack to wait")
    with contextlib.suppress(Failure):
        client.post("/packs/register", {"path": str(work / "odd")})
    client.post("/packs/one/rollback", {})
    client.post("/packs/one/test")
    client.post("/packs/one/disable")
    client.post("/packs/one/enable")
    client.delete("/packs/one")
    client.post("/webhooks/endpoints", {"name": "other", "url": "http://127.0.0.1:9/", "allow_private": True})
    client.post("/webhooks/endpoints/other/disable")
    client.post("/webhooks/endpoints/other/enable")


def test_whoever_connects_and_asks_nothing_keeps_nobody_from_anything(tmp_path: Path) -> None:
    """Without a token, more connections than the daemon has descriptors: drops come into use all the same."""
    daemon = Daemon(tmp_path)
    daemon.start("--listen", "127.0.0.1:0")
    try:
        assert daemon.process is not None
        resource.prlimit(daemon.process.pid, resource.RLIMIT_NOFILE, (512, 512))
        port = next(line["port"] for line in daemon.logged() if line["event"] == "api.listening")
        with contextlib.ExitStack() as crowd:
            for _ in range(600):
                crowd.enter_context(socket.create_connection(("127.0.0.1", port), timeout=60))
            write_pack(daemon.packs / "core", "core")
            daemon.wait_active("core", "1.0.0")
        assert [line for line in daemon.logged() if line["event"] == "library.warned"] == []
        assert [line["most"] for line in daemon.logged() if line["event"] == "api.crowded"][:1] == [128]
    finally:
        daemon.stop()
