"""`packd webhook`: what its commands print, ask for and exit with, over a real socket."""

from __future__ import annotations

import json
import re
import threading
import time
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result
from cloudevents.core.bindings.http import HTTPMessage, from_http_event
from standardwebhooks.webhooks import Webhook

from packd.cli.app import cli
from packd.domain.deliveries import Outcome
from packd.domain.events import EVENT_TYPES, parse
from packd.notify import signature
from tests.unit.doors_ground import Ground, made_ground

Packd = Callable[..., Result]
SECRET = "whsec_" + "QUJD" * 11


@pytest.fixture
def ground() -> Iterator[Ground]:
    with made_ground() as made:
        yield made


@pytest.fixture
def packd(ground: Ground) -> Packd:
    def run(*arguments: str, **more: Any) -> Result:
        result = CliRunner().invoke(cli, arguments, env={"PACKD_SOCKET": str(ground.socket)}, **more)
        assert "Traceback" not in result.output, result.output
        return result

    return run


def done(result: Result) -> Result:
    assert result.exit_code == 0, result.output
    return result


def test_a_private_address_is_refused_with_the_option_that_allows_it(packd: Packd) -> None:
    """What the API calls a field is an option here, for `add` and for `set`."""
    refused = packd("webhook", "add", "ci", "http://127.0.0.1:9/in")
    assert (refused.exit_code, "with --allow-private" in refused.stderr) == (2, True)
    done(packd("webhook", "add", "ci", "http://127.0.0.1:9/in", "--allow-private"))
    assert "with --allow-private" in packd("webhook", "set", "ci", "--no-allow-private").stderr


def test_from_nothing_to_a_delivery_in_three_commands(packd: Packd, ground: Ground) -> None:
    """The secret stands alone on stdout; what waits and what arrived is there to be seen."""
    assert "no endpoints yet" in done(packd("webhook", "list")).stderr
    added = done(packd("webhook", "add", "ci", "https://ci.example/in", "--type", "pack.*", "--header", "X-A: abcdef"))
    secret = next(line for line in added.stdout.splitlines() if line.startswith("whsec_"))
    assert len(signature.decode_secret(secret)) == 32
    assert ground.dispatcher.wait_empty(10)
    assert "enabled" in done(packd("webhook", "list")).stdout
    shown = done(packd("webhook", "show", "ci")).stdout
    assert "X-A" in shown
    assert "abcdef" not in shown
    assert secret not in shown
    assert "webhook.test" in done(packd("webhook", "deliveries", "--endpoint", "ci")).stdout


def test_a_test_exits_with_what_came_of_it(packd: Packd, ground: Ground) -> None:
    """0 when it arrived, 1 when not, and says why."""
    done(packd("webhook", "add", "ci", "https://ci.example/in"))
    assert "204" in done(packd("webhook", "test", "ci")).stdout
    ground.postman.answer = Outcome(error="connection refused by ci.example:443")
    refused = packd("webhook", "test", "ci")
    assert (refused.exit_code, "connection refused" in refused.stdout) == (1, True)
    assert packd("webhook", "test", "nobody").exit_code == 1


def test_an_endpoint_is_changed_silenced_and_removed(packd: Packd, ground: Ground) -> None:
    """Each command says what it did."""
    done(packd("webhook", "add", "ci", "https://ci.example/in"))
    done(packd("webhook", "set", "ci", "--ordering", "none", "--rate", "5", "--url", "https://new.example/"))
    one = json.loads(done(packd("webhook", "show", "ci", "--json")).stdout)
    assert (one["ordering"], one["rate"], one["url"]) == ("none", 5, "https://new.example/")
    assert packd("webhook", "set", "ci").exit_code == 2
    assert "held" in done(packd("webhook", "disable", "ci")).stdout
    assert "disabled" in done(packd("webhook", "list")).stdout
    done(packd("webhook", "enable", "ci"))
    rotated = done(packd("webhook", "rotate", "ci", "--signature", "v1a")).stdout
    assert "whsk_" in rotated
    assert "whpk_" in rotated
    done(packd("webhook", "remove", "ci"))
    assert packd("webhook", "show", "ci").exit_code == 1


def test_a_secret_is_taken_from_a_file_and_not_shown(packd: Packd, ground: Ground, tmp_path: Path) -> None:
    """Arguments are seen by everybody on the machine, so there is no option that takes it."""
    (tmp_path / "secret").write_text(f"{SECRET}\n")
    added = done(packd("webhook", "add", "ci", "https://ci.example/in", "--secret-file", str(tmp_path / "secret")))
    assert "whsec_" not in added.output
    with ground.registry.read() as connection:
        from packd.registry import queries

        endpoint = queries.endpoint(connection, "ci")
    assert endpoint is not None
    assert endpoint.secret == SECRET


def test_deliveries_are_sent_again_by_number_by_event_and_since(packd: Packd, ground: Ground) -> None:
    """`resend`, `recover`, `replay`; and the attempts of one are shown with what was sent and answered."""
    done(packd("webhook", "add", "ci", "https://ci.example/in"))
    assert ground.dispatcher.wait_empty(10)
    ground.postman.answer = Outcome(
        status=422, directive="abort-message", request_head="POST /in", response_head="HTTP 422"
    )
    ground.say("core")
    assert ground.dispatcher.wait_empty(10)
    (one,) = json.loads(done(packd("webhook", "deliveries", "--pack", "core", "--json")).stdout)
    assert one["state"] == "aborted"
    shown = done(packd("webhook", "deliveries", str(one["id"]))).stdout
    assert "attempt 1" in shown
    assert "HTTP 422" in shown
    ground.postman.answer = Outcome(status=204)
    for command in (("resend", str(one["id"])), ("resend", one["event_id"])):
        assert "leaves again" in done(packd("webhook", *command)).stdout
        assert ground.dispatcher.wait_empty(10)
    assert "0 deliveries" in done(packd("webhook", "recover", "ci", "--since", "2020-01-01")).stdout
    assert "2 deliveries" in done(packd("webhook", "replay", "ci", "--since", "2020-01-01")).stdout
    assert packd("webhook", "recover", "ci").exit_code == 2
    assert packd("webhook", "recover", "ci", "--since", "soon").exit_code == 2
    assert packd("webhook", "resend", "evt_nothing").exit_code == 1


