"""Index files: what they say, what is wrong with them, and how they are kept fresh."""

from __future__ import annotations

import json
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler
from pathlib import Path
from typing import Any

import pytest

from packd.domain.manifest import Need
from packd.domain.sources import ArchiveSource, GitSource, PathSource
from packd.sources.catalogue import Indexes, IndexSite
from packd.sources.errand import Errand, SourceFailure
from packd.sources.index import Listing, read_index
from tests.unit.sources_ground import Web, answer

SUM = "sha256:" + "a" * 64
GIT = {"type": "git", "url": "https://git.example/core.git", "ref": "v1.2.0", "checksum": SUM}
ARCHIVE = {"type": "archive", "url": "core-1.2.0.tar.gz", "checksum": SUM}


def entry(ref: str = "core", version: str = "1.2.0", **more: Any) -> dict[str, Any]:
    return {"ref": ref, "version": version, "install_sources": [GIT], **more}


def read(*packs: Any, base: str = "https://packs.example/a/index.json", **more: Any) -> Listing:
    return read_index(json.dumps({"registry_name": "x", "packs": packs, **more}).encode(), name="main", base=base)


@pytest.fixture
def web() -> Iterator[Web]:
    web = Web()
    yield web
    web.close()


def test_what_an_entry_says() -> None:
    """Sources in their order, relative ones from the index; dependencies in every form; the rest to be searched."""
    listing = read(
        entry(
            label="Core", description="The base", keywords=["base"], author="Ada", email="a@b", unknown=1,
            install_sources=[{"type": "oci", "url": "x"}, GIT, ARCHIVE, {**GIT, "path": "packs/core"}],
            dependencies={"python_version": ">=3.9", "packs": ["utils@^2", {"ref": "slack", "version": ">=1, <2"}]},
        ),
        entry(version="1.3.0", dependencies=["utils"]),
        registry_url="https://packs.example", last_updated="2026-01-01",
    )  # fmt: skip
    assert listing.complaints == ()
    first, second = listing.offers
    assert (first.label, first.description, first.keywords, first.author) == ("Core", "The base", ("base",), "Ada")
    assert first.needs == (Need(ref="utils", range="^2"), Need(ref="slack", range=">=1,<2"))
    assert first.sources == (
        GitSource(url="https://git.example/core.git", ref="v1.2.0", checksum=SUM),
        ArchiveSource(url="https://packs.example/a/core-1.2.0.tar.gz", checksum=SUM),
        GitSource(url="https://git.example/core.git", ref="v1.2.0", path="packs/core", checksum=SUM),
    )
    assert (second.version, second.needs) == ("1.3.0", (Need(ref="utils"),))


@pytest.mark.parametrize(
    ("bad", "said"),
    [
        (entry(ref="Core"), "packs.0 (Core).ref: must be lower-case letters"),
        (entry(version="1.2"), "packs.0 (core).version: is not a SemVer version, write 1.2.0"),
        (entry(install_sources=[]), "packs.0 (core).install_sources: names no place"),
        (entry(install_sources=[{"type": "git"}]), "packs.0 (core).install_sources.0.url: is missing"),
        (entry(install_sources=[{**ARCHIVE, "checksum": "md5:1"}]), "install_sources.0.checksum: the checksum"),
        (entry(install_sources=[{**GIT, "ref": "-x"}]), "install_sources.0.ref"),
        (entry(install_sources=[{**GIT, "url": "ext::sh"}]), "packs.0 (core)"),
        (entry(install_sources=[{**GIT, "url": "file:///etc"}]), "only an index on this machine may name"),
        (entry(dependencies={"packs": ["a b"]}), "dependencies: 'a b' names no pack"),
        (entry(dependencies=["a@x"]), "dependencies: 'x' is not a version range"),
        ("core", "packs.0"),
    ],
)  # fmt: skip
def test_a_bad_entry_is_left_out_and_named(bad: Any, said: str) -> None:
    """The others stay; the complaint names index, place, pack and fault."""
    listing = read(bad, entry("good"))
    assert [offer.ref for offer in listing.offers] == ["good"]
    (complaint,) = listing.complaints
    assert complaint.startswith("main: packs.0")
    assert said in complaint


