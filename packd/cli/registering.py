"""What `register` and `install` have in common: the work is followed as it goes on, and what came of it is printed."""

from __future__ import annotations

import contextlib
import re
from typing import TYPE_CHECKING, Any, Final

from packd.cli.live import Progress, progress
from packd.cli.plan_tree import tree
from packd.cli.refusals import in_options
from packd.cli.report import print_case, print_report
from packd.cli.screen import note, paragraph, say_json
from packd.client import part
from packd.domain.failures import Failure
from packd.domain.printing import clean

if TYPE_CHECKING:
    from packd.client import Client

_BAR: Final = 12  # columns
_SHARE: Final = re.compile(r"\b(\d{1,3}) ?%")


def carry_out(client: Client, path: str, wish: dict[str, Any], *, doing: str, as_json: bool) -> int:
    """POST `wish` and follow it; returns the exit status.

    Cases are printed as they end. Interrupted, the work is cancelled. Raises Failure for what is refused before
    anything was tried.
    """
    try:
        answer = followed(client, path, wish, doing, quiet=as_json)
    except Failure as failure:
        if not failure.members.get("rolled_back"):
            raise
        _refused(failure, as_json=as_json)
        return 1
    if as_json:
        say_json(answer["data"])
    else:
        waits = answer["data"]["pack"]["status"] == "waiting"
        paragraph(in_options(clean(answer["message"])), fg="yellow" if waits or answer["data"]["forced"] else "green")
    return 1 if answer["data"]["pack"]["status"] == "waiting" else 0


def followed(client: Client, path: str, wish: dict[str, Any], doing: str, *, quiet: bool) -> dict[str, Any]:
    """The answer to POST `path`. What happens meanwhile is told, and interrupted, the work is cancelled."""
    job: list[str] = []
    with progress(doing) as line:

        def hear(name: str, said: dict[str, Any]) -> None:
            if name == "job":
                job.append(said["id"])
            elif name == "case":
                _case(line, said, quiet=quiet)
            elif name in ("suite", "progress"):
                line.on_message(name, said)
            elif name == "fetch":
                line.at(fetching(said["doing"], said["text"]))
            elif name == "revision":
                line.at(f"testing {said['ref']}#{said['number']}")
            elif name == "plan" and not quiet:
                line.aside(lambda: _plan(said))

        try:
            return client.post_followed(path, wish, on_message=hear)
        except KeyboardInterrupt:
            with contextlib.suppress(Failure):
                for one in job:
                    client.delete(f"/jobs/{part(one)}")
                    line.aside(lambda: note("cancelled: nothing of it becomes active"))
            raise


def fetching(doing: str, text: str) -> str:
    """What is fetched, with a bar in front of it where it is known how far it is.

    >>> fetching("fetching core", "fetched 1.0 of 2.0 MiB (50 %)")
    '██████░░░░░░ fetched 1.0 of 2.0 MiB (50 %) · fetching core'
    """
    if not text:
        return doing
    share = _SHARE.search(text)
    filled = min(int(share[1]), 100) * _BAR // 100 if share else 0
    bar = "█" * filled + "░" * (_BAR - filled) + " " if share else ""
    return f"{bar}{text} · {doing}"


def _plan(plan: dict[str, Any]) -> None:
    """What is about to happen, when it is more than what was asked for."""
    for one in plan["notes"]:
        note(clean(one))
    if sum(step["action"] != "keep" for step in plan["steps"]) > 1:
        for one in tree(plan["steps"]):
            note(one)


def _case(line: Progress, case: dict[str, Any], *, quiet: bool) -> None:
    line.on_message("case", case)
    if not quiet:
        line.aside(lambda: print_case(f"{case['suite']}: {case['name']}", case["status"], case["duration_ms"]))


def _refused(failure: Failure, *, as_json: bool) -> None:
    """It was tried, and rolled back: the report says why."""
    if as_json:
        problems = [problem.to_dict() for problem in failure.problems]
        say_json({"error": failure.sentence, "code": str(failure.code), "problems": problems, **failure.members})
        return
    report = failure.members.get("test_result")
    if report is not None:
        print_report(report, verdict=None, accepted=False)
    paragraph(in_options(clean(failure.sentence)), fg="red", err=True)
