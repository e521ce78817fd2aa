"""Archives that anybody would make become the pack that is in them; those that are not whole wait."""

from __future__ import annotations

import gzip
import io
import lzma
import os
import re
import shutil
import subprocess
import tarfile
import zipfile
from collections.abc import Callable
from pathlib import Path

import pytest
import zstandard

from packd.snapshot.store import Refused, Snapshot, Unsettled
from tests.unit.snapshot_ground import FILES, Ground, aged, tar_of, zip_of

WRAPPED = {
    "p.tar": lambda data: data,
    "p.tar.gz": gzip.compress,
    "p.tgz": gzip.compress,
    "p.tar.xz": lzma.compress,
    "p.tar.zst": zstandard.compress,
}


def archived(name: str, shape: object = FILES) -> bytes:
    return zip_of(shape) if name.endswith(".zip") else WRAPPED[name](tar_of(shape))  # type: ignore[arg-type]


@pytest.fixture
def ground(tmp_path: Path) -> Ground:
    return Ground(tmp_path)


@pytest.mark.parametrize("name", ["p.zip", *WRAPPED])
@pytest.mark.parametrize("top", ["", "./", "demo-1.0/"])
def test_an_archive_is_the_pack_in_it(ground: Ground, name: str, top: str) -> None:
    """The same digest as the folder: whatever it is wrapped in, and with a single folder around it or not."""
    shape = {top + path: content for path, content in FILES.items()}
    taken = ground.snapshot(ground.file(name, archived(name, shape)))
    assert taken.digest == ground.snapshot(ground.drop(FILES)).digest
    assert ground.left() == []


@pytest.mark.parametrize("command", ["tar cf", "tar czf", "tar cJf", "tar --zstd -cf", "tar --format=v7 -cf",
                                     "tar --format=ustar -cf", "tar --format=posix -cf", "tar -b 512 -cf", "zip -qr"])  # fmt: skip
def test_what_the_usual_tools_make_is_taken(ground: Ground, command: str) -> None:
    """GNU tar in all its formats, and Info-ZIP; long and foreign names too."""
    if not shutil.which(command.split(maxsplit=1)[0]):
        pytest.skip(f"NOT CHECKED: {command.split(maxsplit=1)[0]} is not installed")
    shape = (
        {**FILES, "dir/" * 9 + "x" * 40: "deep"}
        if "v7" in command or "ustar" in command
        else {**FILES, "d/" * 9 + "ä" * 110: "deep"}
    )
    path = ground.drop(shape)
    suffix = ".zip" if "zip" in command.split(maxsplit=1)[0] else ".tar"
    subprocess.run([*command.split(), f"../p{suffix}", "."], cwd=path, check=True)
    assert ground.snapshot(ground.folder / f"p{suffix}").digest == ground.snapshot(path).digest


@pytest.mark.parametrize("link", [os.symlink, os.link])
def test_the_advice_for_links_in_an_archive_works(ground: Ground, link: Callable[[str, str], None]) -> None:
    """Several links to one file, which tar by itself makes links to each other of: made again as told, it is taken."""
    path = ground.drop(FILES)
    (path / "shared").write_text("x")
    for name in ("one", "other"):
        link(str(path / "shared"), str(path / name))
    subprocess.run(["tar", "-cf", "../p.tar", "."], cwd=path, check=True)
    refused = ground.take(ground.folder / "p.tar")
    assert isinstance(refused, Refused)
    advice = re.search(r"\(tar ([^,)]+)", refused.problems[0].message)
    assert advice is not None
    subprocess.run(["tar", *advice[1].split(), "-cf", "../p.tar", "."], cwd=path, check=True)
    assert (ground.snapshot(ground.folder / "p.tar").path / "other").read_text() == "x"


