"""Start git, with an environment and a configuration made from nothing.

Nothing of the machine's or the user's git configuration counts, no hook, filter, helper or prompt is ever started, one
transport is allowed, and time, memory and the size of every file have an end.
"""

from __future__ import annotations

import os
import selectors
import shutil
import signal
import subprocess
from contextlib import suppress
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final

from packd.processors import HERE
from packd.sources.errand import wrong

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping
    from pathlib import Path

    from packd.sources.errand import Errand

_MEMORY_KIB: Final = 3 * 1024 * 1024
_KEPT: Final = 64 * 1024  # bytes of what it says that are kept: its end
_MOST_OUTPUT: Final = 64 * 1024 * 1024
_SOON_S: Final = 0.2
_OLDEST: Final = (2, 37)  # the first that can be told which address to connect to

# Every setting that could start a program, leave the machine, or need more memory than a pack is worth.
_CONFIG: Final[Mapping[str, tuple[tuple[str, str], ...]]] = {
    "core": (
        ("hooksPath", "/dev/null"),
        ("fsmonitor", "false"),
        ("attributesFile", "/dev/null"),
        ("excludesFile", "/dev/null"),
        ("askPass", "true"),
        ("autocrlf", "false"),
        ("symlinks", "true"),
        ("protectHFS", "true"),
        ("protectNTFS", "true"),
        ("packedGitWindowSize", "32m"),
        ("packedGitLimit", "256m"),
        ("bigFileThreshold", "16m"),
    ),
    "credential": (("helper", ""), ("interactive", "false")),
    "fetch": (("fsckObjects", "true"), ("recurseSubmodules", "false"), ("writeCommitGraph", "false")),
    # Old commits that no attack is made of.
    'fetch "fsck"': tuple(
        (name, "ignore")
        for name in ("badEmail", "badTimezone", "missingEmail", "missingSpaceBeforeDate", "missingSpaceBeforeEmail",
                     "zeroPaddedFilemode", "missingNameBeforeEmail")
    ),
    "gc": (("auto", "0"),),
    "http": (
        ("followRedirects", "false"),
        ("proxy", ""),
        ("sslVerify", "true"),
        ("emptyAuth", "false"),
        ("lowSpeedLimit", "100"),
        ("lowSpeedTime", "30"),
        ("delegation", "none"),
    ),
    "maintenance": (("auto", "false"),),
    "pack": (("threads", "1"),),
    "protocol": (("allow", "never"), ("version", "2")),
    "submodule": (("recurse", "false"),),
    "transfer": (("bundleURI", "false"), ("credentialsInUrl", "allow")),
}  # fmt: skip


@dataclass(frozen=True, kw_only=True)
class Ending:
    """How a git ended."""

    status: int
    output: str
    said: str  # the end of its stderr, progress left out


