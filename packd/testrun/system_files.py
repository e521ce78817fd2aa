"""The /etc that contained programs see: what names, certificates and runtimes need, and nothing of this machine's own."""

from __future__ import annotations

import contextlib
import os
import secrets
import shutil
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path
from typing import TYPE_CHECKING, Final

from packd.testrun.workspace import remove_folder

if TYPE_CHECKING:
    from collections.abc import Iterator

_ETC: Final = Path("/etc")
_FILES: Final = (
    *("ld.so.cache", "ld.so.conf", "localtime", "timezone", "os-release", "debian_version", "mime.types"),
    *("protocols", "services", "host.conf", "gai.conf", "inputrc", "ca-certificates.conf"),
)
_FOLDERS: Final = (
    *("alternatives", "ld.so.conf.d", "ssl/certs", "pki/tls/certs", "pki/ca-trust/extracted", "crypto-policies"),
    *("java-*", "java", "python3*", "perl", "fonts"),
)
_SINGLE: Final = ("ssl/openssl.cnf", "pki/tls/openssl.cnf", "pki/tls/cert.pem", "ssl/cert.pem")
_VERSION: Final = 1  # of how it is copied
_LARGEST: Final = 8 * 1024 * 1024  # bytes of one file; the largest is a bundle of certificates


@dataclass(frozen=True, kw_only=True)
class Someone:
    """Who a program runs as."""

    uid: int
    gid: int


def prepare_system_files(folder: Path, someone: Someone) -> Path:
    """A folder inside of `folder` that can be shown as /etc to programs that run as `someone`.

    One that was made of the same files serves again: copying hundreds of certificates takes longer than trying a
    sandbox. Others that were prepared there are removed. Raises OSError.
    """
    folder.mkdir(mode=0o711, parents=True, exist_ok=True)
    etc = folder / f"etc-{_stamp(someone)}"
    for old in (*folder.glob("etc-*"), *folder.glob("new-*")):
        if old != etc:
            with contextlib.suppress(OSError):
                remove_folder(old)
    if not etc.is_dir():
        fresh = folder / f"new-{secrets.token_hex(6)}"
        _prepare(fresh, someone)
        fresh.rename(etc)
    return etc


def _prepare(etc: Path, someone: Someone) -> None:
    etc.mkdir(mode=0o755)
    for name in (*_FILES, *_SINGLE):
        _copy_file(_ETC / name, etc / name)
    for found in _folders():
        _copy_folder(found, etc / found.relative_to(_ETC))
    for name, text in _made_up(someone).items():
        (etc / name).write_text(text)
    (etc / "resolv.conf").touch()
    (etc / "mtab").symlink_to("/proc/self/mounts")


def _stamp(someone: Someone) -> str:
    """Changes with everything that is copied or made up."""
    said = sha256(f"{_VERSION} {_made_up(someone)}".encode())
    paths = [str(_ETC / name) for name in (*_FILES, *_SINGLE)]
    for folder in _folders():
        for place, folders, files in os.walk(folder):
            paths += [f"{place}/{name}" for name in (*files, *folders)]
    for path in sorted(paths):
        said.update(os.fsencode(f"\0{path} {_state(path, follow=False)} {_state(path, follow=True)}"))
    return said.hexdigest()[:24]


def _state(path: str, *, follow: bool) -> str:
    """As far as a stat can tell; a link is what it is, and what it leads to."""
    try:
        seen = os.stat(path, follow_symlinks=follow)  # noqa: PTH116  a thousand times
    except OSError:
        return "none"
    return f"{seen.st_mode} {seen.st_size} {seen.st_ino} {seen.st_mtime_ns} {seen.st_ctime_ns}"


def _folders() -> Iterator[Path]:
    for pattern in _FOLDERS:
        yield from _ETC.glob(pattern)


def _made_up(someone: Someone) -> dict[str, str]:
    users = {0: "root", 65534: "nobody", someone.uid: "packd"}
    groups = {0: "root", 65534: "nogroup", someone.gid: "packd"}
    return {
        "passwd": "".join(f"{name}:x:{uid}:{_group(uid, someone)}::/tmp:/bin/sh\n" for uid, name in users.items()),
        "group": "".join(f"{name}:x:{gid}:\n" for gid, name in groups.items()),
        "nsswitch.conf": "passwd: files\ngroup: files\nhosts: files dns\nservices: files\nprotocols: files\n",
        "hosts": "127.0.0.1 localhost packd\n::1 localhost ip6-localhost packd\n",
        "hostname": "packd\n",
    }


def _group(uid: int, someone: Someone) -> int:
    return someone.gid if uid == someone.uid else uid


def _copy_file(source: Path, target: Path) -> None:
    """What can't be read is left out: it is nothing that everybody may see."""
    with contextlib.suppress(OSError):
        if not source.is_file() or source.stat().st_size > _LARGEST or not source.stat().st_mode & 0o004:
            return
        target.parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(source, target)
        target.chmod(0o755 if os.access(source, os.X_OK) else 0o644)


def _copy_folder(source: Path, target: Path) -> None:
    """Links into the system's folders stay links, as far as they will be seen."""
    for path in _inside(source):
        place = target / path.relative_to(source)
        if path.is_symlink() and path.resolve().is_relative_to("/usr"):
            place.parent.mkdir(parents=True, exist_ok=True)
            place.symlink_to(path.readlink())
        else:
            _copy_file(path, place)


def _inside(folder: Path) -> Iterator[Path]:
    for place, folders, files in os.walk(folder):
        yield from (Path(place, name) for name in files)
        yield from (Path(place, name) for name in folders if Path(place, name).is_symlink())
