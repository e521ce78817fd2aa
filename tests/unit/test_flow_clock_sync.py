"""Whether the clock is kept right, as the kernel knows it."""

from __future__ import annotations

import shutil
import subprocess

import pytest

from packd.flow import clock_sync
from packd.flow.clock_sync import ClockWatch, is_synchronised


def test_the_kernel_is_asked_and_nothing_is_changed() -> None:
    """Yes, no, or it may not be asked; where `timedatectl` answers, it says the same."""
    first = is_synchronised()
    assert first in (True, False, None)
    if shutil.which("timedatectl") is None:
        return
    asked = ["timedatectl", "show", "--property=NTPSynchronized", "--value"]
    said = subprocess.run(asked, capture_output=True, text=True, check=False).stdout.strip()
    if said in ("yes", "no") and first is not None:
        assert first == (said == "yes")


def test_the_log_is_told_when_it_changes(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    """Once each time; and as long as it is wrong there is a warning. Nobody knows is no news."""
    watch = ClockWatch()
    answers = iter([True, False, False, None, False, True])
    monkeypatch.setattr(clock_sync, "is_synchronised", lambda: next(answers))
    warnings = []
    for _ in range(6):
        watch.ask()
        warnings.append(watch.warning is not None)
    assert warnings == [False, True, True, False, True, False]
    said = capsys.readouterr().out
    assert said.count("clock.unsynchronised") == 2
    assert said.count("clock.synchronised") == 1
