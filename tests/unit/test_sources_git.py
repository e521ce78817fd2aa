"""Packs out of real repositories, over every transport that needs no account, and what is never done."""

from __future__ import annotations

import os
import random
import socket
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from packd.domain.failures import Code, Failure
from packd.domain.sources import GitSource
from packd.sources.errand import Errand
from packd.sources.git import FetchedGit, fetch_git
from tests.unit.sources_ground import Repository, Web, certificate, git_daemon, needs_git, needs_openssl

pytestmark = needs_git


@pytest.fixture
def web() -> Iterator[Web]:
    web = Web()
    yield web
    web.close()


@pytest.fixture
def repository(tmp_path: Path) -> Repository:
    """Three commits: v1, then v2, then the head of main; `next` is a branch with a folder of its own."""
    made = Repository(tmp_path / "served" / "hello")
    made.write("pack.yaml")
    made.write("packs/core/pack.yaml", "ref: core\nversion: '1.0.0'\n")
    made.commit("one", tag="v1")
    made.write("news", "two")
    made.commit("two", tag="v2")
    made.write("news", "three")
    made.commit("three")
    made.git("branch", "next")
    return made


def fetch(tmp_path: Path, url: str, ref: str | None = None, path: str = "", errand: Errand | None = None) -> FetchedGit:
    into = tmp_path / f"into-{time.monotonic_ns()}"
    into.mkdir()
    return fetch_git(GitSource(url=url, ref=ref, path=path), into, errand or Errand(allow_private=True, timeout_s=60))


def refusal(tmp_path: Path, url: str, **more: object) -> Failure:
    with pytest.raises(Failure) as caught:
        fetch(tmp_path, url, **more)  # type: ignore[arg-type]
    return caught.value


def test_by_git_daemon(tmp_path: Path, repository: Repository) -> None:
    """git:// gives the head of the default branch, its commit is known, and no history or .git comes along."""
    with git_daemon(tmp_path / "served") as url:
        fetched = fetch(tmp_path, f"{url}/hello")
    assert fetched.commit == repository.git("rev-parse", "main")
    assert (fetched.path / "news").read_text() == "three"
    assert not (fetched.path / ".git").exists()
    assert fetched.path.name == "hello"
    assert fetched.found_at == f"{url}/hello"


def test_by_smart_http(tmp_path: Path, web: Web, repository: Repository) -> None:
    """http gives a tag's commit, though the tag is an object of its own."""
    web.git_root = tmp_path / "served"
    fetched = fetch(tmp_path, f"{web.url}/hello", "v2")
    assert (fetched.revision, fetched.commit) == ("refs/tags/v2", repository.git("rev-parse", "v2^{commit}"))
    assert (fetched.path / "news").read_text() == "two"


@pytest.mark.parametrize("length", [40, 10])
def test_a_commit_by_its_id(tmp_path: Path, repository: Repository, length: int) -> None:
    """A commit that no branch or tag names is found by its id, or by the beginning of it."""
    commit = repository.git("rev-parse", "main~1")
    repository.git("tag", "-d", "v2")
    with git_daemon(tmp_path / "served") as url:
        fetched = fetch(tmp_path, f"{url}/hello", commit[:length])
    assert fetched.commit == commit
    assert (fetched.path / "news").read_text() == "two"


def test_a_branch_of_a_path(tmp_path: Path, repository: Repository) -> None:
    """A repository on this machine is fetched like any other, whoever owns it."""
    fetched = fetch(tmp_path, str(repository.folder), "next")
    assert fetched.revision == "refs/heads/next"


@needs_openssl
def test_by_https(tmp_path: Path, repository: Repository, monkeypatch: pytest.MonkeyPatch) -> None:
    """The certificate is verified, against what the machine trusts and SSL_CERT_FILE."""
    context, trusted = certificate(tmp_path)
    web = Web(context)
    web.git_root = tmp_path / "served"
    try:
        assert "certificate" in refusal(tmp_path, f"{web.url}/hello").sentence
        monkeypatch.setenv("SSL_CERT_FILE", str(trusted))
        assert (fetch(tmp_path, f"{web.url}/hello").path / "news").read_text() == "three"
    finally:
        web.close()


