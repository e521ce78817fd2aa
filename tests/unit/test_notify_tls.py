"""Certificates of an endpoint: who vouches for it, and by what packd is known there."""

from __future__ import annotations

import asyncio
import ssl
import subprocess
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from packd.domain.deliveries import Outcome
from packd.notify.attempt import Attempt
from packd.notify.sender import Sender
from packd.notify.tls import BadCertificate, Tls, context


@dataclass
class Pki:
    """An authority of our own, and what it signed."""

    folder: Path

    def text(self, name: str) -> str:
        return (self.folder / name).read_text()


@pytest.fixture(scope="module")
def pki(tmp_path_factory: pytest.TempPathFactory) -> Pki:
    """Certificates for `localhost` and for packd, signed by one authority; and another authority."""
    folder = tmp_path_factory.mktemp("pki")

    def openssl(*arguments: str) -> None:
        subprocess.run(["openssl", *arguments], cwd=folder, check=True, capture_output=True)

    key = ("-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes")
    for name in ("ca", "other"):
        openssl(
            "req", "-x509", *key, "-days", "2", "-subj", f"/CN={name}", "-keyout", f"{name}.key", "-out", f"{name}.pem"
        )
    for name in ("localhost", "packd"):
        openssl("req", *key, "-subj", f"/CN={name}", "-addext", f"subjectAltName=DNS:{name}",
                "-keyout", f"{name}.key", "-out", f"{name}.csr")  # fmt: skip
        openssl("x509", "-req", "-in", f"{name}.csr", "-CA", "ca.pem", "-CAkey", "ca.key", "-days", "2",
                "-copy_extensions", "copy", "-out", f"{name}.pem")  # fmt: skip
    openssl("ec", "-aes128", "-passout", "pass:hunter2", "-in", "packd.key", "-out", "locked.key")
    return Pki(folder)


def sent(pki: Pki, tls: Tls | None, *, asks_for_certificate: bool = False) -> Outcome:
    """One attempt to a server that speaks TLS."""

    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            await reader.readuntil(b"\r\n\r\n")
            writer.write(b"HTTP/1.1 204 No Content\r\nContent-Length: 0\r\nConnection: close\r\n\r\n")
            await writer.drain()
        except (OSError, asyncio.IncompleteReadError):
            pass
        finally:
            writer.close()

    async def run() -> Outcome:
        serving = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        serving.load_cert_chain(pki.folder / "localhost.pem", pki.folder / "localhost.key")
        if asks_for_certificate:
            serving.verify_mode = ssl.CERT_REQUIRED
            serving.load_verify_locations(pki.folder / "ca.pem")
        server = await asyncio.start_server(answer, "127.0.0.1", 0, ssl=serving)
        port = server.sockets[0].getsockname()[1]
        async with server, Sender(user_agent="packd/test") as sender:
            return await sender.send(
                Attempt(
                    url=f"https://localhost:{port}/",
                    event_id="evt_1",
                    body=b"{}",
                    secrets=(bytes(32),),
                    allow_private=True,
                    tls=context(tls) if tls else None,
                )
            )

    return asyncio.run(run())


def test_an_authority_of_ones_own_vouches_for_an_endpoint(pki: Pki) -> None:
    """Instead of the system's; another one, or none, does not."""
    assert sent(pki, Tls(ca=pki.text("ca.pem"))).arrived
    for tls in (Tls(ca=pki.text("other.pem")), None):
        assert "certificate" in str(sent(pki, tls).error)


def test_packd_shows_its_certificate_where_it_is_asked_for(pki: Pki) -> None:
    """With it the endpoint answers, without it not."""
    own = {"certificate": pki.text("packd.pem"), "key": pki.text("packd.key")}
    assert sent(pki, Tls(ca=pki.text("ca.pem"), **own), asks_for_certificate=True).arrived
    assert not sent(pki, Tls(ca=pki.text("ca.pem")), asks_for_certificate=True).arrived


def test_what_can_not_be_used_is_said_and_never_shown(pki: Pki) -> None:
    """No PEM, half a pair, a key of another certificate, a key with a password: nobody is asked for it."""
    certificate, key = pki.text("packd.pem"), pki.text("packd.key")
    wrong: list[tuple[dict[str, Any], str]] = [
        ({"ca": "hunter2"}, "authority's certificate can't be read"),
        ({"certificate": certificate}, "belong together"),
        ({"key": key}, "belong together"),
        ({"certificate": certificate, "key": pki.text("ca.key")}, "can't be used"),
        ({"certificate": certificate, "key": pki.text("locked.key")}, "can't be used"),
        ({"certificate": "hunter2", "key": key}, "can't be used"),
    ]
    for given, said in wrong:
        with pytest.raises(BadCertificate, match=said) as failure:
            context(Tls(**given))
        assert "hunter2" not in str(failure.value)
        assert "BEGIN" not in str(failure.value)
    assert key not in repr(Tls(certificate=certificate, key=key))
