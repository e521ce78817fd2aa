"""Installing into the real daemon: from real git servers, archive servers and indexes on loopback, all or nothing."""

from __future__ import annotations

import contextlib
import hashlib
import io
import json
import shutil
import signal
import tarfile
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler
from pathlib import Path
from typing import Any

import pytest
from daemon import Daemon
from packs import write_pack

from packd.client import Client
from packd.domain.failures import Code, Failure
from tests.unit.sources_ground import Repository, Web, git_daemon, needs_git

FAILING = 'echo "Total Tests: 2"; echo "Passed: 1"; echo "Failed: 1"; exit 1'


@pytest.fixture(scope="module")
def web() -> Iterator[Web]:
    web = Web()
    yield web
    web.close()


@pytest.fixture(scope="module")
def running(tmp_path_factory: pytest.TempPathFactory, web: Web) -> Iterator[Daemon]:
    """One daemon for all, with an index on the web server that each test fills with packs of its own."""
    site = {"name": "main", "url": f"{web.url}/index.json"}
    sources = {"allow_private": True, "indexes": [site], "timeout_s": 30}
    daemon = Daemon(tmp_path_factory.mktemp("install"), sources=sources)
    web.page("/index.json", b'{"packs": []}')
    daemon.start()
    yield daemon
    assert daemon.stop() == 0


@pytest.fixture
def shelf(web: Web, tmp_path: Path) -> Shelf:
    return Shelf(web, tmp_path)


class Shelf:
    """The index and the archives that it names."""

    def __init__(self, web: Web, folder: Path) -> None:
        self.web = web
        self.folder = folder
        self.entries: list[dict[str, Any]] = []

    def archive(self, ref: str, version: str = "1.0.0", *, needs: str = "", test: str = "exit 0") -> tuple[str, str]:
        """(URL, checksum) of a pack's archive."""
        where = write_pack(self.folder / f"{ref}-{version}", ref, version, needs=needs, test=test)
        packed = io.BytesIO()
        with tarfile.open(fileobj=packed, mode="w:gz") as tar:
            tar.add(where, arcname=where.name)
        content = packed.getvalue()
        url = self.web.page(f"/{ref}-{version}.tar.gz", content)
        return url, f"sha256:{hashlib.sha256(content).hexdigest()}"

    def offer(self, ref: str, version: str = "1.0.0", *needs: str, test: str = "exit 0", **more: Any) -> None:
        """Put a pack into the index."""
        url, checksum = self.archive(ref, version, needs=", ".join(f'"{need}"' for need in needs), test=test)
        source = {"type": "archive", "url": url, "checksum": checksum}
        entry = {"ref": ref, "version": version, "install_sources": [source], "dependencies": {"packs": list(needs)}}
        self.entries.append(entry | more)
        self.web.page("/index.json", json.dumps({"registry_name": "main", "packs": self.entries}).encode())


def install(daemon: Daemon, source: str, **wish: Any) -> dict[str, Any]:
    answer: dict[str, Any] = Client(daemon.socket).post("/packs/install", {"source": source, **wish})
    return answer


def refusal(daemon: Daemon, source: str, **wish: Any) -> Failure:
    with pytest.raises(Failure) as caught:
        install(daemon, source, **wish)
    return caught.value


def in_use(daemon: Daemon, ref: str) -> str | None:
    try:
        pack = Client(daemon.socket).get(f"/packs/{ref}")["data"]
    except Failure:
        return None
    return pack["active"]["version"] if pack["active"] else None


@needs_git
def test_from_git(running: Daemon, tmp_path: Path) -> None:
    """A tag of a repository, a folder of it; the commit is part of the revision; what exists needs replace."""
    repository = Repository(tmp_path / "served" / "packs")
    write_pack(repository.folder / "deep" / "g_one", "g_one", "1.0.0")
    commit = repository.commit(tag="v1")
    write_pack(repository.folder / "deep" / "g_one", "g_one", "1.1.0")
    newer = repository.commit()
    with git_daemon(tmp_path / "served") as url:
        done = install(running, f"{url}/packs#deep/g_one", ref_spec="v1")
        assert done["data"]["pack"]["version"] == "1.0.0"
        assert done["data"]["test_result"]["status"] == "passed"
        shown = done["data"]["revision"]
        assert shown["provenance"] == {
            "kind": "git", "source": f"{url}/packs", "ref": "refs/tags/v1", "commit": commit, "folder": "deep/g_one",
        }  # fmt: skip
        assert shown["actor"].startswith("uid=")
        assert shown["path"] == f"{url}/packs#deep/g_one"
        exists = refusal(running, f"{url}/packs#deep/g_one")
        assert exists.code == Code.CONFLICT
        assert exists.sentence.startswith("Pack 'g_one' already exists. Use force=true to reinstall.")
        again = install(running, f"{url}/packs#deep/g_one", replace=True)
        assert again["data"]["revision"]["provenance"]["commit"] == newer
        assert "there are packs in deep/g_one" in refusal(running, f"{url}/packs").sentence
    assert in_use(running, "g_one") == "1.1.0"


