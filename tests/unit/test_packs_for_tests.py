"""The packs that the other tests drop are good ones, and stay so."""

from __future__ import annotations

from pathlib import Path

import pytest

from packd.validate.findings import Runtime
from packd.validate.load import check

PACKS = Path(__file__).parents[1] / "packs"


@pytest.mark.parametrize("name", ["core", "inventory", "netops"])
def test_nothing_is_wrong_with_them(name: str) -> None:
    """Validation finds no problem in them, warnings included, on the oldest Python that they promise."""
    findings = check(PACKS / name, name=name, runtime=Runtime(python="3.8.0"))
    assert findings.problems == ()
    assert findings.manifest is not None
    assert findings.manifest.testing is not None
    assert findings.manifest.testing.suites


def test_they_need_each_other_in_a_chain() -> None:
    """core needs nobody, inventory core, and netops both."""
    manifests = {name: check(PACKS / name, name=name).manifest for name in ("core", "inventory", "netops")}
    needs = {name: [str(need) for need in manifest.needs] for name, manifest in manifests.items() if manifest}
    assert needs == {"core": [], "inventory": ["core >=1.0,<2"], "netops": ["inventory ^1.0", "core"]}


def test_nothing_was_left_in_them() -> None:
    """No run has written into them: they are dropped as they are."""
    left = [path for path in PACKS.rglob("*") if path.name in ("__pycache__", "results", ".pytest_cache")]
    assert left == []