@dataclass(kw_only=True)
class Git:
    """Runs git in one folder of ours."""

    folder: Path
    errand: Errand
    transport: str  # the only one that is allowed: https, http, ssh, git or file
    settings: tuple[tuple[str, str, str], ...] = ()  # (section, key, value), more of them
    extra_environ: Mapping[str, str] = field(default_factory=dict)
    program: str = "git"

    def prepare(self) -> None:
        """Write its whole configuration. Raises SourceFailure when there is no git, or too old a one."""
        if shutil.which(self.program) is None:
            raise wrong("there is no git on this machine: install it, or give an archive")
        (self.folder / "home").mkdir()
        self._config.write_text(self._configuration(), encoding="utf-8")
        self._check_version()

    def run(self, *arguments: str, what: str, most_output: int = _MOST_OUTPUT) -> Ending:
        """Run it to its end. Raises SourceFailure when it takes too long; its exit status is the caller's to judge."""
        output = bytearray()
        ending = self._run(arguments, what, output.extend, most_output)
        return Ending(status=ending.status, output=output.decode("utf-8", "surrogateescape"), said=ending.said)

    def _run(self, arguments: tuple[str, ...], what: str, take: Callable[[bytes], object], most: int) -> Ending:
        with HERE.all():
            process = subprocess.Popen(
                self._command(arguments),
                stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE,
                stderr=subprocess.PIPE,
                cwd=self.folder,
                env=self._environ(),
                start_new_session=True,  # so that its helpers end with it
            )
        try:
            said = self._listen(process, what, take, most)
            _await_end(process, self.errand, what)
        finally:
            _end(process)
        return Ending(status=process.returncode, output="", said=said)

    def _listen(self, process: subprocess.Popen[bytes], what: str, take: Callable[[bytes], object], most: int) -> str:
        """Until both streams end; returns the end of what it said on stderr."""
        said, taken = bytearray(), 0
        streams = {
            stream.fileno(): name for stream, name in ((process.stdout, "out"), (process.stderr, "err")) if stream
        }
        for stream, piece in _pieces(streams, self.errand, what):
            if stream == "err":
                said += piece
                self._tell(piece)
                del said[:-_KEPT]
                continue
            taken += len(piece)
            if taken > most:
                raise wrong(f"{what}: git lists more than packd reads; leave out what the pack does not need")
            take(piece)
        return _without_progress(said.decode("utf-8", "replace"))

    def _tell(self, piece: bytes) -> None:
        line = piece.replace(b"\r", b"\n").decode("utf-8", "replace").strip().rpartition("\n")[2]
        if "%" in line and not line.startswith("remote:"):
            self.errand.on_progress(" ".join(line.split())[:100])

    @property
    def _config(self) -> Path:
        return self.folder / "gitconfig"

    def _configuration(self) -> str:
        merged = {section: list(pairs) for section, pairs in _CONFIG.items()}
        merged[f'protocol "{self.transport}"'] = [("allow", "always")]
        for section, key, value in self.settings:
            merged.setdefault(section, []).append((key, value))
        return "".join(
            f"[{section}]\n" + "".join(f"\t{key} = {_quoted(value)}\n" for key, value in pairs)
            for section, pairs in merged.items()
        )

    def _command(self, arguments: tuple[str, ...]) -> list[str]:
        """Limits by the shell: between fork and exec, a process with threads can do nothing safely itself."""
        blocks = self.errand.max_bytes // 512 + 1
        # Where less is allowed already, that stays.
        limits = f'{{ ulimit -c 0; ulimit -f {blocks}; ulimit -v {_MEMORY_KIB}; }} 2>/dev/null; exec "$0" "$@"'
        return ["/bin/sh", "-c", limits, self.program, *arguments]

    def _environ(self) -> dict[str, str]:
        usual = {
            "PATH": os.environ.get("PATH", os.defpath),
            "LC_ALL": "C.UTF-8",
            "LANGUAGE": "en",
            "HOME": str(self.folder / "home"),
            "XDG_CONFIG_HOME": str(self.folder / "home"),
            "TMPDIR": str(self.folder),
            "GIT_CONFIG_NOSYSTEM": "1",
            "GIT_CONFIG_SYSTEM": "/dev/null",
            "GIT_CONFIG_GLOBAL": str(self._config),
            "GIT_ATTR_NOSYSTEM": "1",
            "GIT_TERMINAL_PROMPT": "0",
            "GIT_ASKPASS": "true",
            "SSH_ASKPASS": "true",
            "GCM_INTERACTIVE": "never",
            "GIT_ALLOW_PROTOCOL": self.transport,
            "GIT_PROTOCOL_FROM_USER": "0",
            "GIT_LFS_SKIP_SMUDGE": "1",
            "GIT_NO_REPLACE_OBJECTS": "1",
            "GIT_NO_LAZY_FETCH": "1",
            "GIT_OPTIONAL_LOCKS": "0",
        }
        for name, ours in (("SSL_CERT_FILE", "GIT_SSL_CAINFO"), ("SSL_CERT_DIR", "GIT_SSL_CAPATH")):
            if os.environ.get(name):  # who trusts another authority says so to all programs this way
                usual[ours] = os.environ[name]
        return usual | dict(self.extra_environ)

    def _check_version(self) -> None:
        said = self.run("version", what="git version").output
        numbers = (
            [int(part) for part in said.split()[2].split(".")[:2] if part.isdigit()] if said.count(" ") >= 2 else []
        )
        if tuple(numbers) < _OLDEST:
            raise wrong(
                f"'{said.strip()}' is too old to be kept to one address: install git 2.37 or newer, or give an archive"
            )


def _pieces(streams: dict[int, str], errand: Errand, what: str) -> Iterator[tuple[str, bytes]]:
    """What comes on any of the streams until all have ended. Raises SourceFailure when the time is over."""
    with selectors.DefaultSelector() as selector:
        for stream in streams:
            selector.register(stream, selectors.EVENT_READ)
        while selector.get_map():
            for key, _ in selector.select(min(_SOON_S, errand.remaining_s(what))):
                piece = os.read(key.fd, 65536)
                if piece:
                    yield streams[key.fd], piece
                else:
                    selector.unregister(key.fd)


def _await_end(process: subprocess.Popen[bytes], errand: Errand, what: str) -> None:
    """Until it has ended, and is still there to be asked: as long as its number is taken, its group is its own."""
    watched = os.pidfd_open(process.pid)
    try:
        with selectors.DefaultSelector() as selector:
            selector.register(watched, selectors.EVENT_READ)
            while not selector.select(min(_SOON_S, errand.remaining_s(what))):
                pass
    finally:
        os.close(watched)


def _end(process: subprocess.Popen[bytes]) -> None:
    """The whole group, helpers too; it has nothing to save."""
    with suppress(ProcessLookupError, PermissionError):
        os.killpg(process.pid, signal.SIGKILL)
    process.wait()
    for stream in (process.stdout, process.stderr):
        if stream is not None:
            stream.close()


def _quoted(value: str) -> str:
    escaped = value.replace("\\", "\\\\").replace('"', '\\"')
    return f'"{escaped}"'


def _without_progress(said: str) -> str:
    lines = (line.rpartition("\r")[2].strip() for line in said.replace("\r\n", "\n").rstrip("\r\n").split("\n"))
    return "\n".join(line for line in lines if line)