def test_from_an_archive(running: Daemon, shelf: Shelf) -> None:
    """With its checksum; a wrong one leaves nothing behind; a path is for the daemon's own user."""
    url, checksum = shelf.archive("a_one")
    assert "checksum" in refusal(running, url, checksum="sha256:" + "0" * 64).sentence
    assert in_use(running, "a_one") is None
    done = install(running, url, checksum=checksum)
    assert done["data"]["revision"]["provenance"] == {
        "kind": "archive", "source": url, "checksum": checksum, "pinned": True,
    }  # fmt: skip
    write_pack(shelf.folder / "here", "a_two")
    assert install(running, str(shelf.folder / "here"))["data"]["revision"]["provenance"]["kind"] == "folder"


def test_hostile_archives(running: Daemon, shelf: Shelf, web: Web) -> None:
    """A bomb, a way out and a way to the metadata service are refused; nothing is registered or left on the disk."""
    bomb = io.BytesIO()
    with tarfile.open(fileobj=bomb, mode="w:gz") as tar:
        info = tarfile.TarInfo("zeros")
        info.size = 60 * 1024 * 1024
        tar.addfile(info, _Zeros(info.size))
    assert "looks like a bomb" in refusal(running, web.page("/bomb.tar.gz", bomb.getvalue())).sentence
    escaping = io.BytesIO()
    with tarfile.open(fileobj=escaping, mode="w") as tar:
        tar.addfile(tarfile.TarInfo("../../evil"), io.BytesIO())
    assert refusal(running, web.page("/evil.tar", escaping.getvalue())).code == Code.BAD_REQUEST
    to_metadata = refusal(running, web.redirect("/meta.zip", "http://169.254.169.254/x.zip"))
    assert to_metadata.code == Code.FORBIDDEN
    assert list((running.state / "fetch").iterdir()) == []


class _Zeros(io.RawIOBase):
    def __init__(self, size: int) -> None:
        self.left = size

    def read(self, size: int = -1) -> bytes:
        taken = min(size, self.left)
        self.left -= taken
        return bytes(taken)


def test_with_what_it_needs(running: Daemon, shelf: Shelf) -> None:
    """From an index: dry run, then everything in order; what is needed is kept as needed by whom."""
    shelf.offer("d_base", "1.0.0")
    shelf.offer("d_base", "2.0.0")
    shelf.offer("d_core", "1.2.0", "d_base@<2")
    shelf.offer("d_net", "1.0.0", "d_core@^1", "d_base")
    planned = install(running, "d_net", dry_run=True)
    steps = [(step["ref"], step["version"], step["action"]) for step in planned["data"]["plan"]]
    assert steps == [("d_base", "1.0.0", "install"), ("d_core", "1.2.0", "install"), ("d_net", "1.0.0", "install")]
    assert in_use(running, "d_base") is None
    done = install(running, "d_net")
    assert [one["ref"] for one in done["data"]["installed"]] == ["d_base", "d_core", "d_net"]
    assert done["message"].endswith("; with it: d_base#1, d_core#1")
    assert {in_use(running, ref) for ref in ("d_base", "d_core", "d_net")} == {"1.0.0", "1.2.0"}
    base = done["data"]["installed"][0]["provenance"]
    assert (base["index"], base["needed_by"]) == ("main", ["d_core", "d_net"])
    again = install(running, "d_net", replace=True)
    assert again["data"]["unchanged"] is True


