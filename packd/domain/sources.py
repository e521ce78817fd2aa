"""What a SOURCE means: a git URL, an archive, a path on this machine, or the name of a pack in an index. Pure.

https://host/pack.tar.gz   an archive (`archive+https://…` where the name does not say so)
https://host/pack.git      git, and so is every other http, ssh or git URL and `user@host:path`
URL#folder                 git: the pack is that folder of the repository
./pack, /srv/pack.zip      a folder, a repository or an archive here; always with a slash or an archive's ending
name, name@^2              from the configured indexes
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from ipaddress import ip_address
from typing import Final
from urllib.parse import SplitResult, unquote, urlsplit, urlunsplit

from packd.domain.failures import Code, Failure
from packd.domain.manifest import Need
from packd.domain.ranges import as_range
from packd.domain.refs import archive_suffix, is_ref

_SCHEME: Final = re.compile(r"([A-Za-z][A-Za-z0-9+.-]*)://")
_HELPER: Final = re.compile(r"([A-Za-z0-9]+)::")
_SCP: Final = re.compile(r"(?:[A-Za-z0-9_.+-]+@)?\[?[A-Za-z0-9_.:-]*[A-Za-z0-9_.-]\]?:(?!//).+")
_GIT_SCHEMES: Final = ("https", "http", "ssh", "git", "file")
# What has no place in a URL, or is read differently by different readers.
_SLIPPERY: Final = re.compile(r"[\x00-\x20\x7f-\x9f\\\"<>^`{|}]")
# git-check-ref-format(1), for the whole of a name; a commit's id passes too.
_BAD_REVISION: Final = re.compile(r"^[-./]|[\x00-\x20\x7f~^:?*\[\\]|\.\.|@\{|//|[./]$|\.lock$")
_HOST: Final = re.compile(r"[A-Za-z0-9_](?:[A-Za-z0-9._-]{0,251}[A-Za-z0-9_])?")
_NUMERIC: Final = re.compile(r"[0-9]+|0[xX][0-9a-fA-F]*")  # a last label that makes some readers see an address
_CHECKSUM: Final = re.compile(r"(?:sha256:)?([0-9a-fA-F]{64})")
COMMIT: Final = re.compile(r"[0-9a-f]{40}|[0-9a-f]{64}")


@dataclass(frozen=True, kw_only=True)
class GitSource:
    """A revision of a repository, or of one folder in it."""

    url: str  # a URL of git, `user@host:path`, or an absolute path
    ref: str | None = None  # branch, tag or commit; None: what the repository's HEAD names
    path: str = ""  # the pack's folder in it; "": the top
    checksum: str | None = None  # `sha256:…` of the pack's content, as packd digests it


@dataclass(frozen=True, kw_only=True)
class ArchiveSource:
    """One file."""

    url: str  # http or https, or an absolute path
    checksum: str | None = None  # `sha256:…` of the file


@dataclass(frozen=True, kw_only=True)
class FolderSource:
    """A folder of this machine, taken as it is."""

    path: str  # absolute


@dataclass(frozen=True, kw_only=True)
class PathSource:
    """Something on this machine: which of the above, only a look can say."""

    path: str  # absolute, or relative to whoever asks
    ref: str | None = None
    folder: str = ""  # in the repository
    checksum: str | None = None
    git: bool = False  # a repository, it says


@dataclass(frozen=True, kw_only=True)
class NamedSource:
    """A pack from the configured indexes."""

    need: Need


Source = GitSource | ArchiveSource | PathSource | NamedSource


def read_source(text: str, *, ref: str | None = None, checksum: str | None = None) -> Source:
    """What `text` means. Raises Failure BAD_REQUEST with the way out when it means nothing, or something forbidden."""
    checked_ref = None if ref is None else checked_revision(ref)
    known_checksum = None if checksum is None else checked_checksum(checksum)
    if not text or text.startswith("-") or any(ord(char) < 32 or ord(char) == 127 for char in text):
        raise _bad(f"{text[:80]!r} is no source: give a git URL, an archive's URL or path, or a pack's name")
    named = _named(text)
    if named is not None:
        return _with_nothing(named, checked_ref, known_checksum)
    helper = _HELPER.match(text.removeprefix("git+").removeprefix("archive+"))
    if helper is not None:
        raise _bad(f"the transport '{helper[1]}::' can run programs and is refused: use https, ssh or git")
    kind, _, rest = text.partition("+")
    if kind in ("git", "archive") and rest:
        return _explicit(kind, rest, checked_ref, known_checksum)
    if _SCHEME.match(text):
        return _from_url(text, checked_ref, known_checksum)
    if "/" not in text.partition(":")[0] and _SCP.fullmatch(text):
        return _git(text, checked_ref, known_checksum)
    return _path(text, checked_ref, known_checksum)


def checked_revision(ref: str) -> str:
    """The name of a branch or tag, or a commit's id. Raises Failure BAD_REQUEST."""
    if not ref or len(ref) > 250 or _BAD_REVISION.search(ref):
        raise _bad(f"{ref[:80]!r} can't be a branch, a tag or a commit")
    return ref


