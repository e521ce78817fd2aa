"""Judges from outside, in a virtual environment of their own: is the OpenAPI document valid, and does the API keep to it?

`python .ci/judge.py JUDGES` with packd's own Python; JUDGES is the folder with the judges' programs. The real daemon
answers on TCP with a token, with packs and endpoints in it; schemathesis asks everything that the document allows.
"""

from __future__ import annotations

import subprocess
import sys
import tempfile
import urllib.request
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
sys.path.append(str(ROOT / "tests" / "e2e"))

from daemon import Daemon  # noqa: E402
from packs import write_pack  # noqa: E402

from packd.client import Client  # noqa: E402

LIMIT_S = 115
CHECKS = "not_a_server_error,status_code_conformance,content_type_conformance,response_schema_conformance"
CONFIG = """\
[[operations]]
include-path = "/api/v1/tokens/{token_id}"
parameters = { "path.token_id" = "ci" }

[[operations]]
include-path = "/api/v1/events"
parameters = { "query.wait" = 0 }
"""


def main() -> int:
    judges = Path(sys.argv[1]).absolute()
    with tempfile.TemporaryDirectory(prefix="packd-judge-") as made:
        folder = Path(made)
        daemon = Daemon(folder, api={"listen": "127.0.0.1:0", "requests_per_minute": 1_000_000}, tests={"timeout_s": 5})
        daemon.start()
        try:
            return _judge(judges, daemon, folder)
        finally:
            daemon.stop()


def _judge(judges: Path, daemon: Daemon, folder: Path) -> int:
    client = Client(daemon.socket)
    write_pack(daemon.packs / "slack", "slack")
    daemon.wait_active("slack", "1.0.0")
    token = client.post("/tokens", {"name": "judge", "scopes": ["admin"]})["data"]["token"]
    client.post("/webhooks/endpoints", {"name": "ci", "url": "http://127.0.0.1:9/hook", "allow_private": True})
    port = next(line["port"] for line in daemon.logged() if line["event"] == "api.listening")
    document = f"http://127.0.0.1:{port}/openapi.json"
    (folder / "schemathesis.toml").write_text(CONFIG)
    with urllib.request.urlopen(document, timeout=30) as answer:
        (folder / "openapi.json").write_bytes(answer.read())
    validate = [judges / "openapi-spec-validator", "--schema", "3.1", folder / "openapi.json"]
    valid = subprocess.run(validate, check=False).returncode
    if valid:
        return valid
    command = [
        *[judges / "schemathesis", "--config-file", folder / "schemathesis.toml", "run", document],
        *["--header", f"Authorization: Bearer {token}", "--checks", CHECKS, "--phases", "examples,coverage,fuzzing"],
        # A stream never ends by itself; its refusals are held by packd's own tests.
        *[
            "--exclude-path",
            "/api/v1/events/stream",
            "--max-examples",
            "12",
            "--max-time",
            "80",
            "--workers",  # with more, Python 3.11's `ast` now and then breaks in two threads at once (CPython's gh-106905)
            "1",
            "--seed",
            "1",
        ],
        *["--request-timeout", "40", "--generation-database", "none", "--no-color"],
    ]
    judged = subprocess.run(command, check=False, timeout=LIMIT_S, cwd=folder).returncode
    for line in daemon.logged() if judged else ():
        if line["event"] in ("api.handler_broke", "api.failed"):
            sys.stderr.write(f"{line}\n")
    return judged


if __name__ == "__main__":
    sys.exit(main())