def test_all_or_nothing(running: Daemon, shelf: Shelf) -> None:
    """When a later one fails its tests, what was installed before is removed, or rolled back, again."""
    shelf.offer("f_old", "1.0.0")
    install(running, "f_old")
    shelf.offer("f_old", "2.0.0")
    shelf.offer("f_new", "1.0.0")
    shelf.offer("f_bad", "1.0.0", "f_old@>=2", "f_new", test=FAILING)
    refused = refusal(running, "f_bad")
    assert refused.code == Code.BAD_REQUEST
    assert refused.sentence.startswith("Pack registration failed: tests did not pass.")
    assert "nothing was installed" in refused.sentence
    assert "f_new 1.0.0 was removed again" in refused.sentence
    assert "f_old 2.0.0 was rolled back to 1.0.0" in refused.sentence
    assert [in_use(running, ref) for ref in ("f_old", "f_new", "f_bad")] == ["1.0.0", None, None]
    forced = install(running, "f_bad", force=True)
    assert forced["data"]["forced"] is True
    assert [in_use(running, ref) for ref in ("f_old", "f_new", "f_bad")] == ["2.0.0", "1.0.0", "1.0.0"]


def test_packs_that_need_each_other(running: Daemon, shelf: Shelf) -> None:
    """They become active together, and one that fails takes the other with it."""
    shelf.offer("c_left", "1.0.0", "c_right")
    shelf.offer("c_right", "1.0.0", "c_left")
    install(running, "c_left")
    assert [in_use(running, ref) for ref in ("c_left", "c_right")] == ["1.0.0", "1.0.0"]
    shelf.offer("c_up", "1.0.0", "c_down")
    shelf.offer("c_down", "1.0.0", "c_up", test=FAILING)
    assert refusal(running, "c_up").code == Code.BAD_REQUEST
    assert [in_use(running, ref) for ref in ("c_up", "c_down")] == [None, None]


def test_what_can_not_be(running: Daemon, shelf: Shelf, tmp_path: Path) -> None:
    """An impossible set is explained by who asks for what; a fetched pack's needs count like those of an index."""
    shelf.offer("i_core", "1.0.0")
    shelf.offer("i_core", "2.0.0")
    shelf.offer("i_a", "1.0.0", "i_core@<2")
    shelf.offer("i_b", "1.0.0", "i_a", "i_core@>=2")
    said = refusal(running, "i_b").sentence
    assert "i_a 1.0.0 needs i_core <2" in said
    assert "i_b 1.0.0 needs i_core >=2" in said
    where = write_pack(tmp_path / "i_c", "i_c", needs='"i_nothing"')
    assert "no index has 'i_nothing'" in refusal(running, str(where)).sentence
    write_pack(where, "i_c", needs='"i_core@<2"')
    done = install(running, str(where))
    assert [one["ref"] for one in done["data"]["installed"]] == ["i_core", "i_c"]


def test_an_index_that_is_wrong(running: Daemon, shelf: Shelf) -> None:
    """What it says of a pack must be what the pack says; a source that is away makes room for the next one."""
    url, checksum = shelf.archive("w_one", "1.0.0")
    shelf.offer("w_two", "1.0.0")
    shelf.entries[-1] |= {"ref": "w_three"}
    shelf.offer("w_four", "1.0.0")
    gone = {"type": "archive", "url": f"{shelf.web.url}/gone.zip"}
    shelf.entries[-1]["install_sources"].insert(0, gone)
    shelf.offer("w_five", "1.0.0")
    shelf.entries[-1]["install_sources"].insert(0, {"type": "archive", "url": url, "checksum": "sha256:" + "0" * 64})
    shelf.offer("w_six", "1.0.0")
    assert "and it is w_two 1.0.0" in refusal(running, "w_three").sentence
    assert install(running, "w_four")["data"]["pack"]["version"] == "1.0.0"
    assert checksum in refusal(running, "w_five").sentence


