"""The forms of answers about packs: their contents, their runs, what came of registering them."""

from __future__ import annotations

from typing import Any, ClassVar, Final, Literal

from pydantic import Field

from packd.api.documentation.forms import AT, DIGEST, Form, Moment, Problem
from packd.domain.lifecycle import Phase

_PHASES: Final = tuple(str(phase) for phase in Phase)


class Active(Form):
    number: int
    version: str | None
    digest: str
    activated_at: Moment


class Latest(Form):
    number: int
    version: str | None
    digest: str
    phase: str
    phase_at: Moment


class Candidate(Form):
    number: int
    phase: str
    waits_for: list[dict[str, str]] = Field(description="The packs that have to become active first: ref and version.")


class Tests(Form):
    status: str = Field(description="`running`, or that of the report.")
    reason: str | None = Field(description="Why they did not pass, in one word.")
    total: int | None
    passed: int | None
    failed: int | None
    skipped: int | None
    run_id: str
    revision: int
    at: Moment


class Pack(Form):
    """One pack, or a refused drop in the form of one."""

    ref: str
    label: str
    description: str
    version: str | None
    status: str = Field(
        description="active, testing, waiting, disabled, unregistered, refused, or the newest revision's phase."
    )
    path: str = Field(description="Where its content comes from.")
    drop: str | None = Field(
        description="The child of the packs directory that it is; null: registered from elsewhere."
    )
    origin: Literal["dropped", "registered"]
    active: Active | None = Field(description="What is in use.")
    latest: Latest | None = Field(description="The newest content.")
    candidate: Candidate | None = Field(description="What is on its way.")
    components: dict[str, int] = Field(description="Kind → how many, of what is in use.")
    tests: Tests | None = Field(description="The last run of the newest content.")
    problems: list[Problem]
    registered_at: Moment | None
    sample: ClassVar[dict[str, Any]] = {
        "ref": "slack", "label": "Slack", "description": "Messages and channels", "version": "1.3.0", "status": "active",
        "path": "/srv/packs/slack", "drop": "slack", "origin": "dropped",
        "active": {"number": 7, "version": "1.3.0", "digest": DIGEST, "activated_at": AT},
        "latest": {"number": 7, "version": "1.3.0", "digest": DIGEST, "phase": "active", "phase_at": AT},
        "candidate": None, "components": {"actions": 3, "sensors": 1},
        "tests": {"status": "passed", "reason": None, "total": 36, "passed": 36, "failed": 0, "skipped": 0,
                  "run_id": "run_01K9Z6T1M0VJ5R8Q4X2C7B3N6D", "revision": 7, "at": AT},
        "problems": [], "registered_at": AT,
    }  # fmt: skip


class WholePack(Pack):
    """With what its pack.yaml says."""

    fields: dict[str, Any]
    needs: list[dict[str, str]] = Field(description="The packs that what is in use needs, else the newest content.")
    sample: ClassVar[dict[str, Any]] = Pack.sample | {
        "fields": {"ref": "slack", "version": "1.3.0"}, "needs": [{"ref": "core", "range": ">=1.2,<2"}],
    }  # fmt: skip


class Revision(Form):
    """One content of one pack."""

    ref: str
    number: int
    version: str | None
    digest: str
    phase: str = Field(description=f"One of {', '.join(_PHASES)}.")
    phase_at: Moment
    created_at: Moment
    path: str
    trigger: Literal["fs", "scan", "api", "cli"] = Field(description="What made packd look.")
    source: str = Field(description="Who asked: watch, scan, api, cli, git, schedule.")
    actor: str = Field(description="The same by name.")
    origin: Literal["dropped", "registered"]
    provenance: dict[str, Any] = Field(description="Where it was fetched from: source, commit, checksum, …")
    files: int
    bytes: int
    needs: list[dict[str, str]]
    waits_for: list[dict[str, str]]
    problems: list[Problem]
    forced: bool = Field(description="It was activated although its tests failed.")
    tests_skipped: bool
    correlation_id: str
    sample: ClassVar[dict[str, Any]] = {
        "ref": "slack", "number": 7, "version": "1.3.0", "digest": DIGEST, "phase": "active", "phase_at": AT,
        "created_at": AT, "path": "/srv/packs/slack", "trigger": "fs", "source": "watch", "actor": "watch",
        "origin": "dropped", "provenance": {}, "files": 34, "bytes": 81920,
        "needs": [{"ref": "core", "range": ">=1.2,<2"}], "waits_for": [], "problems": [], "forced": False,
        "tests_skipped": False, "correlation_id": "chg_01K9Z6SZ8Q2F4H6J8K0M2N4P6R",
    }  # fmt: skip


class WholeRevision(Revision):
    """With what its pack.yaml said."""

    fields: dict[str, Any]
    sample: ClassVar[dict[str, Any]] = Revision.sample | {"fields": {"ref": "slack", "version": "1.3.0"}}


class Activation(Form):
    """One moment at which a revision became the one in use."""

    id: int
    ref: str
    number: int
    digest: str
    previous_number: int | None
    reason: Literal["registered", "updated", "rolled_back"]
    actor: str
    at: Moment
    until: Moment | None = Field(
        description="When it was over; null: it is in use, or it was put back later and nobody knows any more."
    )
    sample: ClassVar[dict[str, Any]] = {
        "id": 12, "ref": "slack", "number": 7, "digest": DIGEST, "previous_number": 6, "reason": "updated",
        "actor": "uid=1000 pid=4242", "at": AT, "until": None,
    }  # fmt: skip


