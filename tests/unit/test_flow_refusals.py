"""What can't be registered at all: the sentence says whether it is not there, or may not be looked at."""

from __future__ import annotations

from pathlib import Path

import pytest

from packd.domain.failures import Code, Failure
from packd.flow.refusals import readable


@pytest.mark.parametrize("name", ["nothing", "file", "a\0b", "x" * 300])
def test_what_is_no_pack(tmp_path: Path, name: str) -> None:
    """In the words that scripts know."""
    (tmp_path / "file").touch()
    with pytest.raises(Failure, match="Pack directory does not exist: ") as refused:
        readable(tmp_path / name)
    assert refused.value.code == Code.BAD_REQUEST


def test_what_may_not_be_looked_at_is_not_denied(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A daemon that runs as somebody else can't say whether it is there."""

    def refuse(_path: Path) -> None:
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(Path, "stat", refuse)
    with pytest.raises(Failure, match=f"packd may not look at {tmp_path}/core: let the user that it runs as read it"):
        readable(tmp_path / "core")
