"""What the tests of environments share: packs that declare packages, and an index of packages on this machine."""

from __future__ import annotations

import base64
import contextlib
import hashlib
import http.server
import json
import os
import threading
import urllib.request
import zipfile
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from packd.testrun.environments.cache import Environments
from packd.testrun.environments.origins import Origins
from packd.testrun.executor import LocalExecutor
from tests.unit.testrun_ground import Ground, copy_tree

if TYPE_CHECKING:
    from collections.abc import Iterator

IN_CI = bool(os.environ.get("CI"))


@dataclass
class Index:
    """A package index on loopback (PEP 503), with wheels made on the spot. Counts what is asked of it."""

    folder: Path
    url: str = ""
    asked: list[str] = field(default_factory=list)
    broken: bool = False  # answers every question with 503

    def add(self, name: str, version: str, *, needs: tuple[str, ...] = ()) -> None:
        """A package with one module, which knows its version."""
        place = self.folder / "simple" / name
        place.mkdir(parents=True, exist_ok=True)
        wheel = place / f"{name}-{version}-py3-none-any.whl"
        info = f"{name}-{version}.dist-info"
        content = {
            f"{name}.py": f"VERSION = {version!r}\n",
            f"{info}/METADATA": f"Metadata-Version: 2.1\nName: {name}\nVersion: {version}\n"
            + "".join(f"Requires-Dist: {need}\n" for need in needs),
            f"{info}/WHEEL": "Wheel-Version: 1.0\nGenerator: tests\nRoot-Is-Purelib: true\nTag: py3-none-any\n",
        }
        record = "".join(f"{path},sha256={_digest(text)},{len(text)}\n" for path, text in content.items())
        with zipfile.ZipFile(wheel, "w") as archive:
            for path, text in content.items():
                archive.writestr(path, text)
            archive.writestr(f"{info}/RECORD", f"{record}{info}/RECORD,,\n")
        links = "".join(f'<a href="{path.name}">{path.name}</a>\n' for path in sorted(place.glob("*.whl")))
        (place / "index.html").write_text(f"<!doctype html><html><body>{links}</body></html>")


def _digest(text: str) -> str:
    return base64.urlsafe_b64encode(hashlib.sha256(text.encode()).digest()).rstrip(b"=").decode()


@contextlib.contextmanager
def served_index(folder: Path) -> Iterator[Index]:
    index = Index(folder=folder)

    class Handler(http.server.SimpleHTTPRequestHandler):
        def __init__(self, *arguments: Any) -> None:
            super().__init__(*arguments, directory=str(folder))

        def do_GET(self) -> None:
            index.asked.append(self.path)
            if index.broken:
                self.send_error(503)
            else:
                super().do_GET()

        def log_message(self, *_: Any) -> None:
            pass

    class Server(http.server.ThreadingHTTPServer):
        def handle_error(self, *_: Any) -> None:
            """An installer that was stopped does not read its answer."""

    server = Server(("127.0.0.1", 0), Handler)
    server.daemon_threads = True
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    index.url = f"http://127.0.0.1:{server.server_address[1]}/simple"
    try:
        yield index
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


def executor_at(folder: Path, origins: Origins, *, workers: int = 2, environments: Path | None = None) -> LocalExecutor:
    return LocalExecutor(
        folder / "work",
        workers,
        copy_tree,
        grace_s=0.3,
        origins=origins,
        environments=Environments(environments or folder / "environments"),
    )


def quiet_origins(index: Index, **more: Any) -> Origins:
    """This index alone, tried once, whatever this machine is set up with."""
    environ = {"PATH": os.environ["PATH"], "UV_HTTP_RETRIES": "0", "PIP_RETRIES": "0", "PIP_CONFIG_FILE": os.devnull}
    return Origins(index_url=index.url, environ=environ, **more)


def made_ground(tmp_path: Path, origins: Origins) -> Iterator[Ground]:
    (tmp_path / "tree").mkdir()
    executor = executor_at(tmp_path, origins)
    yield Ground(tree=tmp_path / "tree", executor=executor, work_dir=tmp_path / "work")
    executor.close(0)


def records(folder: Path) -> list[dict[str, Any]]:
    """What the folder of environments knows."""
    return [json.loads(path.read_text()) for path in sorted(folder.glob("*.json"))]


def needs_registry(url: str) -> None:
    """Skip, loudly, where this machine has no way to a registry; where everything must run, fail."""
    try:
        with urllib.request.urlopen(url, timeout=20):
            return
    except OSError as failure:
        if IN_CI:
            raise
        pytest.skip(f"NO NETWORK: {url} can't be reached ({failure}), so real packages are not tested here")