class Component(Form):
    """One action, sensor, …"""

    kind: str
    ref: str
    label: str
    description: str
    path: str
    runner_type: str | None
    entry_point: str | None
    sample: ClassVar[dict[str, Any]] = {
        "kind": "action", "ref": "slack.post", "label": "Post a message", "description": "", "path": "actions/post.yaml",
        "runner_type": "python", "entry_point": "post.py",
    }  # fmt: skip


class Run(Form):
    """One run of a pack's own tests, without its cases; the counts are null while it runs."""

    id: str
    ref: str
    revision: int
    trigger_reason: Literal["install", "update", "manual", "validation"]
    source: str
    actor: str
    started_at: Moment
    finished_at: Moment | None
    status: str = Field(description="running, passed, failed, skipped, partial, error or timed_out.")
    accepted: bool | None = Field(description="Whether the revision may be used.")
    verdict: str | None = Field(description="The same in words.")
    reason: str | None
    total_tests: int | None
    passed: int | None
    failed: int | None
    skipped: int | None
    pass_rate: float | None = Field(description="passed / (total - skipped).")
    duration_ms: float | None
    flaky: list[dict[str, Any]] = Field(description="Cases with different outcomes on the same content.")
    sample: ClassVar[dict[str, Any]] = {
        "id": "run_01K9Z6T1M0VJ5R8Q4X2C7B3N6D", "ref": "slack", "revision": 7, "trigger_reason": "update",
        "source": "watch", "actor": "watch", "started_at": AT, "finished_at": AT, "status": "passed",
        "accepted": True, "verdict": "36 of 36 tests passed", "reason": None, "total_tests": 36, "passed": 36,
        "failed": 0, "skipped": 0, "pass_rate": 1.0, "duration_ms": 1234.5, "flaky": [],
    }  # fmt: skip


class WholeRun(Run):
    """With every suite and case."""

    report: dict[str, Any] | None
    sample: ClassVar[dict[str, Any]] = Run.sample | {
        "report": {
            "pack_ref": "slack",
            "pack_version": "1.3.0",
            "status": "passed",
            "total_tests": 36,
            "test_suites": [],
        }
    }


class Comparison(Form):
    """What changed between two runs."""

    ref: str
    sample: ClassVar[dict[str, Any]] = {
        "ref": "slack", "from": Run.sample, "to": Run.sample, "same_content": False, "newly_failing": [],
        "still_failing": [], "fixed": [], "newly_skipped": [], "added": [], "removed": [], "slower": [],
        "unchanged": 36, "worse": False,
    }  # fmt: skip


class Registered(Form):
    """What came of registering or installing."""

    pack: Pack
    test_result: dict[str, Any] | None = Field(description="The report; null: tests were skipped, or have not run.")
    tests_skipped: bool
    forced: bool = Field(description="It was activated although its tests failed.")
    unchanged: bool = Field(description="Exactly this was in use already.")
    revision: Revision
    sample: ClassVar[dict[str, Any]] = {
        "pack": Pack.sample, "test_result": WholeRun.sample["report"], "tests_skipped": False, "forced": False,
        "unchanged": False, "revision": Revision.sample,
    }  # fmt: skip


class Installed(Form):
    """What came of installing: as with registering, and the whole plan. With `dry_run` nothing but the plan."""

    plan: list[dict[str, Any]] = Field(description="Every pack that is needed, in the order of their registration.")
    notes: list[str] = Field(description="What was odd about the indexes, and did not matter.")
    installed: list[Revision] = Field(description="What was registered.")
    sample: ClassVar[dict[str, Any]] = Registered.sample | {"plan": [], "notes": [], "installed": [Revision.sample]}


class Offer(Form):
    """A pack that an index has, with all its versions."""

    ref: str
    version: str = Field(description="The newest.")
    versions: list[str]
    label: str
    description: str
    needs: list[dict[str, str]]
    index: str
    in_use: str | None
    sample: ClassVar[dict[str, Any]] = {
        "ref": "slack", "version": "1.3.0", "versions": ["1.3.0", "1.2.0"], "label": "Slack", "description": "",
        "needs": [], "index": "https://packs.example/index.json", "in_use": "1.2.0",
    }  # fmt: skip


class Outdated(Form):
    """A pack in use of which an index has a newer version."""

    ref: str
    sample: ClassVar[dict[str, Any]] = {"ref": "slack"}


class TakenOut(Form):
    """A pack that is not in use any more."""

    ref: str
    last: Revision | None
    drop: str | None = Field(description="What still lies in the packs directory, and is left alone.")
    needed_by: list[str] = Field(description="Packs in use that need it.")
    sample: ClassVar[dict[str, Any]] = {"ref": "slack", "last": Revision.sample, "drop": "slack", "needed_by": []}


class RolledBack(Form):
    withdrawn: Revision
    restored: Revision
    sample: ClassVar[dict[str, Any]] = {"withdrawn": Revision.sample, "restored": Revision.sample}


class Explanation(Form):
    """Why a pack or a drop is or isn't active."""

    ref: str | None
    headline: str
    lines: list[str]
    active: bool
    refused: bool
    sample: ClassVar[dict[str, Any]] = {
        "ref": "slack", "headline": "slack#7 (version 1.3.0) is active since 2026-01-31T09:15:00.118Z.",
        "lines": ["tests: 36 of 36 passed in 1.23 s"], "active": True, "refused": False,
    }  # fmt: skip