def checked_checksum(text: str) -> str:
    """`sha256:` and 64 digits. Raises Failure BAD_REQUEST."""
    found = _CHECKSUM.fullmatch(text.strip())
    if found is None:
        raise _bad(
            f"the checksum {text[:80]!r} is not one: write sha256: and 64 hexadecimal digits, as `sha256sum FILE` says"
        )
    return f"sha256:{found[1].lower()}"


def public_url(url: str) -> str:
    """The same without what may be secret: credentials and the query.

    >>> public_url("https://me:secret@host/pack.zip?token=1")
    'https://host/pack.zip'
    """
    if not _SCHEME.match(url):
        return url
    try:
        parts = urlsplit(url)
    except ValueError:
        return f"{url.partition('://')[0]}://…"
    place = parts.netloc if parts.scheme == "ssh" and ":" not in parts.netloc.partition("@")[0] else _host(parts)
    return urlunsplit((parts.scheme, place, parts.path, "", ""))


def covers(beginning: str, url: str) -> bool:
    """Does a URL beginning of `sources.allow` cover this URL? Whole hosts and whole steps of the path only.

    >>> covers("https://git.example/team", "https://git.example/team/pack.git")
    True
    >>> covers("https://git.example", "https://git.example.evil/pack.git")
    False
    """
    if not _SCHEME.match(beginning) or not _SCHEME.match(url):
        return False
    try:
        allowed, asked = urlsplit(beginning), urlsplit(url)
        same = (allowed.scheme, allowed.hostname, allowed.port) == (asked.scheme, asked.hostname, asked.port)
    except ValueError:
        return False
    if not same or not asked.hostname or ("@" in asked.netloc and asked.scheme in ("http", "https")):
        return False
    steps = [unquote(step) for step in asked.path.split("/")]
    if ".." in steps or "." in steps or any("/" in step for step in steps):
        return False
    prefix = allowed.path.rstrip("/")
    return not prefix or asked.path == prefix or asked.path.startswith(f"{prefix}/")


def _named(text: str) -> NamedSource | None:
    name, at, wanted = text.partition("@")
    if not is_ref(name) or (not at and archive_suffix(text)):
        return None
    if not at:
        return NamedSource(need=Need(ref=name))
    spec = as_range(wanted)
    if spec is None:
        if "/" in wanted or ":" in wanted:
            return None
        raise _bad(f"{wanted[:80]!r} is not a version range; a range is written like '2.1.0', '^2', '>=1.2,<2' or '*'")
    return NamedSource(need=Need(ref=name, range=spec))


def _with_nothing(named: NamedSource, ref: str | None, checksum: str | None) -> NamedSource:
    if ref is not None:
        raise _bad(
            f"a pack of an index has versions, not revisions: write {named.need.ref}@{ref} instead of --ref {ref}"
        )
    if checksum is not None:
        raise _bad("a pack of an index has its checksum there: leave --checksum out")
    return named


def _explicit(kind: str, rest: str, ref: str | None, checksum: str | None) -> Source:
    """`git+…` and `archive+…`."""
    if not _SCHEME.match(rest) and not (kind == "git" and _SCP.fullmatch(rest) and "/" not in rest.partition(":")[0]):
        return _path(rest, ref, checksum, git=kind == "git")
    if rest.lower().startswith("file:"):
        return _from_url(rest, ref, checksum)
    return _git(rest, ref, checksum) if kind == "git" else _archive(rest, ref, checksum)


