"""The commented example, the schema and the list of what is in force speak of the same keys with the same defaults."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import jsonschema
import pytest

from packd.config import effective, load, schema

EXAMPLE = Path(__file__).parents[2] / "config" / "packd.yaml"
KEY = re.compile(r"^(\s*)#((?:- |  )?[a-z_]+:.*)$")  # prose is `# ` and a capital letter
SECRET = "whsec_MDEyMzQ1Njc4OTAxMjM0NTY3ODkwMTIzNDU2Nzg5MDE="
HOME = {"HOME": "/home/ada"}


def uncommented(*, endpoints: bool) -> str:
    """The example with every key live; of the two ways to give a secret, the file."""
    lines = [KEY.sub(r"\1\2", line) for line in EXAMPLE.read_text(encoding="utf-8").splitlines()]
    if not endpoints:
        lines = lines[: lines.index("webhooks:")]
        lines = [line for line in lines if not line.startswith("    - ") and not line.startswith("      ")]  # an index
    return "\n".join(line for line in lines if not line.strip().startswith("secret:"))


def keys_of(part: dict[str, Any], whole: dict[str, Any], before: str = "") -> set[str]:
    """Every dotted key of a schema; those of an endpoint below `webhooks`."""
    keys = set()
    for name, about in part["properties"].items():
        inner = re.search(r"#/\$defs/(\w+)", json.dumps(about))
        keys.add(before + name)
        if inner:
            keys |= keys_of(whole["$defs"][inner[1]], whole, f"{before}{name}.")
    return keys


def test_the_example_changes_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """As it is, the example loads and says the defaults."""
    monkeypatch.chdir(tmp_path)
    assert load(EXAMPLE, HOME, {}).model_dump() == load(None, HOME, {}).model_dump()


def test_its_values_are_the_defaults(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """With every key made live it still says the defaults."""
    monkeypatch.chdir(tmp_path)
    file = tmp_path / "packd.yaml"
    file.write_text(uncommented(endpoints=False), encoding="utf-8")
    assert load(file, HOME, {}).model_dump() == load(None, HOME, {}).model_dump()


def test_its_endpoint_has_the_defaults(tmp_path: Path) -> None:
    """The endpoint in it is a good one, and its optional keys show their defaults."""
    file = tmp_path / "packd.yaml"
    file.write_text(uncommented(endpoints=True), encoding="utf-8")
    (tmp_path / "chat.secret").write_text(SECRET)
    (webhook,) = load(file, HOME, {}).webhooks
    short = {"name": webhook.name, "url": webhook.url, "secret": SECRET}
    (bare,) = load(None, HOME | {"PACKD_WEBHOOKS": json.dumps([short])}, {}).webhooks
    assert webhook.model_dump(exclude={"secret", "secret_file"}) == bare.model_dump(exclude={"secret", "secret_file"})


def test_every_key_of_the_schema_stands_in_it_with_a_sentence() -> None:
    """The example is complete: no key of the schema is missing, and above each stands what it means."""
    lines = EXAMPLE.read_text(encoding="utf-8").splitlines()
    path: list[tuple[int, str]] = []
    found = set()
    for number, line in enumerate(lines):
        match = re.match(r"^(\s*)#?(- |  )?([a-z_]+):(?: |$)", line)
        if match:
            indent = len(match[1]) + len(match[2] or "")
            path = [*((at, name) for at, name in path if at < indent), (indent, match[3])]
            found.add(".".join(name for _, name in path))
            assert re.match(r"\s*# \S.*[.]$", lines[number - 1]), f"line {number + 1} has no sentence above it"
    whole = schema()
    assert found == keys_of(whole, whole)


def test_the_schema_describes_and_bounds() -> None:
    """What is not known is refused; every key has a description; numbers have bounds; null is the default."""
    whole = schema()
    for part in (whole, *whole["$defs"].values()):
        assert part["description"]
        assert part["additionalProperties"] is False
        for name, about in part["properties"].items():
            assert about.get("description") or "$ref" in json.dumps(about), name
            assert name in part.get("required", []) or {"type": "null"} in about["anyOf"], name
    assert whole["$defs"]["Watch"]["properties"]["quiet_ms"]["anyOf"][0]["minimum"] == 0
    assert whole["$defs"]["RunLimits"]["properties"]["memory_mb"]["anyOf"][0]["minimum"] == 1
    assert json.loads(json.dumps(whole)) == whole


def test_the_schema_takes_what_is_taken() -> None:
    """An editor that checks by it finds nothing wrong with an index that is written as its address."""
    validator = jsonschema.Draft202012Validator(schema())
    assert validator.is_valid({"sources": {"indexes": ["/srv/i.json", {"url": "https://packs.example/i.json"}]}})
    assert not validator.is_valid({"sources": {"indexes": [3]}})


def test_everything_in_force_is_listed(tmp_path: Path) -> None:
    """`effective` has one entry for every key of the schema that is no section, in JSON-able form."""
    whole = schema()
    keys = {key for key in keys_of(whole, whole) if not key.startswith(("webhooks.", "sources.indexes."))}
    sections = {key.rpartition(".")[0] for key in keys}
    listed = effective(load(None, HOME, {}))
    assert {key for key, _, _ in listed} == keys - sections
    assert json.dumps(listed)


def test_settings_are_light_to_load() -> None:
    """Reading the configuration brings in no other library than pydantic and yaml."""
    script = "import sys, packd.config; print([m for m in sys.argv[1:] if m in sys.modules])"
    heavy = ["sqlalchemy", "fastapi", "aiohttp", "watchdog", "structlog", "rich", "apscheduler"]
    done = subprocess.run([sys.executable, "-c", script, *heavy], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
