"""The README says what is true, as far as that can be checked without reading it aloud."""

from __future__ import annotations

import http.client
import json
import re
import secrets
import subprocess
import sys
import time
from pathlib import Path

import pytest

from packd.cli.app import LazyGroup
from packd.domain.deliveries import SCHEDULE, wait_text
from packd.domain.events import example as event
from packd.domain.lifecycle import picture
from packd.notify import signature
from packd.notify.envelope import webhook_body
from tests.unit.sources_ground import free_port, wait_for_port

ROOT = Path(__file__).parents[2]
README = (ROOT / "README.md").read_text()


def test_the_lifecycle_is_drawn_from_the_table() -> None:
    """Whoever changes the table draws the picture again: it is what `picture()` returns."""
    drawn = README.partition("<!-- lifecycle -->\n```mermaid\n")[2].partition("\n```\n")[0]
    assert drawn == picture()


def test_the_test_command_is_the_one_that_ci_runs() -> None:
    """`.ci/run` takes it from the README, so there must be exactly one that it can find."""
    found = re.findall(r"^python3 -m venv .*pytest ", README, re.MULTILINE)
    assert len(found) == 1
    assert "README.md" in (ROOT / ".ci" / "run").read_text()


@pytest.mark.parametrize("command", sorted(set(re.findall(r"`packd ([a-z]+)", README))))
def test_every_command_that_is_named_exists(command: str) -> None:
    """Nobody is told to type something that is not there."""
    assert command in LazyGroup().list_commands(None)  # type: ignore[arg-type]


def test_the_schedule_is_the_one_that_is_told() -> None:
    """Consumers plan by these numbers."""
    told = ", ".join(wait_text(seconds) for seconds in SCHEDULE[1:-1])
    assert f"{told} and {wait_text(SCHEDULE[-1])}" in " ".join(README.split())


def example() -> str:
    return README.partition("```python\n")[2].partition("```")[0]


def test_the_receiver_example_is_short() -> None:
    """It is to be read, and copied."""
    assert len(example().splitlines()) <= 36


def test_the_receiver_example_does_what_is_said_of_it(tmp_path: Path) -> None:
    """Run as it stands: it verifies, drops duplicates by `webhook-id`, and sees a gap by `endpoint_seq`."""
    secret = signature.new_secret("v1", secrets.token_bytes)
    code = example().replace('"whsec_…"', repr(secret)).replace("8000", str(port := free_port()))
    (tmp_path / "receiver.py").write_text(code)
    process = subprocess.Popen(
        [sys.executable, "-u", str(tmp_path / "receiver.py")],
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
    )
    try:
        wait_for_port(port)
        told = [posted(port, secret, place) for place in (1, 2, 2, 4, 3)]
        forged = posted(port, signature.new_secret("v1", secrets.token_bytes), 5)
    finally:
        process.terminate()
        said, _ = process.communicate(timeout=30)
    assert told == [204] * 5
    assert forged == 401
    lines = said.splitlines()
    assert len([line for line in lines if line.startswith("pack.updated packs/slack")]) == 4
    assert [line for line in lines if "still on its way" in line] == ["something between 2 and 4 is still on its way"]


def posted(port: int, secret: str, place: int) -> int:
    """The status that it answers to one event."""
    body = webhook_body(json.dumps(event("pack.updated")), place, "standard")
    identity = f"evt_{place}"
    headers = signature.headers([signature.decode(secret)], identity, int(time.time()), body)
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=30)
    connection.request("POST", "/", body, headers)
    status = connection.getresponse().status
    connection.close()
    return status
