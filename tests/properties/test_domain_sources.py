"""Reading sources: whatever is typed, it means something harmless or is refused with a sentence."""

from __future__ import annotations

from hypothesis import example, given
from hypothesis import strategies as st

from packd.domain.failures import Code, Failure
from packd.domain.sources import ArchiveSource, GitSource, PathSource, covers, public_url, read_source

pieces = st.sampled_from(
    ["https://", "http://", "ssh://", "git://", "git@", "ext::", "file://", "git+", "archive+", "-", "--", "h", "host",
     "127.0.0.1", "[::1]", ":", "@", "/", "..", "#", "a", ".git", ".zip", ".tar.gz", " ", "%2e", "^2", ">=1", "?q=1", "\\",
     "s3cret", ":8080", "é", "\n", "\x00"]
)  # fmt: skip
texts = st.one_of(st.lists(pieces, max_size=8).map("".join), st.text(max_size=40))


@given(text=texts)
@example(text="git+ext::sh -c id")
@example(text="ssh://-oProxyCommand=id/x")
def test_reading_never_surprises(text: str) -> None:
    """Nothing but a refusal is raised; no URL begins with a dash, names a helper, or leaves its repository."""
    try:
        meant = read_source(text)
    except Failure as failure:
        assert failure.code == Code.BAD_REQUEST
        assert failure.sentence
        return
    if isinstance(meant, GitSource):
        assert not meant.url.startswith("-")
        assert "::" not in meant.url.replace("[::1]", "").partition("/")[0]
        assert ".." not in meant.path.split("/")
    if isinstance(meant, ArchiveSource):
        assert meant.url.startswith(("https://", "http://"))
    if isinstance(meant, PathSource):
        assert "://" not in meant.path.partition("/")[0]


@given(user=st.text(alphabet="abc", min_size=1), password=st.just("s3cret"), path=st.text(alphabet="ab/.", max_size=8))
def test_passwords_are_never_shown(user: str, password: str, path: str) -> None:
    """Wherever they stand in a URL."""
    for scheme in ("https", "http", "ssh", "git"):
        url = f"{scheme}://{user}:{password}@host/{path}?token={password}#{password}"
        assert password not in public_url(url)


@given(beginning=texts, url=texts)
def test_covering_never_breaks(beginning: str, url: str) -> None:
    """And nothing covers another host."""
    if covers(beginning, url):
        assert url.partition("://")[2].partition("/")[0].rpartition("@")[2] != ""
        assert not covers(beginning, url.replace("://", "://evil.", 1))
