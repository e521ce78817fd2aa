"""The history of tests over HTTP: filters, pages, comparing, flaky cases."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from dataclasses import replace

import pytest
from click.testing import CliRunner, Result

from packd.cli.app import cli
from packd.cli.moments import since
from packd.domain.failures import Code, Failure
from packd.domain.moments import rfc3339, stored_form
from packd.domain.reports import Case
from tests.unit.doors_ground import DIGESTS, NOW_S, Ground, made_ground, report

Packd = Callable[..., Result]


@pytest.fixture(scope="module")
def ground() -> Iterator[Ground]:
    """`core` #1 passed, #2 (in use) too, #3 failed; `inventory` passed and failed on the same content."""
    with made_ground() as made:
        made.activate("core", 1)
        made.add_run("core", 1, report())
        made.activate("core", 2)
        made.add_run("core", 2, report())
        made.fail("core", 3)
        made.activate("inventory", 4)
        for failed in (False, True, False):
            made.add_run("inventory", 4, report("inventory", failed=failed))
        made.activate("fresh", 5)
        made.add_run("fresh", 5)
        yield made


@pytest.fixture
def packd(ground: Ground) -> Packd:
    def run(*arguments: str) -> Result:
        return CliRunner().invoke(cli, arguments, env={"PACKD_SOCKET": str(ground.socket)})

    return run


def revisions(ground: Ground, path: str, **asked: str) -> list[int]:
    return [run["revision"] for run in ground.client.get(path, **asked)["items"]]


@pytest.mark.parametrize(
    ("asked", "expected"),
    [
        ({}, [3, 2, 1]),
        ({"status": "passed"}, [2, 1]),
        ({"status": "partial"}, [3]),
        ({"status": "running"}, []),
        ({"trigger": "install"}, [3, 2, 1]),
        ({"trigger": "manual"}, []),
        ({"since": rfc3339(NOW_S + 2)}, [3, 2]),
        ({"since": "2026-01-31T11:15:03+02:00"}, [3]),
        ({"since": "2999-01-01"}, []),
        ({"status": "passed", "page_size": "1", "page": "2"}, [1]),
    ],
)
def test_runs_are_chosen_from(ground: Ground, asked: dict[str, str], expected: list[int]) -> None:
    """Each filter by itself, and all of them before the page is cut."""
    assert revisions(ground, "/packs/core/tests", **asked) == expected


def test_several_statuses_are_either(ground: Ground) -> None:
    """A repeated filter widens, different ones narrow."""
    items = ground.client.get("/packs/core/tests", status=["passed", "partial"], trigger=["install", "update"])["items"]
    assert [run["status"] for run in items] == ["partial", "passed", "passed"]


def test_the_runs_of_all_packs(ground: Ground) -> None:
    """`/packs/tests` has them all, one that is under way too, newest first."""
    answer = ground.client.get("/packs/tests")
    assert answer["pagination"]["total_items"] == 7
    assert answer["items"][0]["ref"] == "fresh"
    assert ground.client.get("/packs/tests", status="running")["items"][0]["ref"] == "fresh"


@pytest.mark.parametrize(
    "asked", [{"status": "green"}, {"trigger": "mood"}, {"since": "yesterday"}, {"since": "9" * 40}]
)
def test_a_filter_that_means_nothing_is_refused(ground: Ground, asked: dict[str, str]) -> None:
    """Refused with its name, instead of an empty list."""
    with pytest.raises(Failure) as refused:
        ground.client.get("/packs/core/tests", **asked)
    assert refused.value.code in (Code.BAD_REQUEST, Code.UNPROCESSABLE_ENTITY)
    assert next(iter(asked)) in refused.value.sentence


def test_a_page_far_behind_the_end(ground: Ground) -> None:
    """Any page number is answered, however large."""
    assert ground.client.get("/packs/core/tests", page=10**30)["items"] == []


def test_compare_goes_by_revisions_and_runs(ground: Ground) -> None:
    """Revisions and runs can be named; without names it is the last run and the last one of other content before it."""
    newest = ground.client.get("/packs/core/compare")["data"]
    assert (newest["from"]["revision"], newest["to"]["revision"]) == (2, 3)
    assert [change["name"] for change in newest["newly_failing"]] == ["test_gone"]
    assert newest["worse"] is True
    assert newest["same_content"] is False
    assert "AssertionError" in newest["newly_failing"][0]["error_message"]
    back = ground.client.get("/packs/core/compare", **{"from": "3", "to": "core#1"})["data"]
    assert [change["name"] for change in back["fixed"]] == ["test_gone"]
    named = ground.client.get("/packs/core/compare", **{"from": back["to"]["id"], "to": back["from"]["id"]})["data"]
    assert named["newly_failing"] == newest["newly_failing"]


def test_compare_of_one_content_says_so(ground: Ground) -> None:
    """Where there is no other content the runs of the same are compared."""
    said = ground.client.get("/packs/inventory/compare")["data"]
    assert said["same_content"] is True
    assert [change["name"] for change in said["fixed"]] == ["test_gone"]