@pytest.mark.parametrize("form", ["ssh://git@localhost:2222{path}", "git@localhost:{path}"])
def test_by_ssh(tmp_path: Path, repository: Repository, monkeypatch: pytest.MonkeyPatch, form: str) -> None:
    """ssh is told to ask nobody, to trust only known keys of the name, and which address to connect to."""
    said = tmp_path / "said"
    program = tmp_path / "bin" / "ssh"
    program.parent.mkdir()
    program.write_text(f'#!/bin/sh\necho "$@" >> {said}\nfor last; do :; done\nGIT_CONFIG_COUNT=0 exec sh -c "$last"\n')
    program.chmod(0o755)
    monkeypatch.setenv("PATH", f"{program.parent}:{os.environ['PATH']}")
    fetched = fetch(tmp_path, form.format(path=repository.folder), "v1")
    assert fetched.commit == repository.git("rev-parse", "v1^{commit}")
    options = said.read_text()
    for option in ("BatchMode=yes", "StrictHostKeyChecking=yes", "ForwardAgent=no"):
        assert f"-o {option}" in options
    assert any(f"HostName={address}" in options for address in ("127.0.0.1", "::1"))
    assert f"HostKeyAlias={'[localhost]:2222' if '2222' in form else 'localhost'}" in options


def test_a_folder_of_it(tmp_path: Path, repository: Repository) -> None:
    """`#path` gives that folder alone."""
    fetched = fetch(tmp_path, str(repository.folder), path="packs/core")
    assert [entry.name for entry in fetched.path.iterdir()] == ["pack.yaml"]
    assert fetched.path.name == "core"


def test_what_is_not_there_is_said_with_what_is(tmp_path: Path, repository: Repository) -> None:
    """A wrong name of a revision or folder gets the nearest, or a list."""
    url = str(repository.folder)
    assert "no branch, tag or commit 'v22'; did you mean 'v2'" in refusal(tmp_path, url, ref="v22").sentence
    assert "no commit abcdef1234" in refusal(tmp_path, url, ref="abcdef1234").sentence
    assert "there are packs in packs/core" in refusal(tmp_path, url, path="nowhere").sentence
    assert "no pack.yaml in the folder 'packs'" in refusal(tmp_path, url, path="packs").sentence
    assert refusal(tmp_path, str(tmp_path / "nothing")).code == Code.BAD_REQUEST


def test_a_moved_repository_is_followed_by_judged_hops(tmp_path: Path, web: Web, repository: Repository) -> None:
    """git itself follows nothing; packd does, and looks at each address."""
    web.git_root = tmp_path / "served"
    web.redirect("/old/info/refs", f"{web.url}/hello/info/refs?service=git-upload-pack")
    assert fetch(tmp_path, f"{web.url}/old").found_at == f"{web.url}/hello"
    web.redirect("/bad/info/refs", "http://169.254.169.254/latest/info/refs")
    refused = refusal(tmp_path, f"{web.url}/bad")
    assert refused.code == Code.FORBIDDEN


def test_private_addresses_need_the_setting(tmp_path: Path, web: Web, repository: Repository) -> None:
    """Loopback is refused by default, whatever the transport, and nothing is asked there."""
    for url in (f"{web.url}/hello", "git://127.0.0.1:1/hello", "ssh://git@127.0.0.1/hello", "git@127.0.0.1:hello"):
        refused = refusal(tmp_path, url, errand=Errand(timeout_s=20))
        assert refused.code == Code.FORBIDDEN
        assert "sources.allow_private" in refused.sentence
    assert web.asked == []


def test_metadata_addresses_are_never_asked(tmp_path: Path) -> None:
    """Not even where private networks are allowed."""
    assert refusal(tmp_path, "https://169.254.169.254/x.git").code == Code.FORBIDDEN
    assert refusal(tmp_path, "ssh://169.254.169.254/x.git").code == Code.FORBIDDEN


def test_unencrypted_needs_a_pin_or_a_setting(tmp_path: Path) -> None:
    """http and git:// beyond this machine are refused with the three ways out."""
    refused = refusal(tmp_path, "git://git.example/x")
    assert refused.code == Code.FORBIDDEN
    assert "sources.allow" in refused.sentence


def test_hooks_filters_and_submodules_do_nothing(tmp_path: Path, repository: Repository) -> None:
    """A repository that asks for programs to be run is written out as it is, and nothing runs."""
    mark = tmp_path / "ran"
    repository.write(".gitattributes", "*.txt filter=evil diff=evil\n")
    repository.write("a.txt", "text")
    repository.write(".lfsconfig", "[lfs]\n\turl = ext::touch ran\n")
    repository.write(".gitmodules", f'[submodule "x"]\n\tpath = x\n\turl = ext::sh -c "touch {mark}"\n')
    for hook in ("post-checkout", "pre-auto-gc", "post-merge", "reference-transaction"):
        script = repository.folder / ".git" / "hooks" / hook
        script.parent.mkdir(exist_ok=True)
        script.write_text(f"#!/bin/sh\ntouch {mark}\n")
        script.chmod(0o755)
    repository.git("config", "filter.evil.smudge", f"touch {mark}")
    repository.git("-c", "core.hooksPath=/dev/null", "-c", "filter.evil.smudge=cat", "add", "--all", "--force")
    repository.git("-c", "core.hooksPath=/dev/null", "update-index", "--add", "--cacheinfo",
                   f"160000,{repository.git('rev-parse', 'v1^{commit}')},x")  # fmt: skip
    repository.git("-c", "core.hooksPath=/dev/null", "commit", "--quiet", "-m", "evil")
    fetched = fetch(tmp_path, str(repository.folder))
    assert (fetched.path / "a.txt").read_text() == "text"
    assert not mark.exists()


