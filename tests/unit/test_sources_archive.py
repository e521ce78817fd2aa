"""Archives over HTTP and from this machine, with a hostile server beside the good one."""

from __future__ import annotations

import hashlib
import os
import threading
import time
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler
from pathlib import Path

import pytest

from packd.domain.failures import Code, Failure
from packd.domain.sources import ArchiveSource
from packd.sources.archive import FetchedArchive, fetch_archive
from packd.sources.errand import Errand, SourceFailure
from tests.unit.sources_ground import Web, certificate, needs_openssl

CONTENT = os.urandom(300_000)
CHECKSUM = f"sha256:{hashlib.sha256(CONTENT).hexdigest()}"


@pytest.fixture
def web() -> Iterator[Web]:
    web = Web()
    yield web
    web.close()


def fetch(tmp_path: Path, url: str, checksum: str | None = None, errand: Errand | None = None) -> FetchedArchive:
    into = tmp_path / f"into-{time.monotonic_ns()}"
    into.mkdir()
    errand = errand or Errand(allow_private=True, timeout_s=20)
    return fetch_archive(ArchiveSource(url=url, checksum=checksum), into, errand)


def refusal(tmp_path: Path, url: str, checksum: str | None = None, errand: Errand | None = None) -> SourceFailure:
    with pytest.raises(SourceFailure) as caught:
        fetch(tmp_path, url, checksum, errand)
    return caught.value


def endless(piece: bytes, pause_s: float = 0.0) -> Callable[[BaseHTTPRequestHandler], None]:
    def answer(handler: BaseHTTPRequestHandler) -> None:
        handler.send_response(200)
        handler.send_header("connection", "close")
        handler.end_headers()
        ends = time.monotonic() + 15
        while time.monotonic() < ends:
            handler.wfile.write(piece)
            time.sleep(pause_s)

    return answer


def test_fetched_with_its_checksum(tmp_path: Path, web: Web) -> None:
    """The bytes are the server's, the name is the URL's, the checksum is told."""
    said: list[str] = []
    errand = Errand(allow_private=True, on_progress=said.append)
    fetched = fetch(tmp_path, web.page("/a/hello-1.0.tar.gz", CONTENT) + "?token=s3cret", CHECKSUM, errand)
    assert fetched.path.read_bytes() == CONTENT
    assert fetched.path.name == "hello-1.0.tar.gz"
    assert fetched.checksum == CHECKSUM
    assert fetched.found_at == f"{web.url}/a/hello-1.0.tar.gz"
    assert said[-1].endswith("(100 %)")