# --- for those who write receivers -----------------------------------------------------------------------------------


@pytest.mark.parametrize("form", ["standard", "cloudevents"])
def test_every_type_has_an_example_that_is_one(packd: Packd, form: str) -> None:
    """Needs no daemon; the standard ones are what `parse` takes, the others what the CloudEvents library takes."""
    bodies = json.loads(done(packd("webhook", "examples", "--all", "--format", form)).stdout)
    assert list(bodies) == list(EVENT_TYPES)
    for name, body in bodies.items():
        text = json.dumps(body)
        if form == "standard":
            assert parse(text).type == name
            assert body["endpoint_seq"] == 42
        else:
            message = HTTPMessage(headers={"content-type": "application/cloudevents+json"}, body=text.encode())
            event = from_http_event(message)
            assert event.get_type() == name
            assert event.get_extension("endpointseq") == 42
    assert "pack.rolled_back" in done(packd("webhook", "examples")).stdout
    listed = json.loads(done(packd("webhook", "examples", "--json")).stdout)
    assert {"type": "pack.changed", "description": "The content of a known pack is another one."} in listed
    assert json.loads(done(packd("webhook", "examples", "pack.updated", "--schema")).stdout)["title"] == "pack.updated"
    assert packd("webhook", "examples", "pack.nonsense").exit_code == 1


@pytest.mark.parametrize("scheme", ["v1", "v1a"])
def test_verify_says_why(packd: Packd, tmp_path: Path, scheme: Any) -> None:
    """0 for what can be trusted, 1 with the reason for what can't, 2 when something is missing."""
    secret = signature.new_secret(scheme, lambda count: bytes(range(count)))
    body, now = b'{"type":"webhook.test"}', int(time.time())
    headers = signature.headers([signature.decode(secret)], "evt_1", now, body)
    (tmp_path / "secret").write_text(signature.public_key(secret) or secret)
    (tmp_path / "body").write_bytes(body)
    (tmp_path / "headers").write_text(
        "HTTP/1.1 POST\n" + "\n".join(f"{name}: {value}" for name, value in headers.items())
    )
    known = ("webhook", "verify", str(tmp_path / "body"), "--secret-file", str(tmp_path / "secret"))
    assert "can be trusted" in done(packd(*known, "--headers", str(tmp_path / "headers"))).stdout
    old = packd(*known, "--headers", str(tmp_path / "headers"), "--at", str(now + 600))
    assert (old.exit_code, "600 s ago" in old.stdout) == (1, True)
    bare = packd(*known, "-H", "webhook-id: evt_1", "--json")
    assert (bare.exit_code, json.loads(bare.stdout)["code"]) == (1, "missing_header")
    (tmp_path / "body").write_bytes(body + b" ")
    assert packd(*known, "--headers", str(tmp_path / "headers")).exit_code == 1
    assert packd("webhook", "verify", str(tmp_path / "body")).exit_code == 2


def test_listen_forwards_events_signed(ground: Ground, tmp_path: Path) -> None:
    """What happens is POSTed to a local address, as a receiver would get it; what fails is said, and the next one goes on."""
    came: list[tuple[dict[str, str], bytes]] = []
    both = threading.Event()

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            came.append((dict(self.headers.items()), self.rfile.read(int(self.headers["content-length"]))))
            self.send_response(500 if len(came) == 1 else 204)
            self.send_header("content-length", "0")
            self.end_headers()
            if len(came) == 2:
                both.set()

        def log_message(self, *_: Any) -> None:
            """Quiet."""

    server = HTTPServer(("127.0.0.1", 0), Handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    ground.say("core", 2)
    (tmp_path / "secret").write_text(SECRET)
    process = listening(ground, server.server_address[1], tmp_path / "secret")
    try:
        assert both.wait(30)
    finally:
        process.send_signal(2)
        out, err = process.communicate(timeout=30)
        server.shutdown()
        server.server_close()
    assert process.returncode == 0, err
    assert [
        event["endpoint_seq"] for event in (Webhook(SECRET).verify(body, lowered(head)) for head, body in came)
    ] == [1, 2]
    first = out.splitlines()[0]  # the second may have been interrupted
    assert re.fullmatch(r" +1  .*\d  pack\.test_failed  core  answered 500 Internal Server Error  \d+ ms", first)


def listening(ground: Ground, port: int, secret: Path) -> Any:
    import subprocess
    import sys

    return subprocess.Popen(
        [sys.executable, "-m", "packd", "webhook", "listen", "--forward", f"http://127.0.0.1:{port}/in",
         "--after", "0", "--secret-file", str(secret), "--socket", str(ground.socket)],
        stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
    )  # fmt: skip


def lowered(headers: dict[str, str]) -> dict[str, str]:
    return {name.lower(): value for name, value in headers.items()}


def test_a_mistyped_command_gets_the_nearest(packd: Packd) -> None:
    """Also below a group of commands."""
    result = packd("webhook", "delivery")
    assert (result.exit_code, "did you mean" in result.output) == (2, True)