def test_the_machines_git_configuration_does_not_count(
    tmp_path: Path, repository: Repository, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Neither variables nor files of the daemon's user reach git."""
    mark = tmp_path / "ran"
    config = tmp_path / "evil-config"
    config.write_text(f'[core]\n\tfsmonitor = touch {mark}\n[url "ext::touch {mark} "]\n\tinsteadOf = /\n')
    monkeypatch.setenv("GIT_CONFIG_GLOBAL", str(config))
    monkeypatch.setenv("GIT_CONFIG_COUNT", "1")
    monkeypatch.setenv("GIT_CONFIG_KEY_0", "core.sshCommand")
    monkeypatch.setenv("GIT_CONFIG_VALUE_0", f"touch {mark}")
    monkeypatch.setenv("GIT_DIR", "/nonexistent")
    assert (fetch(tmp_path, str(repository.folder)).path / "pack.yaml").exists()
    assert not mark.exists()


def test_links_come_as_links(tmp_path: Path, repository: Repository) -> None:
    """Judging them is the snapshot's work; nothing is written through them here."""
    (repository.folder / "escape").symlink_to(tmp_path / "outside")
    repository.commit("link")
    assert (fetch(tmp_path, str(repository.folder)).path / "escape").is_symlink()


def test_size_and_number_end_it(tmp_path: Path, repository: Repository) -> None:
    """Too much content and too many files are refused before they are written out."""
    repository.write("large", "x" * 300_000)
    repository.commit("large")
    url = str(repository.folder)
    too_large = refusal(tmp_path, url, errand=Errand(max_bytes=200_000))
    assert "limits.bytes_mb" in too_large.sentence
    too_many = refusal(tmp_path, url, errand=Errand(max_files=2))
    assert "limits.files" in too_many.sentence


def test_a_tree_that_unfolds_into_billions_of_files(tmp_path: Path, repository: Repository) -> None:
    """A few hundred bytes that name themselves again and again are refused before anything is written out."""
    inner = repository.git("hash-object", "-w", "pack.yaml")
    kind, mode = "blob", "100644"
    for _ in range(10):
        lines = "".join(f"{mode} {kind} {inner}\tf{number}\n" for number in range(10))
        inner = repository.git("mktree", text=lines)
        kind, mode = "tree", "040000"
    commit = repository.git("commit-tree", "-m", "bomb", inner)
    repository.git("branch", "bomb", commit)
    began = time.monotonic()
    assert "git lists more than packd reads" in refusal(tmp_path, str(repository.folder), ref="bomb").sentence
    assert time.monotonic() - began < 30


def test_what_comes_over_the_wire_is_limited_too(tmp_path: Path, repository: Repository) -> None:
    """A pack file that does not end is cut off while it grows."""
    repository.write("noise", random.Random(1).randbytes(400_000).hex())
    repository.commit("noise")
    too_large = refusal(tmp_path, str(repository.folder), errand=Errand(max_bytes=200_000))
    assert "larger than" in too_large.sentence


def test_a_server_that_says_nothing_is_left(tmp_path: Path) -> None:
    """The time ends it, helpers of git included, and the sentence says how long it was."""
    with socket.socket() as silent:
        silent.bind(("127.0.0.1", 0))
        silent.listen()
        began = time.monotonic()
        refused = refusal(
            tmp_path, f"git://127.0.0.1:{silent.getsockname()[1]}/x", errand=Errand(allow_private=True, timeout_s=1)
        )
    assert refused.code == Code.UNAVAILABLE
    assert "not finished within 1 s" in refused.sentence
    assert time.monotonic() - began < 10


def test_cancelling_ends_it(tmp_path: Path) -> None:
    """Who no longer waits is not worked for."""
    refused = refusal(tmp_path, "git://127.0.0.1:1/x", errand=Errand(allow_private=True, cancelled=lambda: True))
    assert refused.code == Code.UNAVAILABLE


def test_credentials_are_not_repeated(tmp_path: Path, web: Web) -> None:
    """What git says of a URL never shows its password."""
    place = web.url.removeprefix("http://")
    refused = refusal(tmp_path, f"http://ada:s3cret@{place}/nothing")
    assert "s3cret" not in refused.sentence
    assert f"{web.url}/nothing" in refused.sentence


def test_progress_is_told(tmp_path: Path, repository: Repository) -> None:
    """Whoever waits sees that it goes on."""
    said: list[str] = []
    fetch(tmp_path, str(repository.folder), errand=Errand(on_progress=said.append))
    assert said
