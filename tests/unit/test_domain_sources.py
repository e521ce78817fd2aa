"""What people write as a source, and what it means."""

from __future__ import annotations

import pytest

from packd.domain.failures import Code, Failure
from packd.domain.manifest import Need
from packd.domain.sources import (
    ArchiveSource,
    GitSource,
    NamedSource,
    PathSource,
    Source,
    covers,
    public_url,
    read_source,
)

SUM = "sha256:" + "a" * 64


@pytest.mark.parametrize(
    ("text", "meant"),
    [
        ("core", NamedSource(need=Need(ref="core"))),
        ("core@^2", NamedSource(need=Need(ref="core", range="^2"))),
        ("core@>= 1.2 <2", NamedSource(need=Need(ref="core", range=">=1.2,<2"))),
        ("core@2.1.0-rc.1", NamedSource(need=Need(ref="core", range="2.1.0-rc.1"))),
        ("https://h/a/core", GitSource(url="https://h/a/core")),
        ("https://h/a/core.git#packs/core/", GitSource(url="https://h/a/core.git", path="packs/core")),
        ("https://h/x.git#subdirectory=a/./b", GitSource(url="https://h/x.git", path="a/b")),
        ("git+https://h/x.tar.gz", GitSource(url="https://h/x.tar.gz")),
        ("git://h/x", GitSource(url="git://h/x")),
        ("HTTPS://h/x", GitSource(url="https://h/x")),
        ("ssh://git@h:2222/x", GitSource(url="ssh://git@h:2222/x")),
        ("git@h:team/x.git", GitSource(url="git@h:team/x.git")),
        ("git@h:team/x.git#sub", GitSource(url="git@h:team/x.git", path="sub")),
        ("git@[::1]:x", GitSource(url="git@[::1]:x")),
        ("git+git@h:team/x.git", GitSource(url="git@h:team/x.git")),
        ("https://h/x-1.0.tar.gz?a=b", ArchiveSource(url="https://h/x-1.0.tar.gz?a=b")),
        ("archive+https://h/tarball/v1", ArchiveSource(url="https://h/tarball/v1")),
        ("x.zip", PathSource(path="x.zip")),
        ("./x", PathSource(path="./x")),
        ("/srv/x#sub", PathSource(path="/srv/x", folder="sub")),
        ("file:///srv/a%20b", PathSource(path="/srv/a b")),
        ("git+file:///srv/x", PathSource(path="/srv/x")),
        ("git+/srv/x", PathSource(path="/srv/x", git=True)),
        ("a/b:c", PathSource(path="a/b:c")),
    ],
)
def test_meanings(text: str, meant: Source) -> None:
    """One text, one meaning, decided by its form alone."""
    assert read_source(text) == meant


@pytest.mark.parametrize(
    "text",
    [
        "", "-x", "--upload-pack=touch /tmp/x", "ext::sh -c id", "git+ext::sh", "archive+fd::1", "fd::17", "ftp://h/x", "https://", "https:///x",
        "https://h:0/x", "https://h:99999/x", "https://-h/x", "ssh://-oProxyCommand=id/x", "https://a@b@c/x",
        "https://h/a b", "https://h\\@i/x", "https://127.1/x", "https://0x7f.1/x", "https://2130706433/x",
        "https://h%2ei/x", "file://other/x", "core@>=x", "Core", "https://h/x.git#../..", "https://h/x.zip#sub",
        "archive+ssh://h/x.zip", "https://h/x\n", "core@1@2", "..ext::", "git@-h:x", "git@h::x", "git@[h]::x",
    ],
)  # fmt: skip
def test_refused(text: str) -> None:
    """What means nothing, starts programs, or is read differently by different readers is refused with a reason."""
    with pytest.raises(Failure) as caught:
        read_source(text)
    assert caught.value.code == Code.BAD_REQUEST
    assert len(caught.value.sentence) > 20


@pytest.mark.parametrize("ref", ["-x", "", "a..b", "a b", "a~1", "a^{}", "a:b", "x.lock", "@{u}", "a\x00", ".a", "a/"])
def test_refused_revisions(ref: str) -> None:
    """A revision is a plain name: no option, no expression."""
    with pytest.raises(Failure):
        read_source("https://h/x.git", ref=ref)


def test_what_belongs_to_what() -> None:
    """A revision is for git, a checksum not for names; a checksum is sha256."""
    assert read_source("git://h/x", ref="feature/a-1").ref == "feature/a-1"  # type: ignore[union-attr]
    assert read_source("https://h/x.zip", checksum="A" * 64).checksum == SUM  # type: ignore[union-attr]
    for text, ref, checksum in (
        ("https://h/x.zip", "v1", None),
        ("core", "v1", None),
        ("core", None, SUM),
        ("https://h/x.zip", None, "md5:1"),
    ):
        with pytest.raises(Failure):
            read_source(text, ref=ref, checksum=checksum)


@pytest.mark.parametrize(
    ("url", "shown"),
    [
        ("https://me:secret@h:8443/x.zip?sig=1#f", "https://h:8443/x.zip"),
        ("ssh://git@h/x", "ssh://git@h/x"),
        ("ssh://git:pw@h/x", "ssh://h/x"),
        ("git@h:x", "git@h:x"),
        ("/srv/x", "/srv/x"),
    ],
)
def test_nothing_secret_is_shown(url: str, shown: str) -> None:
    """Credentials and queries are left out of everything that is told or stored."""
    assert public_url(url) == shown


@pytest.mark.parametrize(
    ("beginning", "url", "yes"),
    [
        ("https://h/team", "https://h/team", True),
        ("https://h/team/", "https://h/team/x.git", True),
        ("https://h", "https://h/anything", True),
        ("https://h", "https://h.evil/x", False),
        ("https://h/team", "https://h/teamx/x", False),
        ("https://h/team", "https://h/team/../x", False),
        ("https://h/team", "https://h/team/%2e%2e/x", False),
        ("https://h", "http://h/x", False),
        ("https://h", "https://h:444/x", False),
        ("https://h", "https://h@evil/x", False),
        ("/srv", "https://h/x", False),
    ],
)
def test_beginnings(beginning: str, url: str, yes: bool) -> None:
    """`sources.allow` covers whole hosts and whole steps of a path."""
    assert covers(beginning, url) is yes
