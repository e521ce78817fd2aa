"""Fetch one revision of a repository: shallow, the pack's folder alone, and nothing that could start a program.

What is written out is the committed tree; submodules stay empty folders and large-file pointers stay pointers.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from difflib import get_close_matches
from pathlib import PurePosixPath
from typing import TYPE_CHECKING, Final

from packd.domain.sources import COMMIT, public_url
from packd.sources.errand import SourceFailure, unavailable, wrong
from packd.sources.git_peer import Peer, behind_redirects, peer_of
from packd.sources.git_program import Ending, Git

if TYPE_CHECKING:
    from pathlib import Path

    from packd.domain.sources import GitSource
    from packd.sources.errand import Errand

_SHORT_COMMIT: Final = re.compile(r"[0-9a-f]{7,64}")
_CREDENTIALS: Final = re.compile(r"(?<=://)[^/@\s]*@")
_SHOWN: Final = 8
_LISTED: Final = 32 * 1024 * 1024  # bytes of a listing: some hundred thousand names
_MANIFEST: Final = "pack.yaml"
_NOT_NOW: Final = ("could not resolve", "connection refused", "connection timed out", "operation timed out", "early eof",
                   "unable to connect", "network is unreachable", "no route to host", "connection reset",
                   "operation too slow", "hung up unexpectedly", "returned error: 5", "returned error: 429")  # fmt: skip


@dataclass(frozen=True, kw_only=True)
class FetchedGit:
    """A folder of ours."""

    path: Path  # of the pack
    commit: str  # the full id
    revision: str  # what was asked for, in full: refs/heads/main, refs/tags/v1, or a commit's id
    found_at: str  # the URL, without what may be secret


def fetch_git(source: GitSource, into: Path, errand: Errand) -> FetchedGit:
    """Put the tree of the revision into a new folder below `into`, an empty folder of ours. Raises SourceFailure."""
    asked_commit = source.ref is not None and COMMIT.fullmatch(source.ref) is not None
    peer = peer_of(source.url, errand, pinned=asked_commit)
    repository = _Repository(into / "git", peer, errand)
    try:
        heads = repository.refs()
    except _RedirectedError:
        url = behind_redirects(peer.url, errand, pinned=asked_commit)
        repository = _Repository(into / "git-redirected", peer_of(url, errand, pinned=asked_commit), errand)
        heads = repository.refs()
    revision, commit = repository.fetch(source.ref, heads)
    repository.check_size(commit, source.path)
    tree = into / "tree" / (PurePosixPath(source.path).name or _name(source.url))
    repository.write_out(commit, source.path, tree)
    return FetchedGit(path=tree, commit=commit, revision=revision, found_at=repository.what)


class _RedirectedError(Exception):
    """It lives somewhere else."""


class _Repository:
    """An empty repository of ours that one revision is fetched into."""

    def __init__(self, folder: Path, peer: Peer, errand: Errand) -> None:
        folder.mkdir(mode=0o700)
        self._folder = folder
        self._peer = peer
        self._errand = errand
        self.what = public_url(peer.shown)
        self._git = Git(
            folder=folder,
            errand=errand,
            transport=peer.transport,
            settings=peer.settings,
            extra_environ=peer.environ,
        )
        self._git.prepare()
        self._local("init", "--quiet", "--template=", "repository")

    def refs(self) -> dict[str, str]:
        """Every branch and tag with its commit, and HEAD."""
        ending = self._git.run("ls-remote", "--", self._peer.url, what=self.what, most_output=_LISTED)
        if ending.status != 0:
            if self._peer.transport in ("http", "https") and re.search(r"returned error: 30\d|redirect", ending.said):
                raise _RedirectedError
            raise self._failure(ending)
        lines = (line.partition("\t") for line in ending.output.splitlines())
        return {name: commit for commit, _, name in lines if name}

    def fetch(self, asked: str | None, refs: dict[str, str]) -> tuple[str, str]:
        """(the revision in full, its commit). A tag is preferred to a branch of the same name, as git does."""
        if not refs:
            raise wrong(f"{self.what} is an empty repository")
        revision = _chosen(asked, refs)
        if revision is not None:
            self._fetch("--depth=1", revision)
            return revision, self._commit("FETCH_HEAD")
        if asked is not None and _SHORT_COMMIT.fullmatch(asked):
            return self._fetch_commit(asked)
        raise self._no_such(asked or "HEAD", refs)

    def check_size(self, commit: str, path: str) -> None:
        """Before anything is written. Raises SourceFailure for a missing folder, and for one that is too large."""
        if path and self._local("cat-file", "-t", f"{commit}:{path}", check=False).output.strip() != "tree":
            raise wrong(f"{self.what} has no folder '{path}' at {commit[:12]}{self._where_packs_are(commit)}")
        listing = self._local("ls-tree", "-r", "-l", "-z", "--full-tree", f"{commit}:{path}")
        entries = listing.output.split("\0")[:-1]
        if len(entries) > self._errand.max_files:
            raise wrong(
                f"{self.what} has {len(entries):,} files; a pack may have {self._errand.max_files:,} (limits.files)"
            )
        names = {entry.split("\t", 1)[1] for entry in entries}
        if sum(_size(entry) for entry in entries) > self._errand.max_bytes:
            raise self._errand.too_large(f"the content of {self.what}")
        if _MANIFEST not in names:
            there = f"in the folder '{path}' of" if path else "at the top of"
            raise wrong(f"there is no {_MANIFEST} {there} {self.what} at {commit[:12]}{self._where_packs_are(commit)}")

    def write_out(self, commit: str, path: str, tree: Path) -> None:
        """By git's plumbing: no hooks, and no filters as none are configured."""
        tree.mkdir(parents=True)
        self._local("read-tree", f"{commit}:{path}")
        self._errand.on_progress("writing out")
        self._local(f"--work-tree={tree}", "checkout-index", "--all", "--quiet", "--force")

    def _fetch_commit(self, asked: str) -> tuple[str, str]:
        """A full id is asked for as such; where the server does not like that, and for a part of an id, by all of its history."""
        if COMMIT.fullmatch(asked) and self._fetch("--depth=1", asked, check=False).status == 0:
            return asked, self._commit("FETCH_HEAD")
        self._fetch("+refs/heads/*:refs/heads/*", "+refs/tags/*:refs/tags/*", "--update-head-ok")
        found = self._local("rev-parse", "--verify", "--quiet", "--end-of-options", f"{asked}^{{commit}}", check=False)
        if found.status != 0:
            raise wrong(f"{self.what} has no commit {asked}, or more than one that begins so")
        commit = found.output.strip()
        return commit, commit

    def _fetch(self, *wanted: str, check: bool = True) -> Ending:
        options = [word for word in wanted if word.startswith("--")]
        refs = [word for word in wanted if not word.startswith("--")]
        ending = self._git.run(
            *self._in_repository, "fetch", "--progress", "--no-tags", "--no-recurse-submodules", *options,
            "--", self._peer.url, *refs, what=self.what,
        )  # fmt: skip
        if check and ending.status != 0:
            raise self._failure(ending)
        return ending

    def _commit(self, name: str) -> str:
        return self._local("rev-parse", "--verify", "--end-of-options", f"{name}^{{commit}}").output.strip()

    def _local(self, *arguments: str, check: bool = True) -> Ending:
        """What asks nobody."""
        where = () if arguments[0] == "init" else self._in_repository
        ending = self._git.run(*where, *arguments, what=self.what, most_output=_LISTED)
        if check and ending.status != 0:
            raise wrong(f"{self.what}: git {arguments[0]} failed: {_last_line(ending.said)}")
        return ending

    @property
    def _in_repository(self) -> tuple[str, ...]:
        return (f"--git-dir={self._folder}/repository/.git",)

    def _where_packs_are(self, commit: str) -> str:
        listing = self._local("ls-tree", "-r", "-z", "--name-only", "--full-tree", commit, check=False).output
        found = sorted(name.rpartition("/")[0] for name in listing.split("\0") if name.endswith(f"/{_MANIFEST}"))
        if not found:
            return ""
        return f"; there are packs in {_some(found)}: name one behind a #, as in {self.what}#{found[0]}"

    def _no_such(self, asked: str, refs: dict[str, str]) -> SourceFailure:
        names = sorted(
            {ref.split("/", 2)[2].removesuffix("^{}") for ref in refs if ref.startswith(("refs/heads/", "refs/tags/"))}
        )
        near = get_close_matches(asked, names, n=1)
        hint = f"did you mean '{near[0]}'?" if near else f"there are: {_some(names)}"
        return wrong(f"{self.what} has no branch, tag or commit '{asked}'; {hint}")

    def _hit_the_limit(self) -> bool:
        """Did the system stop a file of it from growing?"""
        files = (self._folder / "repository" / ".git" / "objects").rglob("*")
        return any(file.stat().st_size >= self._errand.max_bytes for file in files if file.is_file())

    def _failure(self, ending: Ending) -> SourceFailure:
        """What git says, in one line, without credentials, and with the way out where there is a known one."""
        said = _CREDENTIALS.sub("", ending.said).replace(self._peer.url, self.what)
        lowered = said.lower()
        sentence = (
            f"{self.what}: {_last_line(said) or f'git ended with {ending.status}'}{_way_out(lowered, self._peer)}"
        )
        if self._hit_the_limit():
            return self._errand.too_large(self.what)
        if any(word in lowered for word in _NOT_NOW):
            return unavailable(sentence)
        return wrong(sentence, elsewhere=True)


