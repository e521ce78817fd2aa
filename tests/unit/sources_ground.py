"""What the tests of sources share: real git servers and a web server, on loopback."""

from __future__ import annotations

import http.server
import os
import shutil
import socket
import ssl
import subprocess
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import pytest

from tests.waiting import wait_until

WHO = {
    "GIT_CONFIG_GLOBAL": "/dev/null",
    "GIT_CONFIG_NOSYSTEM": "1",
    "GIT_AUTHOR_NAME": "Ada",
    "GIT_AUTHOR_EMAIL": "ada@example.org",
    "GIT_COMMITTER_NAME": "Ada",
    "GIT_COMMITTER_EMAIL": "ada@example.org",
}
DEADLINE_S = 20.0

needs_openssl = pytest.mark.skipif(
    shutil.which("openssl") is None, reason="openssl is missing: apt-get install openssl"
)
needs_git = pytest.mark.skipif(shutil.which("git") is None, reason="git is missing: apt-get install git")


class Repository:
    """A repository with a work tree, as an author has it."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        folder.mkdir(parents=True, exist_ok=True)
        self.git("init", "--quiet", "--initial-branch=main")

    def git(self, *arguments: str, text: str | None = None) -> str:
        """What git says; `text` is its input."""
        return subprocess.run(
            ["git", *arguments],
            input=text,
            cwd=self.folder,
            env={"PATH": os.environ["PATH"], **WHO},
            check=True,
            capture_output=True,
            text=True,
            timeout=60,
        ).stdout.strip()

    def commit(self, message: str = "more", *, tag: str | None = None) -> str:
        """Everything that lies there; returns the commit's id."""
        self.git("add", "--all", "--force")
        self.git("commit", "--quiet", "--allow-empty", "-m", message)
        if tag:
            self.git("tag", "-a", tag, "-m", tag)
        return self.git("rev-parse", "HEAD")

    def write(self, path: str, text: str = "ref: hello\nversion: '1.0.0'\n") -> None:
        file = self.folder / path
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(text)


@contextmanager
def git_daemon(folder: Path) -> Iterator[str]:
    """`git daemon` for all repositories below `folder`; yields the URL of the folder."""
    port = free_port()
    process = subprocess.Popen(
        ["git", "daemon", "--reuseaddr", "--export-all", "--listen=127.0.0.1", f"--port={port}",
         f"--base-path={folder}", str(folder)],
        env={"PATH": os.environ["PATH"], **WHO, "GIT_CONFIG_COUNT": "1", "GIT_CONFIG_KEY_0": "safe.directory",
             "GIT_CONFIG_VALUE_0": "*"},
        stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, start_new_session=True,
    )  # fmt: skip
    try:
        wait_for_port(port)
        yield f"git://127.0.0.1:{port}"
    finally:
        with suppress(ProcessLookupError):
            os.killpg(process.pid, 9)
        process.wait()


def free_port() -> int:
    with socket.socket() as sock:
        sock.bind(("127.0.0.1", 0))
        return int(sock.getsockname()[1])


def wait_for_port(port: int) -> None:
    """Until somebody listens there."""

    def listens() -> bool:
        with socket.socket() as probe:
            return probe.connect_ex(("127.0.0.1", port)) == 0

    wait_until(listens, f"somebody to listen at port {port}")


def certificate(folder: Path) -> tuple[ssl.SSLContext, Path]:
    """For localhost, signed by itself: the server's side, and the file to trust."""
    command = "openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes -days 2 -subj /CN=localhost"
    names = [
        "-addext",
        "subjectAltName=DNS:localhost",
        "-keyout",
        str(folder / "key.pem"),
        "-out",
        str(folder / "ca.pem"),
    ]
    subprocess.run([*command.split(), *names], check=True, capture_output=True, timeout=30)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(folder / "ca.pem", folder / "key.pem")
    return context, folder / "ca.pem"


class Web:
    """A web server whose every answer a test decides; notes what was asked."""

    def __init__(self, tls: ssl.SSLContext | None = None) -> None:
        self._scheme = "https" if tls else "http"
        self.asked: list[str] = []
        self.headers: list[dict[str, str]] = []
        self.pages: dict[str, Callable[[http.server.BaseHTTPRequestHandler], None]] = {}
        self.git_root: Path | None = None
        web = self

        class Handler(http.server.BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_GET(self) -> None:
                web.asked.append(self.path)
                web.headers.append({name.lower(): value for name, value in self.headers.items()})
                page = web.pages.get(self.path.partition("?")[0])
                with suppress(BrokenPipeError, ConnectionResetError):
                    if page is not None:
                        page(self)
                    elif web.git_root is not None:
                        backend(self, web.git_root)
                    else:
                        answer(self, 404, b"no such page")

            do_POST = do_GET

            def log_message(self, *_: object) -> None:
                return

        self.server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.server.daemon_threads = True
        if tls is not None:
            self.server.socket = tls.wrap_socket(self.server.socket, server_side=True, do_handshake_on_connect=False)
        self.thread = threading.Thread(target=self.server.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True)
        self.thread.start()

    @property
    def url(self) -> str:
        host = "localhost" if self._scheme == "https" else "127.0.0.1"
        return f"{self._scheme}://{host}:{self.server.server_port}"

    def page(self, path: str, body: bytes, status: int = 200, **headers: str) -> str:
        """What GET `path` gets; returns its URL."""
        self.pages[path] = lambda handler: answer(handler, status, body, **headers)
        return self.url + path

    def redirect(self, path: str, to: str) -> str:
        return self.page(path, b"", 302, location=to)

    def close(self) -> None:
        self.server.shutdown()
        self.server.server_close()


def answer(handler: http.server.BaseHTTPRequestHandler, status: int, body: bytes, **headers: str) -> None:
    handler.send_response(status)
    for name, value in headers.items():
        handler.send_header(name.replace("_", "-"), value)
    handler.send_header("content-length", str(len(body)))
    handler.end_headers()
    handler.wfile.write(body)


def backend(handler: http.server.BaseHTTPRequestHandler, root: Path) -> None:
    """git-http-backend(1) as a CGI program: the smart protocol as servers really speak it."""
    path, _, query = handler.path.partition("?")
    body = handler.rfile.read(int(handler.headers.get("content-length") or 0))
    done = subprocess.run(
        ["git", "http-backend"],
        input=body,
        capture_output=True,
        check=False,
        timeout=60,
        env={
            "PATH": os.environ["PATH"],
            **WHO,
            "GIT_PROJECT_ROOT": str(root),
            "GIT_HTTP_EXPORT_ALL": "1",
            "PATH_INFO": path,
            "QUERY_STRING": query,
            "REQUEST_METHOD": handler.command,
            "CONTENT_TYPE": handler.headers.get("content-type") or "",
            "GIT_PROTOCOL": handler.headers.get("git-protocol") or "",
            "HTTP_CONTENT_ENCODING": handler.headers.get("content-encoding") or "",
            "REMOTE_ADDR": "127.0.0.1",
            "GIT_CONFIG_COUNT": "1",
            "GIT_CONFIG_KEY_0": "safe.directory",
            "GIT_CONFIG_VALUE_0": "*",
        },
    )
    head, _, content = done.stdout.partition(b"\r\n\r\n")
    headers = dict(line.split(": ", 1) for line in head.decode().splitlines() if ": " in line)
    status = int(headers.pop("Status", "200").split()[0])
    handler.send_response(status)
    for name, value in headers.items():
        handler.send_header(name, value)
    handler.send_header("content-length", str(len(content)))
    handler.end_headers()
    handler.wfile.write(content)
