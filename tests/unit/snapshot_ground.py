"""What the tests of the room `snapshot` share: trees written in a line, archives as anybody or nobody would make them."""

from __future__ import annotations

import io
import os
import stat
import tarfile
import tempfile
import time
import zipfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from packd.domain.ignore import Ignore
from packd.snapshot.store import Refused, Snapshot, Store, Taken, Unsettled
from packd.snapshot.tree import Limits, Tree, look
from tests.waiting import wait_until

Shape = Mapping[str, str | bytes | None]  # path → content; None: a folder; "-> x": a link to x

PACK: Shape = {
    "pack.yaml": "ref: demo\nversion: 1.0.0\n",
    "actions/run.sh": "#!/bin/sh\necho hello\n",
    "actions/run.yaml": "ref: run\n",
    "docs": None,
    "latest": "-> actions/run.sh",
}
FILES: Shape = {path: content for path, content in PACK.items() if path != "latest"}


def made_tree(folder: Path, shape: Shape = PACK) -> Path:
    """A folder with these things in it; `*.sh` is executable."""
    folder.mkdir(parents=True, exist_ok=True)
    for path, content in shape.items():
        target = folder / path
        target.parent.mkdir(parents=True, exist_ok=True)
        if content is None:
            target.mkdir(exist_ok=True)
        elif isinstance(content, str) and content.startswith("-> "):
            target.symlink_to(content[3:])
        else:
            target.write_bytes(content.encode() if isinstance(content, str) else content)
            target.chmod(0o755 if path.endswith(".sh") else 0o644)
    return folder


def aged(folder: Path) -> Path:
    """The same folder once its timestamps are old enough to be trusted."""
    newest = look(folder, Ignore(), Limits()).changed_ns
    wait_until(lambda: time.time_ns() > newest + 25_000_000)
    return folder


def shape_of(folder: Path) -> dict[str, tuple[str, int, bytes]]:
    """Path → (kind, permission bits, content) of all that is in a folder."""
    found = {}
    for path in sorted(folder.rglob("*")):
        mode = path.lstat().st_mode
        content = os.readlink(path).encode() if path.is_symlink() else b"" if path.is_dir() else path.read_bytes()
        found[str(path.relative_to(folder))] = (stat.filemode(mode)[0], stat.S_IMODE(mode), content)
    return found


def looked(folder: Path, **limits: int) -> Tree:
    return look(folder, Ignore(), Limits(**limits))


def codes(tree: Tree | Refused) -> list[str]:
    return [problem.code for problem in tree.problems]


@contextmanager
def open_folder_of_all() -> Iterator[Path]:
    """A folder that every user can reach, which those of pytest are not."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        folder.chmod(0o755)
        yield folder
        for path in (folder, *folder.iterdir()):
            path.chmod(0o755)


@dataclass
class Ground:
    """A store, and a place to put drops."""

    folder: Path
    limits: Limits = field(default_factory=Limits)

    @property
    def root(self) -> Path:
        return self.folder / "store"

    @property
    def store(self) -> Store:
        return Store(self.root, self.limits)

    def drop(self, shape: Shape = PACK, name: str = "demo") -> Path:
        return made_tree(self.folder / name, shape)

    def file(self, name: str, content: bytes) -> Path:
        path = self.folder / name
        path.write_bytes(content)
        return path

    def take(self, path: Path) -> Taken:
        return self.store.take(path, Ignore())

    def snapshot(self, path: Path) -> Snapshot:
        taken = self.take(path)
        assert isinstance(taken, Snapshot), taken
        return taken

    def refused(self, path: Path) -> list[str]:
        """The codes for which it is refused; and nothing of it remains."""
        taken = self.take(path)
        assert isinstance(taken, Refused), taken
        assert self.left() == []
        return codes(taken)

    def unsettled(self, path: Path) -> str:
        taken = self.take(path)
        assert isinstance(taken, Unsettled), taken
        assert self.left() == []
        return taken.problem.code

    def left(self) -> list[str]:
        """What is in the store's folder besides snapshots."""
        return [name for name in os.listdir(self.root) if len(name) != 64]


def tar_of(shape: Shape, mode: str = "w", **options: object) -> bytes:
    """A tar archive as everybody makes them, without links."""
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode=mode, **options) as archive:  # type: ignore[call-overload]
        for path, content in shape.items():
            info = tarfile.TarInfo(path)
            if content is None:
                info.type, info.mode = tarfile.DIRTYPE, 0o755
                archive.addfile(info)
                continue
            data = content.encode() if isinstance(content, str) else content
            info.size, info.mode = len(data), 0o755 if path.endswith(".sh") else 0o644
            archive.addfile(info, io.BytesIO(data))
    return buffer.getvalue()


def tar_with(*members: tarfile.TarInfo, content: bytes = b"", **options: object) -> bytes:
    """A tar archive of members as they are; each gets `content` as far as its size says."""
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w", **options) as archive:  # type: ignore[call-overload]
        for member in members:
            archive.addfile(member, io.BytesIO(content[: member.size]) if member.isreg() else None)
    return buffer.getvalue()


def member(name: str, **fields: object) -> tarfile.TarInfo:
    info = tarfile.TarInfo(name)
    for key, value in fields.items():
        setattr(info, key, value)
    return info


def zip_of(shape: Shape, method: int = zipfile.ZIP_DEFLATED) -> bytes:
    """A zip archive as everybody makes them, without links."""
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", method) as archive:
        for path, content in shape.items():
            info = zipfile.ZipInfo(path + ("/" if content is None else ""))
            info.compress_type = method
            info.external_attr = (0o040755 if content is None else 0o100755 if path.endswith(".sh") else 0o100644) << 16
            archive.writestr(info, content or b"")
    return buffer.getvalue()