@pytest.mark.parametrize(
    ("ref", "asked", "code", "piece"),
    [
        ("nobody", {}, Code.NOT_FOUND, "no pack is called"),
        ("core", {"from": "99"}, Code.NOT_FOUND, "no revision 99"),
        ("core", {"from": "9" * 30}, Code.NOT_FOUND, "packd tests core"),
        ("core", {"to": "run_x"}, Code.NOT_FOUND, "no run run_x"),
        ("fresh", {}, Code.CONFLICT, "packd test fresh"),
        ("fresh", {"to": "5"}, Code.CONFLICT, "have no report"),
    ],
)
def test_what_can_not_be_compared(ground: Ground, ref: str, asked: dict[str, str], code: Code, piece: str) -> None:
    """What is not there is named, with the command that shows what is."""
    with pytest.raises(Failure) as refused:
        ground.client.get(f"/packs/{ref}/compare", **asked)
    assert refused.value.code == code
    assert piece in refused.value.sentence


def test_flaky_cases_are_marked(ground: Ground) -> None:
    """Passed and failed on the same content: told with every run of it, with the pack, and nowhere else."""
    flaky = [{"suite": "python", "name": "test_gone", "passed": 2, "failed": 1}]
    assert [run["flaky"] for run in ground.client.get("/packs/inventory/tests")["items"]] == [flaky] * 3
    assert ground.client.get("/packs/inventory/tests/latest")["data"]["flaky"] == flaky
    assert ground.client.get("/packs/inventory")["data"]["flaky"] == flaky
    assert ground.client.get("/packs/core")["data"]["flaky"] == []


def test_flaky_over_two_revisions_of_one_content() -> None:
    """The digest is the identity: runs of two revisions with the same content count together."""
    with made_ground() as ground:
        ground.activate("core", 1)
        ground.add_run("core", 1, report())
        ground.add_revision("core", 2, digest=DIGESTS[1])
        ground.add_run("core", 2, report(failed=True))
        assert [one["name"] for one in ground.client.get("/packs/core")["data"]["flaky"]] == ["test_gone"]


def test_the_command_compares(packd: Packd) -> None:
    """Kinds as headings, the cases below them, and one line at the end; 1 when something fails that did not."""
    worse = packd("compare", "core")
    assert worse.exit_code == 1
    for piece in ("from core#2", "to   core#3", "Newly failing (1)", "✗ python: test_gone", "AssertionError: 'a' != 'b'",
                  "worse: 1 case that did not fail before; 3 cases unchanged"):  # fmt: skip
        assert piece in worse.stdout, piece
    better = packd("compare", "core", "3", "2")
    assert better.exit_code == 0
    assert "Fixed (1)" in better.stdout
    assert json.loads(packd("compare", "core", "--json").stdout)["worse"] is True
    assert "the same content" in packd("compare", "inventory").stderr


def test_slow_cases_show_both_times() -> None:
    """What got slower is listed with before and after."""
    quick = report("slow")
    slow = replace(quick, test_suites=(replace(quick.test_suites[0], test_cases=(
        Case(name="shell", status="passed", duration_ms=1500.0),)), quick.test_suites[1]))  # fmt: skip
    with made_ground() as ground:
        for number, made in enumerate((quick, slow), start=1):
            ground.activate("slow", number)
            ground.add_run("slow", number, made)
        said = CliRunner().invoke(cli, ["compare", "slow", "--socket", str(ground.socket)])
    assert "! shell: shell  8 ms → 1.50 s" in said.stdout


def test_the_command_lists_runs(packd: Packd) -> None:
    """Of one pack or of all, chosen by status and time; flaky ones are marked."""
    assert "1 flaky case" in packd("tests", "inventory").stdout
    assert "flaky       python: test_gone passed twice and failed once" in packd("show", "inventory").stdout
    assert "flaky python: test_gone" in packd("tests", "inventory", "--run", "latest").stdout
    header, *rows = packd("tests", "--status", "partial").stdout.splitlines()
    assert "PACK" in header
    assert {row.split()[1] for row in rows} == {"core", "inventory"}
    assert packd("tests", "core", "--since", "1h").stderr == "no run fits\n"
    assert packd("tests", "core", "--since", "soon").exit_code == 2
    assert packd("tests", "--run", "latest").exit_code == 2


def test_moments_as_people_type_them() -> None:
    """`2h`, a date, a date with a time and offset; all become UTC."""
    assert since("2h", NOW_S) == rfc3339(NOW_S - 7200)
    assert since("3 d", NOW_S) == rfc3339(NOW_S - 3 * 86400)
    assert since("2026-01-31T10:00:00+02:00", NOW_S) == "2026-01-31T08:00:00.000Z"
    assert stored_form("2026-01-31") == "2026-01-31T00:00:00.000Z"
