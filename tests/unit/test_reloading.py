"""A configuration that is read again: what is in force afterwards, and who is told of it."""

from __future__ import annotations

import errno
import os
from collections.abc import Callable
from functools import partial
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from structlog.testing import capture_logs

from packd.config import Source, load
from packd.flow.clock import Clock
from packd.flow.configuration import Configuration
from packd.reloading import Reloader
from packd.terms import shown_settings

SECRET = "whsec_" + "c2VjcmV0IG9mIHRoZSB0ZXN0IHJlY2VpdmVyISEhISE="


def a_reloader(file: Path, follow: Callable[[Any], None] = lambda _: None) -> tuple[Reloader, Configuration]:
    """Of what this file says; `follow` is told of other markers."""
    source = Source(load=partial(load, file, {"HOME": "/home/ada"}, {}), file=file)
    settings = source.load()
    configuration = Configuration(settings=partial(shown_settings, settings, settings), loaded_at="")
    parts: Any = SimpleNamespace(
        settings=settings,
        configuration=configuration,
        clock=Clock(),
        markers=SimpleNamespace(follow=follow),
        lanes=SimpleNamespace(submit=lambda *_: True),
        projections=SimpleNamespace(put_markers_right=None),
    )
    return Reloader(parts, source), configuration


def test_what_is_in_force_is_told_and_not_what_the_file_says(tmp_path: Path) -> None:
    """With its origin; a key that needs a restart keeps its value until then, and a file that is refused changes nothing."""
    file = tmp_path / "c.yaml"
    file.write_text("markers: all\ntests: {workers: 2}\n")
    reloader, configuration = a_reloader(file)

    def said(key: str) -> tuple[Any, str]:
        (found,) = (one for one in configuration.settings() if one["key"] == key)
        return found["value"], found["origin"].removeprefix(f"{tmp_path}/")

    assert (said("markers"), said("tests.workers")) == (("all", "c.yaml:1"), (2, "c.yaml:2"))
    file.write_text("# more\ntests: {workers: 3}\nmarkers: none\n")
    assert reloader.reload()
    assert (said("markers"), said("tests.workers")) == (("none", "c.yaml:3"), (2, "c.yaml:2"))
    assert said("watch.quiet_ms")[1] == "default"
    file.write_text("watsh: {}\n")
    assert not reloader.reload()
    assert said("markers") == ("none", "c.yaml:3")
    told = configuration.to_dict()
    assert (told["state"], told["file"], told["needs_restart"]) == ("rejected", str(file), ["tests.workers"])
    assert "watsh" in told["rejected"][0]


def test_what_can_not_be_applied_is_tried_again(tmp_path: Path) -> None:
    """A full disk or a registry that is busy ends no daemon; what is in force is told until then, and why."""
    file = tmp_path / "c.yaml"
    file.write_text("markers: all\n")
    busy = [OSError("database is locked")]

    def follow(_: Any) -> None:
        if busy:
            raise busy.pop()

    reloader, configuration = a_reloader(file, follow)
    file.write_text("markers: none\n")
    assert not reloader.reload()
    assert "database is locked" in configuration.to_dict()["rejected"][0]
    assert [reloader.file_changed() for _ in range(2)][1]
    assert reloader.reload()
    assert configuration.to_dict()["state"] == "loaded"
    assert not [reloader.file_changed() for _ in range(2)][1]


def test_a_file_that_can_not_be_looked_at_ends_no_daemon(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A share that does not answer for a moment, or a file that is replaced just now: said once, and read when it is back."""
    file = tmp_path / "c.yaml"
    webhook = (
        f"webhooks: [{{name: a, url: 'https://example.org/', secret: {SECRET}}}]\n"  # who may read it is looked at
    )
    file.write_text(f"{webhook}markers: all\n")
    reloader, configuration = a_reloader(file)
    file.write_text(f"{webhook}markers: none\n")

    def stale(*_: object, **__: object) -> None:
        raise OSError(errno.ESTALE, os.strerror(errno.ESTALE))

    with monkeypatch.context() as patched, capture_logs() as logged:
        patched.setattr(Path, "stat", stale)
        assert [reloader.file_changed() for _ in range(2)][1]
        assert not reloader.reload()
        assert not reloader.reload()
    assert [line["event"] for line in logged] == ["config.not_applied"]
    (said,) = configuration.to_dict()["rejected"]
    assert said == "it can't be read yet, and is tried again: [Errno 116] Stale file handle"
    assert [reloader.file_changed() for _ in range(2)][1]
    assert reloader.reload()
    assert configuration.to_dict()["state"] == "loaded"
