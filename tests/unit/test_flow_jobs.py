"""Jobs: work that goes on behind the answer to a request, over a real registry."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from typing import Any

import pytest

from packd.domain.failures import Code, Failure
from packd.flow import jobs as jobs_module
from packd.flow.clock import Clock
from packd.flow.jobs import Jobs, Progress
from packd.registry import queries
from packd.registry.full_disk import DiskFull
from tests.unit.doors_ground import Ground, made_ground


@pytest.fixture(scope="module")
def ground() -> Iterator[Ground]:
    """Every test has jobs of its own in it."""
    with made_ground() as made:
        made.activate("core", 1)
        made.add_run("core", 1)
        yield made


@pytest.fixture
def jobs(ground: Ground) -> Jobs:
    return Jobs(registry=ground.registry, clock=Clock())


class Later(Clock):
    """So many seconds ahead."""

    ahead_s = 0.0

    def now(self) -> float:
        return super().now() + self.ahead_s


def ended(jobs: Jobs, job_id: str) -> Any:
    """The job, once it has ended."""
    progress, over = jobs.progress(job_id), threading.Event()
    assert progress is not None
    progress.told.listen(over.set)
    while progress.ended is None:
        assert over.wait(20)
        over.clear()
    return jobs.find(job_id)


def test_a_job_ends_with_the_answer_that_waiting_would_have_given(jobs: Jobs) -> None:
    """Status and body; below 400 it succeeded."""
    for status, state in ((201, "succeeded"), (202, "succeeded"), (400, "failed")):
        job = jobs.start("register", "/srv/x", "uid=1 pid=2", lambda _, status=status: (status, {"data": status}))
        found = ended(jobs, job.id)
        assert (found.state, found.status, found.answer) == (state, status, {"data": status})
        assert found.finished_at is not None


def test_what_ended_is_kept_for_a_week() -> None:
    """Whoever comes back for an answer finds it until then; what is under way stays, however long."""
    clock, hold = Later(), threading.Event()
    with made_ground() as ground:
        jobs = Jobs(registry=ground.registry, clock=clock)
        old = jobs.start("test", "core", "me", lambda _: (200, {}))
        ended(jobs, old.id)
        running = jobs.start("test", "core", "me", lambda _: (200, {"held": hold.wait(20)}))
        for days, is_kept in ((6.9, True), (7.1, False)):
            clock.ahead_s = days * 86_400
            ended(jobs, jobs.start("test", "core", "me", lambda _: (200, {})).id)
            with ground.registry.read() as connection:
                found = [queries.job(connection, one.id) is not None for one in (old, running)]
            assert found == [is_kept, True]
        hold.set()
        ended(jobs, running.id)


def test_what_breaks_is_an_answer_too(jobs: Jobs) -> None:
    """Whoever follows is told that it is packd's fault, and the thread does not just vanish."""

    def breaks(_: Progress) -> Any:
        raise RuntimeError("oh")

    found = ended(jobs, jobs.start("test", "core", "me", breaks).id)
    assert (found.state, found.status, found.answer["code"]) == ("failed", 500, "INTERNAL")


def test_cancelling_reaches_the_work_whenever_it_comes(jobs: Jobs) -> None:
    """Before the work said how it is stopped, or after; what has ended can't be cancelled."""
    asked, go_on = threading.Event(), threading.Event()

    def work(progress: Progress) -> tuple[int, dict[str, Any]]:
        assert go_on.wait(20)
        stopped = threading.Event()
        progress.on_cancel(stopped.set)  # it was cancelled before it said so
        asked.set()
        return (409, {}) if stopped.is_set() else (200, {})

    job = jobs.start("test", "core", "me", work)
    jobs.cancel(job.id)
    go_on.set()
    assert asked.wait(20)
    assert ended(jobs, job.id).state == "cancelled"
    with pytest.raises(Failure) as refused:
        jobs.cancel(job.id)
    assert refused.value.code == Code.CONFLICT


def test_there_is_an_end_to_how_many(jobs: Jobs, monkeypatch: pytest.MonkeyPatch) -> None:
    """503 instead of threads without end."""
    monkeypatch.setattr(jobs_module, "_AT_ONCE", 1)
    hold = threading.Event()
    first = jobs.start("test", "core", "me", lambda _: (200, {"held": hold.wait(20)}))
    with pytest.raises(Failure) as refused:
        jobs.start("test", "core", "me", lambda _: (200, {}))
    assert refused.value.code == Code.UNAVAILABLE
    hold.set()
    ended(jobs, first.id)


def test_a_job_that_can_not_begin_keeps_no_place(ground: Ground, jobs: Jobs, monkeypatch: pytest.MonkeyPatch) -> None:
    """Neither for want of room for its row nor for want of a thread: when there is some again, jobs begin again."""
    monkeypatch.setattr(jobs_module, "_AT_ONCE", 1)

    def is_full() -> None:
        raise DiskFull("/srv/state/packd.db")

    def no_thread(_: threading.Thread) -> None:
        raise RuntimeError("can't start new thread")

    with monkeypatch.context() as meanwhile:
        meanwhile.setattr(ground.registry, "write", is_full)
        for _ in range(2):
            with pytest.raises(DiskFull):
                jobs.start("test", "core", "me", lambda _: (200, {}))
    with monkeypatch.context() as meanwhile:
        meanwhile.setattr(threading.Thread, "start", no_thread)
        for _ in range(2):
            with pytest.raises(Failure, match="could not begin: can't start new thread") as refused:
                jobs.start("test", "core", "me", lambda _: (200, {}))
            assert refused.value.code == Code.UNAVAILABLE
    found = ended(jobs, jobs.start("test", "core", "me", lambda _: (200, {})).id)
    assert found.state == "succeeded"
    with ground.registry.read() as connection:
        assert queries.running_jobs(connection) == []


def test_a_restart_says_so_to_who_asks_later(ground: Ground, jobs: Jobs) -> None:
    """What was under way is not `running` for ever, and an unanswered idempotency key does not block for ever."""
    hold = threading.Event()
    job = jobs.start("test", "core", "me", lambda _: (200, {"held": hold.wait(20)}))
    following = Jobs(registry=ground.registry, clock=Clock())
    following.close_open()
    found = following.find(job.id)
    assert (found.state, found.status) == ("failed", 503)
    assert "stopped while this was under way" in found.answer["detail"]
    with ground.registry.read() as connection:
        assert job.id not in {one.id for one in queries.running_jobs(connection)}
    hold.set()
    ended(jobs, job.id)


def test_jobs_over_http(ground: Ground) -> None:
    """202 with where it is; `wait=N` waits so long for the answer itself; the list has it; its stream ends with it."""
    answer = ground.client._ask("POST", "/api/v1/packs/core/test", {}, prefer="respond-async, wait=20")
    assert answer["data"]["ref"] == "core"
    heard: list[str] = []
    followed = ground.client.post_followed("/packs/core/test", {}, on_message=lambda name, _: heard.append(name))
    assert followed["data"]["ref"] == "core"
    assert heard[:2] == ["job", "started"]
    newest = ground.client.get("/jobs")["items"][0]
    assert (newest["kind"], newest["subject"], newest["state"]) == ("test", "core", "succeeded")
    assert newest["actor"].startswith("uid=")
    for job_id, code in (("job_none", Code.NOT_FOUND), (newest["id"], Code.CONFLICT)):
        with pytest.raises(Failure) as refused:
            ground.client.delete(f"/jobs/{job_id}")
        assert refused.value.code == code