def test_outdated_and_upgrade(running: Daemon, shelf: Shelf) -> None:
    """What an index has newer, what holds it back, and all of it brought up to date in one step."""
    shelf.offer("u_core", "1.0.0")
    shelf.offer("u_net", "1.0.0", "u_core@<2")
    install(running, "u_net")
    shelf.offer("u_core", "1.1.0")
    shelf.offer("u_core", "2.0.0")
    client = Client(running.socket)
    (found,) = [one for one in client.get("/indexes/outdated")["items"] if one["ref"] == "u_core"]
    assert (found["version"], found["newest"], found["fits"]) == ("1.0.0", "2.0.0", "1.1.0")
    assert found["held_by"] == ["u_net needs u_core <2"]
    assert client.post("/packs/upgrade", {"refs": ["u_core"]})["message"] == "upgraded: u_core 1.0.0 → 1.1.0"
    shelf.offer("u_net", "2.0.0", "u_core@>=2,<3")
    planned = client.post("/packs/upgrade", {"refs": ["u_core", "u_net"], "dry_run": True})
    assert planned["message"].startswith("would be upgraded")
    client.post("/packs/upgrade", {"refs": ["u_core", "u_net"]})
    assert [in_use(running, ref) for ref in ("u_core", "u_net")] == ["2.0.0", "2.0.0"]
    assert client.post("/packs/upgrade", {"refs": ["u_core"]})["message"].startswith("every pack is at")
    shelf.offer("u_core", "3.0.0")
    shelf.offer("u_net", "3.0.0", "u_core@>=3", test=FAILING)
    with pytest.raises(Failure, match="nothing was installed"):
        client.post("/packs/upgrade", {"refs": ["u_core", "u_net"]})
    assert [in_use(running, ref) for ref in ("u_core", "u_net")] == ["2.0.0", "2.0.0"]
    with pytest.raises(Failure, match="no revision of 'u_nothing' is in use"):
        client.post("/packs/upgrade", {"refs": ["u_nothing"]})


def test_progress_is_followed(running: Daemon, shelf: Shelf) -> None:
    """A job tells what is fetched, the plan, the revisions and every case."""
    shelf.offer("p_core")
    heard: list[str] = []
    client = Client(running.socket)
    client.post_followed("/packs/install", {"source": "p_core"}, on_message=lambda name, _: heard.append(name))
    assert heard[0] == "job"
    assert {"fetch", "plan", "revision", "case"} <= set(heard)


def test_cancelling_ends_the_fetch(running: Daemon, web: Web) -> None:
    """A job that is cancelled while it fetches ends at once, and leaves nothing behind."""
    asked, gone = threading.Event(), threading.Event()

    def page(handler: BaseHTTPRequestHandler) -> None:
        handler.send_response(200)
        handler.send_header("content-length", "1000000")
        handler.end_headers()
        asked.set()
        for _ in range(400):
            handler.wfile.write(b"x")  # breaks when nobody reads any more
            if gone.wait(0.05):
                return

    web.pages["/slow.zip"] = page
    jobs: list[str] = []
    follower = threading.Thread(target=_follow, args=(running, f"{web.url}/slow.zip", jobs))
    follower.start()
    assert asked.wait(30)
    client = Client(running.socket)
    client.delete(f"/jobs/{jobs[0]}")
    follower.join(10)
    gone.set()
    assert not follower.is_alive()
    assert client.get(f"/jobs/{jobs[0]}")["data"]["state"] == "cancelled"
    assert list((running.state / "fetch").iterdir()) == []


def test_by_the_command_line(running: Daemon, shelf: Shelf) -> None:
    """Dry run as a tree, install, search, outdated and upgrade, with their exit statuses."""
    shelf.offer("l_base", "1.0.0", description="The base of all lists")
    shelf.offer("l_net", "1.0.0", "l_base")
    shelf.offer("l_bad", "1.0.0", "l_base", test=FAILING)
    planned = running.cli("install", "l_net@^1", "--dry-run")
    assert planned.returncode == 0, planned.stderr
    assert planned.stdout.splitlines() == [
        f"l_net 1.0.0 (new, index main) from {shelf.web.url}/l_net-1.0.0.tar.gz",
        f"└── l_base 1.0.0 (new, index main) from {shelf.web.url}/l_base-1.0.0.tar.gz",
    ]
    failed = running.cli("install", "l_bad")
    assert failed.returncode == 1
    assert "l_base 1.0.0 was removed again" in failed.stderr
    done = running.cli("install", "l_net")
    assert (done.returncode, "l_net#1" in done.stdout) == (0, True), done
    again = running.cli("install", "l_net")
    assert again.returncode == 1
    assert "--replace" in again.stderr
    assert running.cli("install", "l_net", "--replace").returncode == 0
    for wrong in (("l_net", "--ref", "v1"), ("ext::sh",), ("l_net@x",)):
        assert running.cli("install", *wrong).returncode == 2, wrong
    assert running.cli("install", "./nothing-here").returncode == 1

    found = running.cli("search", "lists", "BASE")
    assert found.returncode == 0
    assert "l_base  1.0.0    1.0.0   main   The base of all lists" in found.stdout
    assert running.cli("search", "nothing-like-this").returncode == 1
    shelf.offer("l_base", "1.1.0")
    late = running.cli("outdated", "--json")
    assert late.returncode == 1
    assert [one["fits"] for one in json.loads(late.stdout) if one["ref"] == "l_base"] == ["1.1.0"]
    assert "l_base 1.1.0 (instead of 1.0.0" in running.cli("upgrade", "l_base", "--dry-run").stdout
    upgraded = running.cli("upgrade", "l_base")
    assert upgraded.stdout.endswith("upgraded: l_base 1.0.0 → 1.1.0\n"), upgraded
    assert running.cli("upgrade", "l_nothing").returncode == 1