@pytest.mark.parametrize("content", [b"", b"{", b"[]", b'{"packs": 1}', b"\xff", b"[" * 100_000])
def test_what_is_no_index(content: bytes) -> None:
    """Said with the index's name."""
    with pytest.raises(SourceFailure, match="the index 'main' can't be read"):
        read_index(content, name="main", base="/srv/index.json")


def test_an_index_on_this_machine_may_name_paths(tmp_path: Path) -> None:
    """Relative to itself."""
    listing = read(entry(install_sources=[{"type": "git", "url": "repos/core"}, ARCHIVE]), base="/srv/index.json")
    assert listing.offers[0].sources == (
        PathSource(path="/srv/repos/core", git=True),
        PathSource(path="/srv/core-1.2.0.tar.gz", checksum=SUM),
    )


def test_an_index_is_fetched_once_and_then_asked_for_news(tmp_path: Path, web: Web) -> None:
    """By ETag; while it is away the last copy is used and its age is said."""
    body = json.dumps({"packs": [entry()]}).encode()

    def page(handler: BaseHTTPRequestHandler) -> None:
        known = handler.headers.get("if-none-match") == '"1"'
        answer(handler, 304 if known else 200, b"" if known else body, etag='"1"')

    web.pages["/index.json"] = page
    site = IndexSite(name="main", url=f"{web.url}/index.json")
    errand = Errand(allow_private=True, timeout_s=20)
    for _ in range(2):
        catalogue = Indexes([site], cache=tmp_path / "cache").read(errand)
        assert (catalogue.refs(), catalogue.complaints) == (["core"], ())
    assert [headers.get("if-none-match") for headers in web.headers] == [None, '"1"']
    web.close()
    away = Indexes([site], cache=tmp_path / "cache").read(errand)
    assert away.refs() == ["core"]
    assert "as it was last seen" in away.complaints[0]


def test_an_answer_that_is_no_index_does_not_replace_one_that_is(tmp_path: Path, web: Web) -> None:
    """The old copy stays usable."""
    site = IndexSite(name="main", url=web.page("/index.json", json.dumps({"packs": [entry()]}).encode()))
    indexes, errand = Indexes([site], cache=tmp_path / "cache"), Errand(allow_private=True)
    indexes.read(errand)
    web.page("/index.json", b"<html>we are sorry</html>")
    with pytest.raises(SourceFailure):
        indexes.read(errand)
    web.close()
    assert indexes.read(errand).refs() == ["core"]


def test_priorities_and_search(tmp_path: Path) -> None:
    """The preferred index has a pack alone; every word has to occur; the best match comes first."""
    for name, packs in {
        "a": [entry("core"), entry("core", "2.0.0"), entry("slack", description="Talks to chat", keywords=["chat"])],
        "b": [entry("core", "9.0.0"), entry("chat", description="Bots")],
    }.items():
        (tmp_path / f"{name}.json").write_text(json.dumps({"packs": packs}))
    sites = [
        IndexSite(name="b", url=str(tmp_path / "b.json"), priority=20),
        IndexSite(name="a", url=str(tmp_path / "a.json"), priority=10),
        IndexSite(name="gone", url=str(tmp_path / "gone.json"), priority=30),
    ]
    catalogue = Indexes(sites, cache=tmp_path / "cache").read(Errand())
    assert [offer.version for offer in catalogue.offers("core")] == ["2.0.0", "1.2.0"]
    assert [found[0].ref for found in catalogue.search(["CHAT"])] == ["chat", "slack"]
    assert [found[0].ref for found in catalogue.search(["chat", "talks"])] == ["slack"]
    assert catalogue.search(["nothing"]) == []
    assert "gone" in catalogue.complaints[0]