def test_what_git_makes_is_taken(ground: Ground) -> None:
    """Its global header is no member; its prefix is stripped."""
    path = ground.drop(FILES)
    (path / "docs" / "x").touch()
    options = ["-c", "user.name=x", "-c", "user.email=x@x"]
    subprocess.run(["git", "init", "-q"], cwd=path, check=True)
    subprocess.run(["git", "add", "-A"], cwd=path, check=True)
    subprocess.run(["git", *options, "commit", "-qm", "x"], cwd=path, check=True)
    for kind in ("tar", "tar.gz", "zip"):
        archive = f"../p.{kind}"
        subprocess.run(["git", "archive", "--prefix=demo-1/", "-o", archive, "HEAD"], cwd=path, check=True)
        assert ground.snapshot(ground.folder / f"p.{kind}").digest == ground.snapshot(path).digest


@pytest.mark.parametrize("tar_format", [tarfile.USTAR_FORMAT, tarfile.GNU_FORMAT, tarfile.PAX_FORMAT])
def test_python_tar_formats_are_taken(ground: Ground, tar_format: int) -> None:
    """A long name in the prefix field, in a GNU header, in a pax header."""
    shape = {**FILES, "a" * 90 + "/" + "b" * 90: "x"}
    data = tar_of(shape, format=tar_format)
    assert ground.snapshot(ground.file("p.tar", data)).digest == ground.snapshot(ground.drop(shape)).digest


def test_its_content_says_what_it_is(ground: Ground) -> None:
    """A name that promises another format is no obstacle; one without a folder's worth of bytes is none either."""
    wanted = ground.snapshot(ground.drop(FILES)).digest
    assert ground.snapshot(ground.file("p.tar.gz", zip_of(FILES))).digest == wanted
    assert ground.snapshot(ground.file("p.zip", lzma.compress(tar_of(FILES)))).digest == wanted


def test_several_compressed_members_are_one_archive(ground: Ground) -> None:
    """As made by parallel compressors and by concatenation; zeros behind the last are padding."""
    data, wanted = tar_of(FILES), ground.snapshot(ground.drop(FILES)).digest
    for name, squeeze in (("p.tar.gz", gzip.compress), ("p.tar.xz", lzma.compress), ("p.tar.zst", zstandard.compress)):
        joined = squeeze(data[:700]) + squeeze(data[700:])
        assert ground.snapshot(ground.file(name, joined)).digest == wanted
    assert ground.snapshot(ground.file("p.tgz", gzip.compress(data) + bytes(700))).digest == wanted


def test_one_folder_is_only_stripped_when_the_manifest_is_in_it(ground: Ground) -> None:
    """Something beside it, or a manifest at the top: the archive is the pack as it is."""
    for shape in ({"pack.yaml": "", "a/b": ""}, {"README": "", "a/b": ""}):
        taken = ground.snapshot(ground.file("p.tar", tar_of(shape)))
        assert {path.name for path in taken.path.iterdir()} == {next(iter(shape)), "a"}


def test_what_is_ignored_in_a_folder_is_ignored_in_an_archive(ground: Ground) -> None:
    """By name, by the pack's own rules, and what the Mac's archiver adds."""
    extra = {".git/config": "", "a/__pycache__/b.pyc": "", "__MACOSX/._pack.yaml": "", "x.log": ""}
    shape = {".packdignore": "*.log\n", "pack.yaml": "", "a/c": ""}
    for name, data in (("p.tar", tar_of({**shape, **extra})), ("p.zip", zip_of({**shape, **extra}))):
        assert ground.snapshot(ground.file(name, data)).digest == ground.snapshot(ground.drop(shape)).digest
    inside = {f"demo/{path}": content for path, content in shape.items()} | {"__MACOSX/demo/._a": ""}
    assert ground.snapshot(ground.file("q.zip", zip_of(inside))).digest == ground.snapshot(ground.drop(shape)).digest


def test_problems_inside_an_archive_are_those_of_the_pack(ground: Ground) -> None:
    """What only the walk can see is told with the path inside the pack."""
    taken = ground.take(ground.file("p.tar", tar_of({"d/.packdignore": "*a*b*c*d\n"})))
    assert [(problem.code, problem.file) for problem in taken.problems] == [  # type: ignore[union-attr]
        ("packdignore.too_many_stars", ".packdignore")
    ]