def test_a_crash_in_the_middle_is_taken_back(tmp_path: Path, shelf: Shelf) -> None:
    """What was installed before the crash is as it was at the next start; a second start has nothing to do."""
    site = {"name": "main", "url": f"{shelf.web.url}/index.json"}
    daemon = Daemon(tmp_path, sources={"allow_private": True, "indexes": [site]})
    daemon.start()
    try:
        shelf.offer("k_old", "1.0.0")
        install(daemon, "k_old")
        shelf.offer("k_old", "2.0.0")
        shelf.offer("k_new", "1.0.0")
        shelf.offer("k_top", "1.0.0", "k_old@>=2", "k_new", test="sleep 100")
        follower = threading.Thread(target=_follow, args=(daemon, "k_top", jobs := []), daemon=True)
        follower.start()
        daemon.wait_until(lambda: in_use(daemon, "k_old") == "2.0.0", "what it needs")
        daemon.wait_until(lambda: _phase(daemon, "k_top") == "validated", "its tests to run")
        daemon.kill()
        daemon.start()
        assert [in_use(daemon, ref) for ref in ("k_old", "k_new", "k_top")] == ["1.0.0", None, None]
        assert Client(daemon.socket).get(f"/jobs/{jobs[0]}")["data"]["state"] == "failed"
        assert [line["undone"] for line in daemon.logged() if line["event"] == "install.taken_back"] == [
            ["k_old 2.0.0 was rolled back to 1.0.0", "k_new 1.0.0 was removed again"]
        ]
        assert daemon.stop() == 0
        daemon.start()
        assert in_use(daemon, "k_old") == "1.0.0"
    finally:
        daemon.kill()


def _follow(daemon: Daemon, source: str, jobs: list[str]) -> None:
    """Until the daemon is gone."""

    def hear(name: str, said: dict[str, Any]) -> None:
        if name == "job":
            jobs.append(said["id"])

    with contextlib.suppress(Failure):
        Client(daemon.socket).post_followed("/packs/install", {"source": source}, on_message=hear)


def _phase(daemon: Daemon, ref: str) -> str | None:
    try:
        candidate = Client(daemon.socket).get(f"/packs/{ref}")["data"]["candidate"]
    except Failure:
        return None
    return candidate["phase"] if candidate else None


def test_private_addresses_are_refused_by_default(tmp_path: Path, shelf: Shelf) -> None:
    """Without the setting, which can be changed at any time, nothing on loopback is fetched; what was installed stays."""
    daemon = Daemon(tmp_path)
    daemon.start()
    try:
        refused = refusal(daemon, shelf.archive("n_one")[0])
        assert refused.code == Code.FORBIDDEN
        assert "sources.allow_private" in refused.sentence
        packed = shutil.make_archive(str(tmp_path / "n_two"), "zip", write_pack(tmp_path / "n_two", "n_two"))
        install(daemon, packed)
        assert daemon.stop() == 0
        daemon.start()
        assert in_use(daemon, "n_two") == "1.0.0"
        config = tmp_path / "packd.yaml"
        config.write_text(config.read_text() + "sources: {allow_private: true}\n")
        assert daemon.process is not None
        daemon.process.send_signal(signal.SIGHUP)
        daemon.wait_until(
            lambda: any(line["event"] == "config.reloaded" for line in daemon.logged()), "the new setting"
        )
        assert install(daemon, shelf.archive("n_one")[0])["data"]["pack"]["status"] == "active"
    finally:
        daemon.kill()