def _from_url(text: str, ref: str | None, checksum: str | None) -> Source:
    parts = urlsplit_or_bad(text)
    text = parts.scheme + text[len(parts.scheme) :]  # in lower case, as git wants it
    if parts.scheme not in _GIT_SCHEMES:
        raise _bad(
            f"'{parts.scheme}://' is not fetched from: use https, http, ssh, git, or a path on the daemon's machine"
        )
    if parts.scheme == "file":
        if parts.netloc not in ("", "localhost"):
            raise _bad("a file: URL names a path on the daemon's own machine: write it as file:///path")
        folder = f"#{parts.fragment}" if parts.fragment else ""
        return _path(unquote(parts.path) + folder, ref, checksum)
    if parts.scheme in ("http", "https") and archive_suffix(parts.path):
        return _archive(text, ref, checksum)
    return _git(text, ref, checksum)


def urlsplit_or_bad(text: str) -> SplitResult:
    """The parts of a URL that names a host and nothing slippery. Raises Failure BAD_REQUEST."""
    try:
        parts = urlsplit(text)
        host, port = parts.hostname, parts.port
    except ValueError:
        raise _bad(f"{public_url(text)[:200]!r} is no URL: write it as https://host[:port]/path") from None
    if _SLIPPERY.search(text):
        raise _bad(f"the URL {public_url(text)[:200]!r} has a character that must be percent-encoded")
    if parts.scheme != "file" and (not host or port == 0 or parts.netloc.count("@") > 1):
        raise _bad(f"the URL {public_url(text)[:200]!r} names no host")
    if host and not is_host(host):
        raise _bad(f"{host[:80]!r} is not the plain name or address of a host (write a name beyond ASCII as xn--…)")
    return parts


def scp_host(address: str) -> str:
    """The host of `user@host:path` or `user@[::1]:path`; "" when there is none."""
    before = address.partition("]:")[0].rpartition("[")
    if "]:" in address:
        return before[2]
    place, _, path = address.partition(":")
    return "" if path.startswith(":") else place.rpartition("@")[2]


def is_host(host: str) -> bool:
    """A name or an address that every program reads alike; `127.1`, `0x7f000001` and `a%2eb` are not."""
    try:
        return "%" not in str(ip_address(host))
    except ValueError:
        return _HOST.fullmatch(host) is not None and _NUMERIC.fullmatch(host.rpartition(".")[2]) is None


def _archive(url: str, ref: str | None, checksum: str | None) -> ArchiveSource:
    parts = urlsplit_or_bad(url)
    if parts.scheme not in ("http", "https"):
        raise _bad(f"an archive is fetched by https, not by {parts.scheme}")
    if ref is not None:
        raise _bad("an archive has no branches or tags: leave --ref out, or give a git URL")
    if parts.fragment:
        raise _bad("a folder behind # is for git; an archive is taken whole")
    return ArchiveSource(url=url, checksum=checksum)


def _git(url: str, ref: str | None, checksum: str | None) -> GitSource:
    place, _, fragment = url.partition("#")
    if _SCHEME.match(place):
        urlsplit_or_bad(place)
    elif _SLIPPERY.search(place) or not is_host(scp_host(place)) or "]::" in place:
        raise _bad(f"{place[:80]!r} is no git address: write it as user@host:path, or as a URL")
    return GitSource(url=place, ref=ref, path=_folder(fragment), checksum=checksum)


def _path(text: str, ref: str | None, checksum: str | None, *, git: bool = False) -> PathSource:
    path, _, fragment = text.partition("#")
    if "/" not in path and path not in (".", "..", "~") and not archive_suffix(path) and not git:
        raise _bad(
            f"{text[:80]!r} is no source: a pack's name has lower-case letters, digits, - and _; "
            f"for something that lies here write ./{path[:60]}"
        )
    return PathSource(path=path, ref=ref, folder=_folder(fragment), checksum=checksum, git=git)


def _folder(fragment: str) -> str:
    """`packs/core`, `subdirectory=packs/core` → the same, normalised."""
    asked = unquote(fragment).removeprefix("subdirectory=")
    steps = [step for step in asked.split("/") if step not in ("", ".")]
    if ".." in steps or any(ord(char) < 32 or ord(char) == 127 for char in asked):
        raise _bad(f"the folder behind # must lie inside the repository, not {asked[:80]!r}")
    return "/".join(steps)


def _host(parts: SplitResult) -> str:
    return parts.netloc.rpartition("@")[2]


def _bad(sentence: str) -> Failure:
    return Failure(Code.BAD_REQUEST, sentence)
