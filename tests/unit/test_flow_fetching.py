"""Who may have what fetched, and what lies at a path."""

from __future__ import annotations

import threading
from pathlib import Path

import pytest

from packd.domain.failures import Code, Failure
from packd.domain.sources import ArchiveSource, FolderSource, GitSource, PathSource, read_source
from packd.flow.fetching import Fetchable, Fetcher, FetchTerms, look
from packd.sources.errand import Errand, SourceFailure
from packd.sources.index import Offer


@pytest.mark.parametrize(
    ("text", "may"),
    [
        ("https://git.example/team/x.git", True),
        ("https://packs.example/x.zip", True),
        ("https://git.example/other/x.git", False),
        ("https://elsewhere.example/x.zip", False),
        ("git@git.example:team/x.git", False),
        ("/srv/packs/x", False),
        ("file:///srv/packs/x.zip", False),
    ],
)
def test_others_may_fetch_only_what_is_allowed(tmp_path: Path, text: str, may: bool) -> None:
    """The daemon's own user may everything; others what sources.allow names, and never a path."""
    terms = FetchTerms(allow=("https://git.example/team", "https://packs.example"))
    fetcher = Fetcher(tmp_path / "fetch", terms)
    source = read_source(text)
    assert isinstance(source, Fetchable)
    fetcher.check_allowed(source, is_owner=True, actor="uid=0")
    if may:
        fetcher.check_allowed(source, is_owner=False, actor="token:ci")
        return
    with pytest.raises(Failure) as caught:
        fetcher.check_allowed(source, is_owner=False, actor="token:ci")
    assert caught.value.code == Code.FORBIDDEN
    assert "token:ci" in caught.value.sentence


def test_what_lies_at_a_path(tmp_path: Path) -> None:
    """A folder with a pack is taken as it is, a repository by git, a file as an archive."""
    (tmp_path / "pack").mkdir()
    (tmp_path / "pack" / "pack.yaml").touch()
    (tmp_path / "pack" / ".git").mkdir()
    (tmp_path / "bare" / "objects").mkdir(parents=True)
    (tmp_path / "bare" / "HEAD").touch()
    (tmp_path / "x.zip").touch()
    (tmp_path / "link").symlink_to("x.zip")
    here = str(tmp_path)
    assert look(PathSource(path=f"{here}/pack")) == FolderSource(path=f"{here}/pack")
    assert look(PathSource(path=f"{here}/pack", ref="v1")) == GitSource(url=f"{here}/pack", ref="v1")
    assert look(PathSource(path=f"{here}/pack", folder="a")) == GitSource(url=f"{here}/pack", path="a")
    assert look(PathSource(path=f"{here}/bare")) == GitSource(url=f"{here}/bare")
    assert look(PathSource(path=f"{here}/link")) == ArchiveSource(url=f"{here}/x.zip")
    for wrong in (
        PathSource(path="relative/x"),
        PathSource(path=f"{here}/nothing"),
        PathSource(path=f"{here}/x.zip", ref="v1"),
        PathSource(path=f"{here}/pack", checksum="sha256:" + "0" * 64),
    ):
        with pytest.raises(Failure) as caught:
            look(wrong)
        assert caught.value.code == Code.BAD_REQUEST


def test_the_next_source_is_tried_only_when_one_is_away(tmp_path: Path) -> None:
    """What is damaged or refused is said, not covered up by another source."""
    good, bad = tmp_path / "good.zip", tmp_path / "bad.zip"
    good.write_bytes(b"PK")
    bad.write_bytes(b"?")
    fetcher = Fetcher(tmp_path / "fetch", FetchTerms())
    refused = ArchiveSource(url="https://127.0.0.1/x.zip")
    gone = ArchiveSource(url="https://nowhere.invalid/x.zip")
    damaged = ArchiveSource(url=str(bad), checksum="sha256:" + "0" * 64)
    works = ArchiveSource(url=str(good))
    asked: list[str] = []

    def begin(shown: str) -> Errand:
        asked.append(shown)
        return fetcher.errand(lambda _: None, threading.Event())

    with fetcher.room() as room:
        offer = Offer(ref="x", version="1.0.0", index="main", sources=(gone, works))
        fetched = fetcher.fetch_offer(offer, room, begin)
        assert fetched.path.read_bytes() == b"PK"
        assert fetched.provenance["index"] == "main"
        assert asked == ["https://nowhere.invalid/x.zip", str(good)]
        for first in (refused, damaged):
            offer = Offer(ref="x", version="1.0.0", index="main", sources=(first, works))
            with pytest.raises(SourceFailure):
                fetcher.fetch_offer(offer, room, begin)
    assert list((tmp_path / "fetch").iterdir()) == []


def test_an_archive_without_an_ending_is_one_all_the_same(tmp_path: Path) -> None:
    """Its content says what it is; its name must only not keep it from being looked at."""
    (tmp_path / "v1").write_bytes(b"PK")
    fetcher = Fetcher(tmp_path / "fetch", FetchTerms())
    with fetcher.room() as room:
        fetched = fetcher.fetch(PathSource(path=str(tmp_path / "v1")), room, Errand())
        assert fetched.path.name == "v1.tar"


def test_what_a_crash_left_is_removed(tmp_path: Path) -> None:
    """At the next start."""
    (tmp_path / "fetch" / "left").mkdir(parents=True)
    Fetcher(tmp_path / "fetch", FetchTerms())
    assert not (tmp_path / "fetch").exists()
