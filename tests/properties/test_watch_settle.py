"""Settling, over all orders of changes. Times are multiples of 1/64 s, so that sums are exact."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from itertools import accumulate

from hypothesis import given
from hypothesis import strategies as st

from packd.watch.settle import Settled, Settler

QUIET, LONGEST = 1.0, 8.0
STEPS = st.integers(0, 128).map(lambda ticks: ticks / 64)
NAMES = st.sampled_from(["a", "b", "c"])


@dataclass(frozen=True)
class Step:
    """After `pause` seconds, ask for what is due, then do `what` to `name`."""

    pause: float
    what: str
    name: str
    age: float = 0.0


def steps(*kinds: str) -> st.SearchStrategy[list[Step]]:
    return st.lists(st.builds(Step, STEPS, st.sampled_from(kinds), NAMES, STEPS), max_size=40)


def play(script: list[Step]) -> tuple[list[tuple[float, Settled]], Settler, float]:
    """Run a script; whatever is due is taken at the very moment at which it is due. (moment, settled), settler, now."""
    settler, now, taken = Settler(QUIET, LONGEST), 0.0, []
    for step in script:
        then = now + step.pause
        while (deadline := settler.next_deadline()) is not None and deadline <= then:
            moment = max(deadline, now)
            taken.extend((moment, settled) for settled in settler.due(moment))
        now = then
        if step.what == "touched":
            settler.touched(step.name, now)
        elif step.what == "aged":
            settler.touched(step.name, now, age_s=step.age)
        elif step.what == "written":
            settler.written(step.name, now)
        elif step.what == "whole":
            settler.arrived_whole(step.name, now)
        elif step.what == "again":
            again = [settled for _, settled in taken if settled.name == step.name]
            if again:
                taken = [pair for pair in taken if pair[1] is not again[-1]]
                settler.again(again[-1], now)
    return taken, settler, now


def moments(script: list[Step]) -> list[float]:
    """When each step was."""
    return list(accumulate(step.pause for step in script))


def moments_of(script: list[Step], name: str) -> list[float]:
    return [at for step, at in zip(script, moments(script), strict=True) if step.name == name]


@given(steps("touched"))
def test_nothing_is_due_before_its_quiet_period(script: list[Step]) -> None:
    """Unless forced, nothing changed during the quiet period before it was due."""
    for moment, settled in play(script)[0]:
        if not settled.forced:
            assert not [at for at in moments_of(script, settled.name) if moment - QUIET < at < moment]


@given(steps("touched", "aged", "written", "whole"))
def test_everything_is_due_within_the_longest_wait(script: list[Step]) -> None:
    """However the changes follow each other, nothing waits longer, and only what did not go quiet is forced."""
    taken, settler, now = play(script)
    for moment, settled in taken:
        assert moment <= settled.first_change + LONGEST
        assert not settled.forced or moment == settled.first_change + LONGEST
    assert {one.name for one in settler.waiting()} == {one.name for one in settler.due(now + LONGEST)}


@given(steps("touched", "aged", "written", "whole", "again"))
def test_no_change_is_lost(script: list[Step]) -> None:
    """Every change is counted in exactly one burst, handed out or still waiting."""
    taken, settler, _ = play(script)
    told = Counter(step.name for step in script if step.what != "again")
    counted = Counter()
    for _, settled in taken:
        counted[settled.name] += settled.touches
    for waiting in settler.waiting():
        counted[waiting.name] += waiting.touches
    assert counted == told


@given(steps("touched", "aged", "written", "whole", "again"))
def test_drops_do_not_influence_each_other(script: list[Step]) -> None:
    """What happens to other drops changes nothing for one: neither when it is due nor what is said of it."""

    def of_a(taken: list[tuple[float, Settled]]) -> list[tuple[float, Settled]]:
        return [pair for pair in taken if pair[1].name == "a"]

    alone = [step if step.name == "a" else Step(step.pause, "nothing", "a") for step in script]
    assert of_a(play(script)[0]) == of_a(play(alone)[0])


@given(steps("touched", "aged", "written", "whole", "again"))
def test_the_next_deadline_is_that_of_the_first_in_line(script: list[Step]) -> None:
    """Who sleeps until the next deadline misses nothing and does not wake for nothing."""
    _, settler, _ = play(script)
    waiting = settler.waiting()
    assert settler.next_deadline() == (waiting[0].due_at if waiting else None)


@given(steps("touched", "written", "whole"))
def test_what_is_open_is_not_due_before_the_longest_wait(script: list[Step]) -> None:
    """A drop whose last change was a write is handed out only because that took too long."""
    for moment, settled in play(script)[0]:
        until = [
            step.what
            for step, at in zip(script, moments(script), strict=True)
            if step.name == settled.name and (at < moment or (step.what == "whole" and at == moment))
        ]
        if until[-1:] == ["written"]:
            assert settled.forced
            assert moment >= settled.first_change + LONGEST


@given(st.lists(st.integers(0, 32).map(lambda ticks: ticks / 64), min_size=1, max_size=12))
def test_the_order_of_telling_does_not_matter(told: list[float]) -> None:
    """Changes within half a quiet period, told in any order by several threads, make the same burst."""
    one, two = Settler(QUIET, LONGEST), Settler(QUIET, LONGEST)
    for moment in told:
        one.touched("p", moment)
    for moment in sorted(told):
        two.touched("p", moment)
    assert one.waiting() == two.waiting()


@given(st.integers(1, 63).map(lambda ticks: ticks / 64), st.integers(2, 300), st.integers(0, 10))
def test_a_slow_steady_copy_is_one_burst(pause: float, files: int, jitter: int) -> None:
    """Once a pause shorter than the quiet period was seen, ones up to twice as long do not break the copy in two."""
    settler, now = Settler(QUIET, 1e6), 0.0
    for number in range(files):
        now += pause * (1 + jitter / 64 * (number % 3)) if number > 1 else pause
        assert settler.due(now) == []
        settler.touched("p", now)
    (settled,) = settler.due(now + 4)
    assert (settled.touches, settled.forced) == (files, False)