def _chosen(asked: str | None, refs: dict[str, str]) -> str | None:
    if asked is None:
        return "HEAD" if "HEAD" in refs else None
    candidates = (asked, f"refs/tags/{asked}", f"refs/heads/{asked}") if asked != "HEAD" else ("HEAD",)
    return next((name for name in candidates if name in refs and (name == "HEAD" or name.startswith("refs/"))), None)


def _way_out(said: str, peer: Peer) -> str:
    if "host key verification failed" in said:
        return f"; if you trust that host: ssh-keyscan {peer.host} >> ~/.ssh/known_hosts, as the daemon's user"
    if "permission denied" in said and peer.transport == "ssh":
        return "; the daemon's user needs a key for it, without a passphrase or in an agent"
    if "could not read username" in said or "authentication failed" in said or "terminal prompts disabled" in said:
        return "; it does not exist, or wants credentials: use ssh with a key, or https://USER:TOKEN@…"
    return ""


def _size(entry: str) -> int:
    """Of one line of ls-tree: mode, type, id, size, tab, name."""
    size = entry.split("\t", 1)[0].split()[3]
    return int(size) if size.isdigit() else 0


def _last_line(said: str) -> str:
    """The line that says what went wrong: the last `fatal:` or `error:`, else the last one."""
    lines = said.splitlines()
    telling = [line for line in lines if line.startswith(("fatal:", "error:", "remote: ", "ssh:"))] or lines
    first = next((line for line in telling if line.startswith("fatal:")), telling[-1] if telling else "")
    return first.removeprefix("fatal: ").removeprefix("error: ")[:300]


def _some(names: list[str]) -> str:
    more = len(names) - _SHOWN
    return ", ".join(names[:_SHOWN]) + (f" and {more} more" if more > 0 else "") if names else "none"


def _name(url: str) -> str:
    """`https://host/team/netops.git` → `netops`."""
    last = url.rstrip("/").removesuffix("/.git").replace(":", "/").rpartition("/")[2].removesuffix(".git")
    return "".join(char for char in last if char.isalnum() or char in "._-").lstrip(".")[:100] or "pack"
