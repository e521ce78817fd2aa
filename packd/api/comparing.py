"""Which runs are meant when somebody compares two, and which cases of a run can't make up their mind."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from packd.domain.comparison import flaky
from packd.domain.failures import Code, Failure
from packd.registry import queries

if TYPE_CHECKING:
    from packd.api.reading import Reading
    from packd.domain.comparison import Flaky
    from packd.registry.rows import Revision, Run

_RUNS_LOOKED_AT: Final = 20  # the newest of one content; a case that was stable for so long is not flaky

_TOO_MANY_DIGITS: Final = 10  # for a revision's number


class FlakyCases:
    """Looks at each content once, however many of its runs are asked about."""

    def __init__(self, reading: Reading) -> None:
        self._connection = reading.connection
        self._known: dict[tuple[str, str], tuple[Flaky, ...]] = {}
        self._digests: dict[tuple[str, int], str] = {}

    def of(self, run: Run) -> tuple[Flaky, ...]:
        """Those of the content that the run was of."""
        if (run.ref, run.number) not in self._digests:
            found = queries.digests_of(self._connection, run.ref, [run.number])
            self._digests[run.ref, run.number] = found[run.number]
        return self._of_content(run.ref, self._digests[run.ref, run.number])

    def of_revision(self, revision: Revision | None) -> tuple[Flaky, ...]:
        """Those of the content of a revision."""
        return self._of_content(revision.ref, revision.digest) if revision else ()

    def _of_content(self, ref: str, digest: str) -> tuple[Flaky, ...]:
        if (ref, digest) not in self._known:
            reports = queries.reports_of_content(self._connection, ref, digest, limit=_RUNS_LOOKED_AT)
            self._known[ref, digest] = flaky(reports) if len(reports) > 1 else ()
        return self._known[ref, digest]


def runs_to_compare(reading: Reading, ref: str, older: str | None, newer: str | None) -> tuple[Run, Run]:
    """The two runs that are meant, each by a run's id or a revision's number.

    Without `newer`: the last run. Without `older`: the last run before that one of another content, else of the same.
    Raises Failure: NOT_FOUND for what there is not, CONFLICT for a run without a report and when there is only one.
    """
    to = _meant(reading, ref, newer) if newer is not None else queries.latest_report(reading.connection, ref)
    if to is None:
        raise Failure(Code.CONFLICT, f"the tests of '{ref}' have no report yet; `packd test {ref}` runs them now")
    if older is not None:
        return _meant(reading, ref, older), to
    before = queries.report_before(reading.connection, to, other_content=True) or queries.report_before(
        reading.connection, to, other_content=False
    )
    if before is None:
        raise Failure(
            Code.CONFLICT,
            f"{to.id} is the first run of '{ref}' that has a report: there is nothing to compare it with; "
            f"`packd test {ref}` makes another one",
        )
    return before, to


def _meant(reading: Reading, ref: str, said: str) -> Run:
    """`run_…`, or `7`, `#7`, `core#7`."""
    number = said.removeprefix(ref).removeprefix("#")
    return (
        _of_revision(reading, ref, int(number))
        if number.isdecimal() and len(number) < _TOO_MANY_DIGITS
        else _by_id(reading, ref, said)
    )


def _by_id(reading: Reading, ref: str, run_id: str) -> Run:
    run = queries.run(reading.connection, run_id)
    if run is None or run.ref != ref:
        raise Failure(
            Code.NOT_FOUND,
            f"'{ref}' has no run {run_id}: name a run (`packd tests {ref}`) or a revision's number (`packd history {ref}`)",
        )
    if run.report is None:
        state = "has not ended yet" if run.finished_at is None else "ended without a report"
        raise Failure(Code.CONFLICT, f"{run.id} {state}: there is nothing to compare")
    return run


def _of_revision(reading: Reading, ref: str, number: int) -> Run:
    run = queries.latest_report(reading.connection, ref, number=number)
    if run is not None:
        return run
    if queries.revision(reading.connection, ref, number) is None:
        raise Failure(Code.NOT_FOUND, f"'{ref}' has no revision {number}; see `packd history {ref}`")
    raise Failure(Code.CONFLICT, f"the tests of {ref}#{number} have no report: there is nothing to compare")
