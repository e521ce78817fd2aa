"""Archives of any content: the same pack as the folder; and archives of any bytes: always an answer, never harm."""

from __future__ import annotations

import gzip
import itertools
import lzma
import os
import tarfile
from collections.abc import Iterator
from pathlib import Path

import pytest
import zstandard
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from packd.snapshot.store import Refused, Snapshot, Unsettled
from packd.snapshot.tree import Limits
from tests.unit.snapshot_ground import FILES, Ground, tar_of, zip_of

_PART = st.text("aé \n'-", min_size=1, max_size=4)
_PATH = st.lists(_PART, min_size=1, max_size=4).map("/".join)
_SHAPES = st.dictionaries(_PATH, st.none() | st.binary(max_size=2000), max_size=6).filter(
    lambda shape: (
        not any(path != other and other.startswith(f"{path}/") for path, other in itertools.product(shape, shape))
    )
)
_FORMATS = st.sampled_from([tarfile.USTAR_FORMAT, tarfile.GNU_FORMAT, tarfile.PAX_FORMAT])
_WRAPPINGS = st.sampled_from([bytes, gzip.compress, lzma.compress, zstandard.compress])
_REAL = settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])


@pytest.fixture
def grounds(tmp_path: Path) -> Iterator[Ground]:
    """A new ground for each example."""
    return (Ground(_made(tmp_path / str(number))) for number in itertools.count())


def _made(folder: Path) -> Path:
    folder.mkdir()
    return folder


@_REAL
@given(shape=_SHAPES, tar_format=_FORMATS, wrapping=_WRAPPINGS)
def test_an_archive_has_the_digest_of_its_folder(
    grounds: Iterator[Ground], shape: dict[str, bytes | None], tar_format: int, wrapping: type[bytes]
) -> None:
    """Whatever the names and contents, in every tar format, however compressed, and as zip."""
    ground = next(grounds)
    manifest = {"pack.yaml": "x", **shape}
    wanted = ground.snapshot(ground.drop(manifest)).digest
    assert ground.snapshot(ground.file("p.tar", wrapping(tar_of(manifest, format=tar_format)))).digest == wanted
    assert ground.snapshot(ground.file("p.zip", zip_of(manifest))).digest == wanted


@settings(_REAL, max_examples=80)
@given(data=st.data())
def test_any_bytes_get_an_answer(grounds: Iterator[Ground], data: st.DataObject) -> None:
    """An archive with pieces overwritten, removed, doubled or cut: a result, no exception, and no trace elsewhere."""
    ground = next(grounds)
    ground.limits = Limits(bytes=100_000, files=50)
    original = data.draw(st.sampled_from(_ORIGINALS))
    damaged = bytearray(original)
    for _ in range(data.draw(st.integers(1, 4))):
        at = data.draw(st.integers(0, len(damaged)))
        end = min(len(damaged), at + data.draw(st.integers(0, 40)))
        piece = data.draw(st.sampled_from([b"", b"\0", b"\xff" * 4, b"PK\5\6", b"../", bytes(damaged[at:end]) * 2]))
        damaged[at:end] = piece
    taken = ground.take(ground.file("p.tar", bytes(damaged)))
    assert isinstance(taken, Snapshot | Refused | Unsettled)
    assert ground.left() == []
    assert sorted(os.listdir(ground.folder)) == ["p.tar", "store"]
    if isinstance(taken, Snapshot):
        assert ground.store.verify(taken.digest)


_CONTENT = {**FILES, "long/" * 15 + "é" * 40: "x" * 600}
_PLAIN = [tar_of(_CONTENT, format=tar_format) for tar_format in (tarfile.GNU_FORMAT, tarfile.PAX_FORMAT)]
_ORIGINALS = [
    *_PLAIN,
    gzip.compress(_PLAIN[0]),
    lzma.compress(_PLAIN[0]),
    zstandard.compress(_PLAIN[1]),
    zip_of(_CONTENT),
]
