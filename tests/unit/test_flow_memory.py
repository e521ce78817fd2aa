"""What was freed is the machine's again."""

from __future__ import annotations

import ctypes
import platform
import re
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from tests.unit.flow_ground import core, made_parts

if TYPE_CHECKING:
    from collections.abc import Iterator

_BLOCK, _BLOCKS = 64 * 1024, 1024  # smaller than what the library asks the machine for by itself


def held_kb() -> int:
    found = re.search(r"^RssAnon:\s+(\d+) kB$", Path("/proc/self/status").read_text(), re.MULTILINE)
    assert found is not None
    return int(found[1])


@pytest.fixture
def freed() -> Iterator[None]:
    """64 MiB below something that is still in use."""
    libc = ctypes.CDLL(None)
    libc.malloc.restype, libc.free.argtypes = ctypes.c_void_p, [ctypes.c_void_p]
    blocks = [libc.malloc(_BLOCK) for _ in range(_BLOCKS)]
    for block in blocks:
        ctypes.memset(block, 1, _BLOCK)
    last = libc.malloc(_BLOCK)
    for block in blocks:
        libc.free(block)
    yield
    libc.free(last)


@pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="the C library is not glibc")
def test_a_sweep_gives_back_what_was_freed(tmp_path: Path, freed: None) -> None:
    """A daemon that has worked for months is no larger than what it keeps."""
    with made_parts(tmp_path) as parts:
        core(parts, "1.0.0")
        before = held_kb()
        parts.sweeper.run()
        assert before - held_kb() > _BLOCK * _BLOCKS // 1024 // 2
