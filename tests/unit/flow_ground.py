"""What the tests of the flow share: everything that a daemon is made of, without its doors, and packs dropped in a line."""

from __future__ import annotations

import time
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from packd.bootstrap import Parts, build
from packd.config import load
from packd.domain.lifecycle import REFUSED, Phase
from packd.flow.occasion import Occasion
from packd.registry import queries
from tests.waiting import wait_until

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from sqlalchemy import Connection

    from packd.registry.rows import Revision, StoredEvent

MANIFEST = """\
ref: core
version: "{version}"
dependencies: [{needs}]
testing: {{enabled: true, runners: {{shell: {{type: script, entry_point: tests/run.sh}}}}}}
"""


@contextmanager
def made_parts(folder: Path, **settings: Any) -> Iterator[Parts]:
    """With a packs directory and a state directory in `folder`. Nothing is watched: see `looked_at`."""
    for name in ("packs", "state"):
        (folder / name).mkdir(exist_ok=True)
    (folder / "packd.yaml").touch(mode=0o600)
    where = {"packs_dir": folder / "packs", "state_dir": folder / "state"}
    made = build(load(folder / "packd.yaml", {}, {**where, "tests": {"isolation": "basic"}, **settings}))
    made.reconciler.run()  # so that it is known which folder the packs directory is
    yield made
    made.lanes.stop(10)
    made.executor.close(0)
    made.database.close()


def written(parts: Parts, name: str, manifest: str, *, test: str = "exit 0") -> Path:
    """A drop with one shell suite, that nobody has looked at yet."""
    folder = parts.settings.packs_dir / name
    (folder / "tests").mkdir(parents=True, exist_ok=True)
    (folder / "pack.yaml").write_text(manifest)
    script = folder / "tests" / "run.sh"
    script.write_text(f"#!/bin/sh\n{test}\n")
    script.chmod(0o755)
    return folder


def core(parts: Parts, version: str = "1.0.0", *, name: str = "core", test: str = "exit 0", needs: str = "") -> Path:
    """The pack `core`, carried to its end."""
    folder = written(parts, name, MANIFEST.format(version=version, needs=needs), test=test)
    looked_at(parts, name)
    return folder


def looked_at(parts: Parts, *names: str) -> None:
    """Returns when all that follows from it is over."""
    for name in names:
        parts.intake.take_soon(name, Occasion(first_change_at_s=time.time()))
        assert parts.lanes.wait_idle(30)


def read_slowly(parts: Parts, meanwhile: Callable[[], object]) -> None:
    """Leaving the next reading of the registry takes so long that `meanwhile` is done before it is over."""
    read = parts.registry.read

    @contextmanager
    def slow(*, durable: bool = False) -> Iterator[Connection]:
        with read(durable=durable) as connection:
            yield connection
        parts.registry.read = read  # type: ignore[method-assign]
        meanwhile()

    parts.registry.read = slow  # type: ignore[method-assign]


def under_test(parts: Parts) -> None:
    """The drop `core` is looked at; returns while the suite of what lies there runs."""
    parts.intake.take_soon("core", Occasion(first_change_at_s=time.time()))

    def begun() -> bool:
        phase = latest(parts).phase
        assert phase not in REFUSED
        return phase == Phase.VALIDATED and parts.runs.under_way() == ["core"]

    wait_until(begun, "the tests of core to begin")


def latest(parts: Parts, ref: str = "core") -> Revision:
    with parts.registry.read() as connection:
        found = queries.latest_revision(connection, ref)
    assert found is not None
    return found


def told(parts: Parts) -> list[StoredEvent]:
    """All events, in order."""
    with parts.registry.read() as connection:
        return queries.events_after(connection, 0, limit=1000)