def test_an_archives_fingerprint_is_that_of_its_file(ground: Ground) -> None:
    """One stat tells that it need not be unpacked again."""
    path = aged(ground.file("p.zip", zip_of(FILES)))
    first, again = ground.snapshot(path), ground.snapshot(path)
    assert first.fingerprint == again.fingerprint is not None
    assert first.newest_ns == path.stat().st_ctime_ns


def test_an_empty_archive_is_an_empty_pack(ground: Ground) -> None:
    """That it has no manifest is for validation to say."""
    assert ground.snapshot(ground.file("p.zip", zip_of({}))).files == 0
    assert ground.snapshot(ground.file("p.tar", tar_of({}))).files == 0


def test_an_archive_that_changes_while_it_is_unpacked_is_unsettled(
    ground: Ground, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whatever was found in it, good or bad, means nothing."""
    from packd.snapshot import store

    unpack = store.unpack
    for content in (zip_of(FILES), b"garbage" * 100):
        path = ground.file("p.zip", content)

        def racing(*args: object, path: Path = path) -> object:
            with path.open("ab") as opened:
                opened.write(b"x")
            return unpack(*args)  # type: ignore[arg-type]

        monkeypatch.setattr(store, "unpack", racing)
        assert ground.unsettled(path) == "tree.changed"


# --- not whole ---


@pytest.mark.parametrize("name", ["p.zip", *WRAPPED])
def test_an_archive_without_its_end_waits_for_it(ground: Ground, name: str) -> None:
    """Cut at any place, it is not refused and never taken: more may be on its way."""
    shape = {**FILES, "random": os.urandom(3000)}
    data = archived(name, shape)
    whole = ground.snapshot(ground.file(name, data)).digest
    ends = {
        0,
        1,
        3,
        100,
        511,
        512,
        513,
        len(data) // 3,
        len(data) // 2,
        len(data) - 9000,
        len(data) - 30,
        len(data) - 1,
    }
    for end in sorted(end for end in ends if 0 <= end < len(data)):
        taken = ground.take(ground.file(name, data[:end]))
        if isinstance(taken, Unsettled):
            assert taken.problem.code == "archive.truncated"
            assert taken.problem.file == name
            assert "copy it again" in taken.problem.message
        else:  # only padding was cut off
            assert name == "p.tar", end
            assert taken.digest == whole  # type: ignore[union-attr]
    assert ground.left() == []


def test_a_zstd_archive_ends_with_its_checksum(ground: Ground) -> None:
    """All of the content is there before it. Several frames, those to be skipped and zeros behind the last are fine."""
    squeeze = zstandard.ZstdCompressor(write_checksum=True).compress
    whole, skipped = tar_of(FILES), b"\x50\x2a\x4d\x18\5\0\0\0hello"
    data = squeeze(whole[:700]) + skipped + squeeze(whole[700:])
    for cut in range(1, 5):
        assert ground.unsettled(ground.file("p.tar.zst", data[:-cut])) == "archive.truncated"
    taken = ground.snapshot(ground.file("p.tar.zst", data))
    for padded in (data + bytes(700), data + skipped, skipped + data):
        assert ground.snapshot(ground.file("p.tar.zst", padded)).digest == taken.digest


def test_a_tar_archive_ends_where_its_end_is(ground: Ground) -> None:
    """Cut between two members it is as well-formed as it can be, and still not whole."""
    data = tar_of({"a": "1", "b": "2"})
    assert ground.unsettled(ground.file("p.tar", data[:1024])) == "archive.truncated"
    assert ground.unsettled(ground.file("p.tar", data[:2048])) == "archive.truncated"
    assert ground.snapshot(ground.file("p.tar", data[: 2048 + 512])).files == 2


@pytest.mark.parametrize("squeeze", [bytes, gzip.compress])
@pytest.mark.parametrize("end", [512, 1024, 10240])
def test_one_tar_archive_behind_another_is_refused(ground: Ground, squeeze: Callable[[bytes], bytes], end: int) -> None:
    """Half of what was dropped would be missing. What fills the last record may be anything."""
    first = tar_of({"a": "1"})[:1024] + bytes(end)
    assert ground.refused(ground.file("p.tar", squeeze(first) + squeeze(tar_of({"b": "2"})))) == ["archive.several"]
    for rest in (b"", b"x" * 700, bytes(9000), bytes(9000) + b"x"):
        assert ground.snapshot(ground.file("p.tar", squeeze(first + rest))).files == 1


def test_a_zip_archive_inside_a_cut_one_is_not_its_end(ground: Ground) -> None:
    """The end of a stored zip among the last bytes does not pass for the end of the whole."""
    data = zip_of({"inner.zip": zip_of(FILES), "more": "x" * 40}, zipfile.ZIP_STORED)
    assert ground.unsettled(ground.file("p.zip", data[: data.find(b"more") + 20])) == "archive.truncated"


@pytest.mark.parametrize("more", [b"\n", b"x" * 700])
@pytest.mark.parametrize("comment", [b"", b"a comment"])
def test_what_follows_the_end_of_a_zip_archive_is_told(ground: Ground, more: bytes, comment: bytes) -> None:
    """It is whole: to copy it again would not help. Cut within its comment it is not."""
    written = io.BytesIO(zip_of(FILES))
    with zipfile.ZipFile(written, "a") as archive:
        archive.comment = comment
    path = ground.file("p.zip", written.getvalue() + more)
    assert ground.refused(path) == ["archive.unreadable"]
    (problem,) = ground.take(path).problems  # type: ignore[union-attr]
    assert ("1 byte follows its end" if len(more) == 1 else "700 bytes follow its end") in problem.message
    if comment:
        assert ground.unsettled(ground.file("p.zip", written.getvalue()[:-1])) == "archive.truncated"


@pytest.mark.parametrize("content", [b"garbage" * 100, b"BZh9" + b"x" * 600, b"<html>" * 100, b"\x7fELF" + bytes(600)])
def test_what_is_no_archive_is_refused(ground: Ground, content: bytes) -> None:
    """More bytes would not make it one; what packd takes is named."""
    path = ground.file("p.tar.gz", content)
    assert ground.refused(path) == ["archive.unreadable"]
    message = ground.take(path).problems[0].message  # type: ignore[union-attr]
    assert ".zip" in message
    assert ".tar.zst" in message


@pytest.mark.parametrize("name", ["p.zip", "p.tar.gz", "p.tar.xz"])
def test_a_damaged_archive_is_never_taken_for_a_whole_one(ground: Ground, name: str) -> None:
    """Flip any byte: the content is what it was, as its checksum says, or nothing is taken."""
    contents = {b"x" * 400, os.urandom(400)}
    data = archived(name, {str(number): content for number, content in enumerate(contents)})
    for at in range(0, len(data), max(1, len(data) // 40)):
        broken = bytearray(data)
        broken[at] ^= 0x11
        taken = ground.take(ground.file(name, bytes(broken)))
        if isinstance(taken, Snapshot):
            assert {path.read_bytes() for path in taken.path.iterdir()} == contents
    assert ground.left() == []


def test_zip_members_are_stored_or_deflated(ground: Ground) -> None:
    """Both are taken; the others are named."""
    wanted = ground.snapshot(ground.drop(FILES)).digest
    assert ground.snapshot(ground.file("p.zip", zip_of(FILES, zipfile.ZIP_STORED))).digest == wanted
    for method in (zipfile.ZIP_BZIP2, zipfile.ZIP_LZMA):
        assert ground.refused(ground.file("p.zip", zip_of(FILES, method))) == ["archive.unknown_method"]


def test_zip64_and_streamed_zips_are_taken(ground: Ground) -> None:
    """Sizes in the extra field, and sizes behind the content."""
    wanted = ground.snapshot(ground.drop({"a": "x" * 5000})).digest

    class Unseekable(io.BytesIO):
        def seekable(self) -> bool:
            return False

        def seek(self, *_: int) -> int:
            raise io.UnsupportedOperation

        def tell(self) -> int:
            raise io.UnsupportedOperation

    for buffer in (io.BytesIO(), Unseekable()):
        with (
            zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED) as archive,
            archive.open(zipfile.ZipInfo("a"), "w", force_zip64=True) as opened,
        ):
            opened.write(b"x" * 5000)
        assert ground.snapshot(ground.file("p.zip", buffer.getvalue())).digest == wanted
