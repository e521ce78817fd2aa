"""What `health:` in pack.yaml may say."""

from __future__ import annotations

from typing import Any

import pytest

from packd.domain.probation import HealthCheck, health_check


def test_both_forms() -> None:
    """A command line alone, or with its times; none is none."""
    assert health_check({}) is None
    assert health_check({"health": "./ok.sh"}) == HealthCheck(command="./ok.sh")
    assert health_check({"health": {"command": "x", "every": 5, "timeout": 1.5}}) == HealthCheck(
        command="x", every_s=5.0, timeout_s=1.5
    )


@pytest.mark.parametrize("said", [7, "", {"every": 5}, {"command": "x", "every": 0}, {"command": "x", "timeout": True}])
def test_mistakes(said: Any) -> None:
    """What can't be used is said in a sentence that names the key."""
    with pytest.raises(ValueError, match="health"):
        health_check({"health": said})
