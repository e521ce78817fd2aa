"""The views: what the API says of rows."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from packd.api.views import Standing, activation_views, drop_view, pack_view, pagination, run_view, status_of
from packd.domain.lifecycle import UNFINISHED, Phase
from packd.registry.rows import Activation, Drop, Pack, Revision, Run

PACK = Pack(ref="core", drop_name="core", path="/p/core", registered_at=None, unregistered_at=None)
REVISION = Revision(
    ref="core", number=1, digest="sha256:" + "0" * 64, version="1.0.0", phase=Phase.ACTIVE, path="/p/core", trigger="fs",
    source="watch", correlation_id="chg_1", causation_id=None, files=1, bytes=1, fields={}, needs=(), problems=(),
    waits_for=(), forced=False, tests_skipped=False, first_change_at_s=0.0, created_at="then", phase_at="now",
)  # fmt: skip
PROBLEM = {"code": "manifest.missing", "message": "There is none", "severity": "error"}


def revision(phase: Phase, number: int = 1, **changes: object) -> Revision:
    return replace(REVISION, phase=phase, number=number, **changes)  # type: ignore[arg-type]


@pytest.mark.parametrize("phase", [Phase.FAILED, Phase.REJECTED, Phase.ROLLED_BACK])
def test_status_of_a_pack_with_nothing_in_use_is_why(phase: Phase) -> None:
    """Where nothing is in use the status is the word for what became of the newest content."""
    assert status_of(Standing(pack=PACK, latest=revision(phase))) == phase


@pytest.mark.parametrize("phase", sorted(UNFINISHED))
def test_status_of_a_first_candidate(phase: Phase) -> None:
    """A candidate with nothing in use is `testing`, or `waiting` for another pack."""
    candidate = revision(phase)
    expected = "waiting" if phase == Phase.WAITING else "testing"
    assert status_of(Standing(pack=PACK, latest=candidate, candidate=candidate)) == expected


@pytest.mark.parametrize("phase", [Phase.FAILED, Phase.REJECTED, Phase.SNAPSHOTTED])
def test_status_is_active_while_anything_is_in_use(phase: Phase) -> None:
    """Newer content that is refused or on its way changes `latest.phase`, not the status."""
    view = pack_view(Standing(pack=PACK, active=revision(Phase.ACTIVE), latest=revision(phase, 2)))
    assert (view["status"], view["latest"]["phase"], view["active"]["number"]) == ("active", phase, 1)


def test_status_of_what_was_removed() -> None:
    """A pack that was unregistered says so, whatever its revisions say."""
    gone = replace(PACK, unregistered_at="then")
    assert status_of(Standing(pack=gone, latest=revision(Phase.SUPERSEDED))) == "unregistered"


def activation(number: int, at: str, previous: int | None = None) -> Activation:
    return Activation(id=int(at), ref="core", number=number, digest="", previous_number=previous, reason="updated",
                      actor="watch", at=at)  # fmt: skip


def untils(history: list[Activation], *revisions: Revision) -> list[str | None]:
    return [view["until"] for view in activation_views(history, revisions)]


def test_an_activation_is_over_when_the_next_one_begins() -> None:
    """Or already when its revision went out of use, as that of a pack that was removed; until then there is no end."""
    one, two, again = activation(1, "1"), activation(2, "3", previous=1), activation(1, "5", previous=2)
    active, withdrawn = revision(Phase.ACTIVE, 1), revision(Phase.ROLLED_BACK, 2, phase_at="5")
    assert untils([again, two, one], active, withdrawn) == [None, "5", "3"]
    gone = revision(Phase.SUPERSEDED, 1, phase_at="7")
    assert untils([again, two, one], gone, withdrawn) == ["7", "5", "3"]


def test_an_end_that_nobody_knows_is_not_made_up() -> None:
    """Between two uses of the same revision its pack was disabled, and its revision only knows the latest end."""
    assert untils([activation(1, "5"), activation(1, "1")], revision(Phase.ACTIVE, 1)) == [None, None]
    assert untils([activation(2, "5"), activation(1, "1")], revision(Phase.ACTIVE, 2),
                  revision(Phase.SUPERSEDED, 1, phase_at="3")) == [None, "3"]  # fmt: skip


def test_problems_of_the_drop_come_first() -> None:
    """What lies in the folder now matters more than what the newest revision met."""
    older = {**PROBLEM, "code": "older"}
    standing = Standing(
        pack=PACK,
        latest=revision(Phase.REJECTED, problems=(older,)),
        drop=Drop(name="core", kind="folder", problems=(PROBLEM,)),
    )
    assert [problem["code"] for problem in pack_view(standing)["problems"]] == ["manifest.missing", "older"]
    assert status_of(standing) == "refused"


@pytest.mark.parametrize("label", [None, 7, ["a"], {}])
def test_a_label_that_is_no_text_is_not_shown(label: object) -> None:
    """What pack.yaml says may be anything; the view's label is text all the same."""
    view = pack_view(Standing(pack=PACK, latest=revision(Phase.REJECTED, fields={"label": label})))
    assert view["label"] == "core"


def test_components_are_counted_by_their_plurals() -> None:
    """Kinds are counted under the names of their folders."""
    standing = Standing(pack=PACK, active=REVISION, components={"action": 2, "policy": 1, "permission_set": 1})
    assert pack_view(standing)["components"] == {"actions": 2, "permission_sets": 1, "policies": 1}


def test_a_drop_has_the_form_of_a_pack() -> None:
    """Whoever reads a list needs to know one form only."""
    pack = pack_view(Standing(pack=PACK))
    drop = drop_view(Drop(name="My Pack", kind="folder", problems=(PROBLEM,)), Path("/p"))
    assert drop.keys() == pack.keys()
    assert (drop["ref"], drop["status"], drop["path"]) == ("My Pack", "refused", "/p/My Pack")


def test_a_run_under_way_has_no_counts() -> None:
    """While it runs the status is `running` and every count is null."""
    run = Run(id="run_1", ref="core", number=1, trigger_reason="install", source="watch", actor="watch",
              started_at="now", finished_at=None, status=None, accepted=None, verdict=None, report=None)  # fmt: skip
    view = run_view(run)
    assert view["status"] == "running"
    assert {view[key] for key in ("total_tests", "passed", "failed", "skipped", "pass_rate", "duration_ms")} == {None}


@pytest.mark.parametrize(
    ("page", "total", "expected"),
    [(1, 0, (0, False, False)), (1, 10, (1, False, False)), (1, 11, (2, False, True)), (2, 11, (2, True, False)),
     (9, 11, (2, True, False))],
)  # fmt: skip
def test_pagination(page: int, total: int, expected: tuple[int, bool, bool]) -> None:
    """Pages count from 1; behind the last one there is a previous and no next."""
    view = pagination(page, 10, total)
    assert (view["total_pages"], view["has_previous"], view["has_next"]) == expected