@needs_openssl
def test_by_https(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The certificate is verified; without encryption nothing goes on behind it, unless a checksum would notice."""
    context, trusted = certificate(tmp_path)
    secure, plain = Web(context), Web()
    try:
        url = secure.page("/x.zip", CONTENT)
        assert "its certificate is not valid" in refusal(tmp_path, url).sentence
        monkeypatch.setenv("SSL_CERT_FILE", str(trusted))
        assert fetch(tmp_path, url).path.read_bytes() == CONTENT
        down = secure.redirect("/down.zip", plain.page("/x.zip", CONTENT))
        assert "redirects from https to http" in refusal(tmp_path, down).sentence
        assert fetch(tmp_path, down, CHECKSUM).path.read_bytes() == CONTENT
    finally:
        secure.close()
        plain.close()


def test_a_wrong_checksum_is_refused(tmp_path: Path, web: Web) -> None:
    """Both values are named, and another source of the same pack is not tried silently."""
    refused = refusal(tmp_path, web.page("/x.zip", CONTENT), "sha256:" + "0" * 64)
    assert refused.code == Code.BAD_REQUEST
    assert CHECKSUM in refused.sentence
    assert not refused.elsewhere


def test_a_file_of_this_machine(tmp_path: Path) -> None:
    """A path is copied, so that what was checked is what is used; what is not a file is refused."""
    file = tmp_path / "x.zip"
    file.write_bytes(CONTENT)
    assert fetch(tmp_path, str(file), CHECKSUM).path.read_bytes() == CONTENT
    os.mkfifo(tmp_path / "pipe.zip")
    assert "is not a file" in refusal(tmp_path, str(tmp_path / "pipe.zip")).sentence
    assert "No such file" in refusal(tmp_path, str(tmp_path / "gone.zip")).sentence
    assert "limits.bytes_mb" in refusal(tmp_path, str(file), errand=Errand(max_bytes=1000)).sentence


def test_redirects_are_followed_and_judged(tmp_path: Path, web: Web) -> None:
    """Each hop is judged like a first request: the metadata address, other schemes and circles are refused."""
    web.page("/real.zip", CONTENT)
    assert fetch(tmp_path, web.redirect("/old.zip", "/real.zip")).path.read_bytes() == CONTENT
    to_metadata = refusal(tmp_path, web.redirect("/evil.zip", "http://169.254.169.254/latest/meta-data/"), CHECKSUM)
    assert to_metadata.code == Code.FORBIDDEN
    assert "cloud metadata service" in to_metadata.sentence
    assert refusal(tmp_path, web.redirect("/file.zip", "file:///etc/passwd")).code == Code.FORBIDDEN
    assert "redirects more than 5 times" in refusal(tmp_path, web.redirect("/circle.zip", "/circle.zip")).sentence


def test_credentials_stay_with_their_host(tmp_path: Path, web: Web) -> None:
    """They are sent to the host they were given for, and to nobody that it redirects to."""
    other = Web()
    try:
        web.redirect("/x.zip", other.page("/x.zip", CONTENT))
        fetch(tmp_path, f"{web.url}/x.zip".replace("//", "//ada:s3cret@"))
    finally:
        other.close()
    assert web.headers[0]["authorization"].startswith("Basic ")
    assert "authorization" not in other.headers[0]


def test_an_endless_body_ends(tmp_path: Path, web: Web) -> None:
    """At the size limit when it is quick, at the time limit when it is slow."""
    web.pages["/flood.zip"] = endless(b"x" * 65536)
    assert "limits.bytes_mb" in refusal(
        tmp_path, f"{web.url}/flood.zip", errand=Errand(allow_private=True, max_bytes=1_000_000)
    ).sentence  # fmt: skip
    web.pages["/drip.zip"] = endless(b"x", 0.05)
    began = time.monotonic()
    dripping = refusal(tmp_path, f"{web.url}/drip.zip", errand=Errand(allow_private=True, timeout_s=1))
    assert dripping.code == Code.UNAVAILABLE
    assert "not finished within 1 s" in dripping.sentence
    assert time.monotonic() - began < 10


def test_headers_that_never_end_end(tmp_path: Path, web: Web) -> None:
    """The time limit holds before there is an answer, too."""

    def answer(handler: BaseHTTPRequestHandler) -> None:
        handler.wfile.write(b"HTTP/1.1 200 OK\r\nx: ")
        ends = time.monotonic() + 15
        while time.monotonic() < ends:
            handler.wfile.write(b"y")
            time.sleep(0.05)

    web.pages["/x.zip"] = answer
    began = time.monotonic()
    assert refusal(tmp_path, f"{web.url}/x.zip", errand=Errand(allow_private=True, timeout_s=1)).elsewhere
    assert time.monotonic() - began < 10


def test_a_silent_server_is_left_when_nobody_waits_any_more(tmp_path: Path, web: Web) -> None:
    """Cancelling does not wait for the next byte."""
    asked, gone = threading.Event(), threading.Event()

    def answer(handler: BaseHTTPRequestHandler) -> None:
        asked.set()
        gone.wait(20)
        handler.close_connection = True

    web.pages["/x.zip"] = answer
    began = time.monotonic()
    refused = refusal(tmp_path, f"{web.url}/x.zip", errand=Errand(allow_private=True, cancelled=asked.is_set))
    gone.set()
    assert "cancelled" in refused.sentence
    assert time.monotonic() - began < 10


def test_a_length_that_is_too_much_is_not_waited_for(tmp_path: Path, web: Web) -> None:
    """What the server announces is enough to refuse."""

    def answer(handler: BaseHTTPRequestHandler) -> None:
        handler.send_response(200)
        handler.send_header("content-length", str(10**15))
        handler.end_headers()

    web.pages["/x.zip"] = answer
    assert "limits.bytes_mb" in refusal(tmp_path, f"{web.url}/x.zip").sentence


def test_what_breaks_off_is_noticed(tmp_path: Path, web: Web) -> None:
    """Fewer bytes than announced are no archive."""

    def answer(handler: BaseHTTPRequestHandler) -> None:
        handler.send_response(200)
        handler.send_header("content-length", "1000")
        handler.end_headers()
        handler.wfile.write(b"x" * 10)
        handler.close_connection = True

    web.pages["/x.zip"] = answer
    assert "broke off after 10 of 1,000 bytes" in refusal(tmp_path, f"{web.url}/x.zip").sentence


def test_private_addresses_need_the_setting(tmp_path: Path, web: Web) -> None:
    """By default nothing on loopback is asked, however it is spelled."""
    port = web.server.server_port
    page = web.page("/x.zip", CONTENT)
    for host in ("127.0.0.1", "localhost", "[::ffff:127.0.0.1]", "[::1]"):
        refused = refusal(tmp_path, page.replace("127.0.0.1", host), CHECKSUM, Errand(timeout_s=20))
        assert refused.code == Code.FORBIDDEN, host
        assert "sources.allow_private" in refused.sentence
    for host in ("127.1", "2130706433", "0x7f000001", "127.0.0.1%2eexample"):
        with pytest.raises(Failure):
            fetch(tmp_path, f"http://{host}:{port}/x.zip", CHECKSUM, Errand(timeout_s=20))
    assert web.asked == []


def test_unencrypted_needs_a_pin_or_a_setting(tmp_path: Path) -> None:
    """http beyond this machine is refused before anybody is asked, unless a checksum would notice a change."""
    refused = refusal(tmp_path, "http://packs.example/x.zip")
    assert refused.code == Code.FORBIDDEN
    assert "--checksum" in refused.sentence
    allowed = refusal(tmp_path, "http://packs.invalid/x.zip", errand=Errand(allow=("http://packs.invalid",)))
    assert allowed.code == Code.UNAVAILABLE  # it went on to look up the name
    assert refusal(tmp_path, "http://127.evil.example/x.zip").code == Code.FORBIDDEN


@pytest.mark.parametrize(
    ("status", "code"), [(404, Code.BAD_REQUEST), (403, Code.BAD_REQUEST), (503, Code.UNAVAILABLE)]
)
def test_an_answer_without_content(tmp_path: Path, web: Web, status: int, code: Code) -> None:
    """The status is named, and whether trying again makes sense."""
    refused = refusal(tmp_path, web.page("/x.zip", b"", status))
    assert refused.code == code
    assert str(status) in refused.sentence


def test_nobody_there(tmp_path: Path, web: Web) -> None:
    """A refused connection is for later, not for ever."""
    web.close()
    refused = refusal(tmp_path, f"{web.url}/x.zip")
    assert refused.code == Code.UNAVAILABLE
    assert "connection refused" in refused.sentence
