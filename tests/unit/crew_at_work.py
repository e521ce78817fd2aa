"""A process with a crew of its own: `python crew_at_work.py FOLDER [REFUSED]`. It has one thread when the crew is made.

So many times is a fork REFUSED to the crew, as by a machine that has too many processes.

Each line on stdin is a JSON request: `{"id": …, "command": …}` to be run, `{"cancel": …}` with a reason, or `{"crew": true}`
for the process ids below this one. Each line on stdout is what came of it.
"""

from __future__ import annotations

import errno
import itertools
import json
import os
import sys
from functools import partial
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).parents[2]))

from packd.testrun.executor import CancelToken
from packd.testrun.processes import children
from tests.unit.testrun_ground import Ground, made_executor, shell


def say(**said: Any) -> None:
    sys.stdout.write(json.dumps(said) + "\n")
    sys.stdout.flush()


def below(pid: int) -> list[int]:
    return [found for child in children(pid) for found in (child, *below(child))]


def refuse_forks(times: int) -> None:
    """To what is forked next: each of them counts for itself."""
    fork, tried = os.fork, itertools.count()

    def crowded() -> int:
        if 1 <= next(tried) <= times:
            raise BlockingIOError(errno.EAGAIN, os.strerror(errno.EAGAIN))
        return fork()

    os.fork = crowded


def main(folder: Path, refused: int) -> None:
    refuse_forks(refused)
    (folder / "tree").mkdir()
    executor = made_executor(folder / "work", apart=True, on_trouble=lambda trouble: say(trouble=trouble))
    ground = Ground(tree=folder / "tree", executor=executor, work_dir=folder / "work")
    tokens: list[CancelToken] = []
    for line in sys.stdin:
        asked = json.loads(line)
        if "cancel" in asked:
            tokens[-1].cancel(asked["cancel"])
        elif "crew" in asked:
            say(crew=below(os.getpid()), alive=executor.alive())
        else:
            tokens.append(CancelToken())
            future = executor.submit(
                ground.request(shell(asked["command"])),
                cancel=tokens[-1],
                on_case=lambda suite, case: say(case=f"{suite}: {case.name} {case.status}"),
                on_suite=lambda suite: say(suite=f"{suite.name}: {suite.failed} of {suite.total} failed"),
            )
            future.add_done_callback(partial(answer, asked["id"]))
    executor.close(0)
    say(closed=below(os.getpid()))


def answer(number: int, future: Any) -> None:
    report = future.result()
    say(id=number, status=report.status, reason=report.reason, detail=report.detail)


if __name__ == "__main__":
    main(Path(sys.argv[1]), int(sys.argv[2]) if len(sys.argv) > 2 else 0)
