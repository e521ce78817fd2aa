"""The unit where control groups are those of version 2: suites get their own, and whoever takes too much ends alone."""

from __future__ import annotations

from typing import Any

import guest
import pytest
from packs import write_pack

pytestmark = pytest.mark.timeout(400)

CROWD = "for n in 1 2 3 4; do python3 -c 'b = bytearray(60 << 20); import time; time.sleep(15)' & done; wait"
MANY = "for n in $(seq 40); do sleep 15 & done; wait"


@pytest.fixture(scope="module")
def answers(tmp_path_factory: pytest.TempPathFactory) -> Any:
    """What became of three packs: one that is fine, one that takes memory with many processes, one that multiplies."""
    folder = tmp_path_factory.mktemp("guest")
    for ref, test in (("crowd", CROWD), ("fine", "exit 0"), ("many", MANY)):
        write_pack(folder / "packs" / ref, ref, test=test)
    try:
        return guest.run("limits_inside.py", folder, timeout_s=300)
    except guest.CanNotBoot as why:
        pytest.skip(f"NOT TESTED with control groups of version 2: {why}")


def test_the_best_rung(answers: Any) -> None:
    """Under all the unit's protections packd divides its control group: itself in a leaf, suites beside it, none left."""
    assert answers["isolation"] == "bwrap+cgroup", answers["journal"]
    assert answers["daemon_in"] == f"0::{answers['before']['ControlGroup']}/daemon"
    assert answers["groups"] == ["daemon"]
    assert answers["reports"]["fine"][0]["status"] == "passed", answers


@pytest.mark.parametrize(("ref", "limit"), [("crowd", "memory"), ("many", "processes")])
def test_a_limit_of_all_together(answers: Any, ref: str, limit: str) -> None:
    """A suite whose processes take too much, each of them little, is refused with the limit as the reason."""
    (run,) = answers["reports"][ref]
    assert (run["status"], run["reason"]) == ("failed", limit), str(run)
    told = answers["runs"][ref]
    assert (told["reason"], told["limit"]) == ("resource_limit", limit)


def test_the_daemon_lives_on(answers: Any) -> None:
    """The kernel ended something for want of memory inside the unit, and the unit is the same process as before."""
    assert "oom_kill 0" not in answers["kernel"].splitlines()
    assert answers["before"]["OOMPolicy"] == "continue"
    assert answers["after"] == answers["before"]
    assert answers["after"]["ActiveState"] == "active"
