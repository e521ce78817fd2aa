"""Archives made to harm: each refused by its own name, and nothing of it outside or left in the store."""

from __future__ import annotations

import gzip
import io
import lzma
import os
import struct
import tarfile
import time
import tracemalloc
import zipfile
import zlib
from collections.abc import Iterator
from pathlib import Path

import pytest
import zstandard

from packd.snapshot import decompress, tarred
from packd.snapshot.limits import MIB
from packd.snapshot.members import RefusedError
from packd.snapshot.store import Refused
from packd.snapshot.tree import Limits
from tests.unit.snapshot_ground import FILES, Ground, codes, member, tar_of, tar_with, zip_of


@pytest.fixture
def ground(tmp_path: Path) -> Ground:
    folder = tmp_path / "inside" / "deeper"
    folder.mkdir(parents=True)
    return Ground(folder)


def refused(ground: Ground, data: bytes, name: str = "evil.tar") -> list[str]:
    """The codes for which it is refused, the archive being named by all and nothing being left anywhere."""
    path = ground.file(name, data)
    taken = ground.take(path)
    assert isinstance(taken, Refused), taken
    assert {problem.file for problem in taken.problems} == {name}
    assert os.listdir(ground.root) == []
    assert sorted(os.listdir(ground.folder)) == sorted([name, "store"])
    path.unlink()
    return codes(taken)


# --- names ---

NAMES = {
    "../evil": "archive.path_escapes",
    "a/../../evil": "archive.path_escapes",
    "a/..": "archive.path_escapes",
    "/tmp/evil": "archive.path_escapes",
    "//evil": "archive.path_escapes",
    "C:evil": "archive.path_escapes",
    "c:/evil": "archive.path_escapes",
    "..\\evil": "archive.bad_name",
    "a\\b": "archive.bad_name",
    "x" * 256: "limits.path_too_long",
    "/".join(["d" * 250] * 6): "limits.path_too_long",
    "d/" * 40 + "evil": "limits.depth_exceeded",
    ".git/../../evil": "archive.path_escapes",
}


@pytest.mark.parametrize("name", NAMES)
def test_a_name_that_leads_elsewhere_refuses_the_archive(ground: Ground, name: str) -> None:
    """In tar and in zip, as a file and as a folder; the harmless members are not taken either."""
    for content in ("x", None):
        assert refused(ground, tar_of({**FILES, name: content})) == [NAMES[name]]
        assert refused(ground, zip_of({**FILES, name: content}), "evil.zip") == [NAMES[name]]


def test_names_that_are_not_utf8_refuse_the_archive(ground: Ground) -> None:
    """As old code pages make them; the message can still be told."""
    data = tar_of({os.fsdecode(b"caf\xe9"): ""}, errors="surrogateescape")
    assert refused(ground, data) == ["archive.name_not_utf8"]
    data = zip_of({"caf_": ""}).replace(b"caf_", b"caf\xe9")
    assert refused(ground, data, "evil.zip") == ["archive.name_not_utf8"]


def test_a_nul_in_a_name_refuses_the_archive(ground: Ground) -> None:
    """What one reader ends there, another one reads on."""
    assert refused(ground, zip_of({"ab_c": ""}).replace(b"ab_c", b"ab\0c"), "evil.zip") == ["archive.bad_name"]
    data = tar_with(member("a", pax_headers={"path": "a\0b"}), format=tarfile.PAX_FORMAT)
    assert refused(ground, data) == ["archive.bad_name"]


def test_one_name_for_two_things_refuses_the_archive(ground: Ground) -> None:
    """The same file twice, a file that is also a folder; a folder may be named twice."""
    twice = tar_with(member("a", size=1), member("./a", size=1), content=b"xy")
    assert refused(ground, twice) == ["archive.duplicate_member"]
    assert refused(ground, tar_of({"a": "", "a/b": ""})) == ["archive.conflicting_member"]
    assert refused(ground, tar_of({"a/b": "", "a": ""})) == ["archive.conflicting_member"]
    with pytest.warns(UserWarning, match="Duplicate name"), zipfile.ZipFile(buffer := io.BytesIO(), "w") as archive:
        archive.writestr("a", "1")
        archive.writestr("a", "2")
    assert refused(ground, buffer.getvalue(), "evil.zip") == ["archive.duplicate_member"]
    folders = tar_with(member("a", type=tarfile.DIRTYPE), member("a/", type=tarfile.DIRTYPE), member("a/b"))
    assert ground.snapshot(ground.file("fine.tar", folders)).files == 1


# --- kinds ---

KINDS = {
    tarfile.SYMTYPE: "archive.link",
    tarfile.LNKTYPE: "archive.link",
    tarfile.CHRTYPE: "archive.special_member",
    tarfile.BLKTYPE: "archive.special_member",
    tarfile.FIFOTYPE: "archive.special_member",
    tarfile.GNUTYPE_SPARSE: "archive.sparse_member",
    b"M": "archive.special_member",
    b"V": "archive.special_member",
}


@pytest.mark.parametrize("kind", KINDS)
def test_only_files_and_folders_come_out_of_an_archive(ground: Ground, kind: bytes) -> None:
    """Links, devices, FIFOs, sparse files and what else tar knows are refused by name."""
    assert refused(ground, tar_with(member("x", type=kind, linkname="pack.yaml"))) == [KINDS[kind]]


@pytest.mark.parametrize(("mode", "code"), [(0o120777, "archive.link"), (0o010644, "archive.special_member")])
def test_only_files_and_folders_come_out_of_a_zip(ground: Ground, mode: int, code: str) -> None:
    """Unix attributes can make a member anything."""
    with zipfile.ZipFile(buffer := io.BytesIO(), "w") as archive:
        info = zipfile.ZipInfo("x")
        info.external_attr = mode << 16
        archive.writestr(info, "/etc/passwd")
    assert refused(ground, buffer.getvalue(), "evil.zip") == [code]


def test_nothing_is_ever_written_through_a_link(ground: Ground) -> None:
    """A link out and then a file behind it, the classic: nothing appears outside."""
    outside = ground.folder.parent / "outside"
    outside.mkdir()
    for kind, name in ((tarfile.SYMTYPE, "l/evil"), (tarfile.LNKTYPE, "l")):
        link = member("l", type=kind, linkname=str(outside))
        assert "archive.link" in refused(ground, tar_with(link, member(name, size=1), content=b"x"))
    assert os.listdir(outside) == []


def test_all_hostile_members_are_named(ground: Ground) -> None:
    """Each by its name, up to a hundred, so that the author need not try again for each."""
    path = ground.file("evil.tar", tar_of({**FILES, "/a": "", "../b": "", "c\\d": ""}))
    taken = ground.take(path)
    assert isinstance(taken, Refused)
    assert [problem.message.split("'")[1] for problem in taken.problems] == ["/a", "../b", "c\\\\d"]
    many = tar_of({f"../{number}": "" for number in range(150)})
    assert len(refused(ground, many)) == 100


def test_tarfiles_own_filter_has_the_last_word(monkeypatch: pytest.MonkeyPatch) -> None:
    """What our policy let pass and the library's `data` filter does not is refused as well."""
    if not hasattr(tarfile, "data_filter"):
        pytest.skip("NOT CHECKED: this Python has no data filter")
    content = iter([b"x"])
    with pytest.raises(RefusedError, match="data filter"):
        next(tarred._second_opinion(member("../x"), content, "evil.tar"))  # type: ignore[arg-type]
    assert list(tarred._second_opinion(member("x"), content, "fine.tar")) == [b"x"]  # type: ignore[arg-type]
    monkeypatch.delattr(tarfile, "data_filter")
    assert list(tarred._second_opinion(member("../x"), iter([b"y"]), "old.tar")) == [b"y"]  # type: ignore[arg-type]


# --- bombs ---

WRAPPINGS = {"evil.tar.gz": gzip.compress, "evil.tar.xz": lzma.compress, "evil.tar.zst": zstandard.compress}


@pytest.mark.parametrize("name", ["evil.zip", *WRAPPINGS])
def test_a_bomb_is_refused_before_it_is_unpacked(ground: Ground, name: str) -> None:
    """200 bytes for each byte, beyond 10 MiB, is more than any pack needs."""
    shape = {"big": bytes(12 * MIB)}
    data = zip_of(shape) if name == "evil.zip" else WRAPPINGS[name](tar_of(shape))
    assert len(data) < 60_000
    assert refused(ground, data, name) == ["archive.ratio_exceeded"]


@pytest.mark.parametrize("name", ["evil.zip", *WRAPPINGS])
def test_too_much_content_is_refused_whatever_its_ratio(ground: Ground, name: str) -> None:
    """The limit on bytes is that of folders; what is declared is enough to know."""
    ground.limits = Limits(bytes=100_000)
    shape = {"a": os.urandom(60_000), "b": os.urandom(60_000)}
    data = zip_of(shape) if name == "evil.zip" else WRAPPINGS[name](tar_of(shape))
    assert refused(ground, data, name) == ["limits.bytes_exceeded"]


def test_content_that_is_no_member_counts_too(ground: Ground) -> None:
    """Endless padding behind the end of a tar archive is read for its checksum, and not for ever."""
    ground.limits = Limits(bytes=1000, files=10)
    data = tar_of({"a": "x"}) + os.urandom(2500_000)
    assert refused(ground, gzip.compress(data, 1), "evil.tar.gz") == ["limits.bytes_exceeded"]


@pytest.mark.parametrize("name", ["evil.tar", "evil.zip", *WRAPPINGS])
def test_an_archive_larger_than_all_that_may_be_in_it_is_not_read(ground: Ground, name: str) -> None:
    """A hole behind its end takes no room on the disk, and days to be read."""
    ground.limits = Limits(bytes=1000)
    shape = {"a": "x"}
    data = zip_of(shape) if name == "evil.zip" else WRAPPINGS.get(name, bytes)(tar_of(shape))
    path = ground.file(name, data)
    os.truncate(path, 1024 * 1024 * MIB)
    taken = ground.take(path)
    assert isinstance(taken, Refused)
    assert codes(taken) == ["limits.bytes_exceeded"]
    assert "it has 1,048,576 MiB" in taken.problems[0].message


@pytest.mark.parametrize("name", WRAPPINGS)
def test_parts_without_content_come_to_an_end(ground: Ground, monkeypatch: pytest.MonkeyPatch, name: str) -> None:
    """None of them adds to what comes out, and each takes time."""
    monkeypatch.setattr(decompress, "_MOST_PARTS", 1000)
    squeeze = WRAPPINGS[name]
    data = squeeze(tar_of({"a": "x"}))
    assert ground.snapshot(ground.file(name, data + squeeze(b"") * 999)).files == 1
    (problem,) = ground.take(ground.file(name, data + squeeze(b"") * 1000)).problems  # type: ignore[union-attr]
    assert "it is compressed in more than 1,000 parts" in problem.message


def test_members_of_a_zip_that_share_bytes_are_refused(ground: Ground) -> None:
    """The same content named twice, and a member that quotes the next one (Fifield's bomb)."""
    whole = zip_of({"a": "x" * 100}, zipfile.ZIP_STORED)
    directory_at = whole.find(b"PK\x01\x02")
    record, end = whole[directory_at:-22], bytearray(whole[-22:])
    struct.pack_into("<2H2L", end, 8, 2, 2, 2 * len(record), directory_at)
    assert refused(ground, whole[:directory_at] + record * 2 + end, "evil.zip") == ["archive.overlapping_members"]

    content = b"y" * 50
    inner = _local(b"b", content) + content
    outer = _local(b"a", inner) + inner
    directory = _central(b"a", inner, 0) + _central(b"b", content, len(outer) - len(inner))
    tail = struct.pack("<4s4H2LH", b"PK\5\6", 0, 0, 2, 2, len(directory), len(outer), 0)
    assert refused(ground, outer + directory + tail, "evil.zip") == ["archive.overlapping_members"]


def _local(name: bytes, content: bytes) -> bytes:
    sizes = (zlib.crc32(content), len(content), len(content), len(name), 0)
    return struct.pack("<4s5H3L2H", b"PK\3\4", 20, 0, 0, 0, 0, *sizes) + name


def _central(name: bytes, content: bytes, at: int) -> bytes:
    sizes = (zlib.crc32(content), len(content), len(content), len(name), 0, 0)
    return struct.pack("<4s4B4HL2L5H2L", b"PK\1\2", 20, 3, 20, 0, 0, 0, 0, 0, *sizes, 0, 0, 0o100644 << 16, at) + name


@pytest.mark.parametrize("name", ["evil.zip", "evil.tar"])
def test_a_hundred_thousand_members_end_at_the_limit(ground: Ground, name: str) -> None:
    """Soon, and without a file having been written for each."""
    count = 100_000
    data = _zip_of_empty(count) if name == "evil.zip" else b"".join(_headers(count))
    ground.limits = Limits(files=500)
    before = time.process_time()
    assert refused(ground, data, name) == ["limits.traversed_entries_exceeded"]
    assert time.process_time() - before < 2


def _headers(count: int) -> Iterator[bytes]:
    """Tar headers of empty files, made a hundred times faster than by tarfile."""
    block = bytearray(member("000000").tobuf(tarfile.USTAR_FORMAT))
    others = sum(block[6:148]) + 8 * 32 + sum(block[156:])
    for number in range(count):
        block[:6] = b"%06d" % number
        block[148:156] = b"%06o\0 " % (others + sum(block[:6]))
        yield bytes(block)


def _zip_of_empty(count: int) -> bytes:
    names = [b"%06d" % number for number in range(count)]
    content = b"".join(_local(name, b"") for name in names)
    directory = b"".join(_central(name, b"", 36 * number) for number, name in enumerate(names))
    ends = (0xFFFF, 0xFFFF, len(directory), 0xFFFFFFFF, 0)
    end64 = struct.pack("<4sQ2H2L4Q", b"PK\6\6", 44, 45, 45, 0, 0, count, count, len(directory), len(content))
    locator = struct.pack("<4sLQL", b"PK\6\7", 0, len(content) + len(directory), 1)
    return content + directory + end64 + locator + struct.pack("<4s4H2LH", b"PK\5\6", 0, 0, *ends)


@pytest.mark.parametrize("kind", [b"x", b"g", b"L", b"K", b"X"])
def test_a_huge_header_is_refused_unread(ground: Ground, kind: bytes) -> None:
    """An extended header of gigabytes costs no memory."""
    header = member("h", type=kind, size=200 * MIB).tobuf(tarfile.USTAR_FORMAT)
    with (ground.folder / "evil.tar").open("wb") as opened:
        opened.write(header)
        opened.truncate(201 * MIB)
    tracemalloc.start()
    assert ground.refused(ground.folder / "evil.tar") == ["archive.header_too_large"]
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 4 * MIB


def test_a_chain_of_headers_is_refused(ground: Ground) -> None:
    """Thousands of headers in front of one member would make a recursive reader fall over."""
    record = b"13 comment=x\n"
    header = member("h", type=b"x", size=len(record)).tobuf(tarfile.USTAR_FORMAT) + record.ljust(512, b"\0")
    assert refused(ground, header * 5000 + tar_of({"a": ""})) == ["archive.header_too_large"]


@pytest.mark.parametrize("key", ["path", "size", "GNU.sparse.major"])
def test_a_global_header_names_no_member(ground: Ground, key: str) -> None:
    """One name or size for all members is refused; a comment, as git writes it, is fine."""
    data = tar_of({"a": ""}, format=tarfile.PAX_FORMAT, pax_headers={key: "1"})
    assert refused(ground, data) == ["archive.global_header"]
    fine = tar_of({"a": ""}, format=tarfile.PAX_FORMAT, pax_headers={"comment": "1"})
    assert ground.snapshot(ground.file("fine.tar", fine)).files == 1


@pytest.mark.parametrize("headers", [{"GNU.sparse.major": "1"}, {"GNU.sparse.map": "0,1"}])
def test_sparse_files_in_pax_headers_are_refused(ground: Ground, headers: dict[str, str]) -> None:
    """They claim any size for a few bytes."""
    data = tar_with(member("a", pax_headers=headers), format=tarfile.PAX_FORMAT)
    assert refused(ground, data) == ["archive.sparse_member"]


@pytest.mark.parametrize(
    "record", [b"99999 path=x\n", b"5 path=x\n", b"x path=x\n", b"0 path=x\n", b"11 path=xx_", b"12 size=-99\n", b"14 size=1e400\n"]
)  # fmt: skip
def test_a_header_that_makes_no_sense_is_refused(ground: Ground, record: bytes) -> None:
    """Lengths that lie, numbers that are none."""
    header = member("h", type=b"x", size=len(record)).tobuf(tarfile.USTAR_FORMAT) + record.ljust(512, b"\0")
    assert refused(ground, header + tar_of({"a": ""})) == ["archive.unreadable"]


def test_a_negative_size_is_refused(ground: Ground) -> None:
    """It sends readers backwards, for ever."""
    header = bytearray(member("a").tobuf(tarfile.USTAR_FORMAT))
    header[124:136] = b"\xff" * 12
    header[148:156] = b"%06o\0 " % (sum(header[:148]) + 8 * 32 + sum(header[156:512]))
    assert refused(ground, bytes(header) + bytes(1024)) == ["archive.unreadable"]


def test_a_window_of_gigabytes_is_refused(ground: Ground) -> None:
    """An archive decides how much memory its reader needs; up to a point."""
    parameters = zstandard.ZstdCompressionParameters.from_level(1, window_log=28, enable_ldm=True)
    squeezed = zstandard.ZstdCompressor(compression_params=parameters).compressobj()
    data = squeezed.compress(tar_of({"a": os.urandom(100_000)})) + squeezed.flush()
    assert refused(ground, data, "evil.tar.zst") == ["archive.unreadable"]
    tiny = bytearray(lzma.compress(tar_of({"a": ""}), filters=[{"id": lzma.FILTER_LZMA2, "dict_size": 1 << 20}]))
    at = tiny.find(b"\x21\x01", 12, 24)
    tiny[at + 2] = 36  # 2^30 bytes
    length = (tiny[12] + 1) * 4
    tiny[12 + length - 4 : 12 + length] = zlib.crc32(tiny[12 : 12 + length - 4]).to_bytes(4, "little")
    assert refused(ground, bytes(tiny), "evil.tar.xz") == ["archive.unreadable"]


# --- zips that lie ---


def _changed(data: bytes, *, local: int, central: int, value: int, form: str = "<L") -> bytes:
    """A zip of one member with a field of its local header and of its record in the directory set."""
    changed = bytearray(data)
    if local >= 0:
        struct.pack_into(form, changed, local, value)
    struct.pack_into(form, changed, data.find(b"PK\1\2") + central, value)
    return bytes(changed)


@pytest.mark.parametrize("declared", [0, 99, 101, 5000])
@pytest.mark.parametrize("method", [zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED])
def test_a_member_of_another_size_than_declared_is_refused(ground: Ground, declared: int, method: int) -> None:
    """Longer or shorter, however it is stored."""
    data = _changed(zip_of({"a": "x" * 100}, method), local=22, central=24, value=declared)
    assert refused(ground, data, "evil.zip") == ["archive.size_mismatch"]


def test_a_stream_that_ends_elsewhere_than_declared_is_refused(ground: Ground) -> None:
    """Bytes of a compressed member that nobody unpacks, or that are missing."""
    data = zip_of({"a": os.urandom(100), "b": "x" * 50})
    directory_at = data.find(b"PK\1\2")
    shorter = bytearray(data)
    for at in (18, directory_at + 20):
        struct.pack_into("<L", shorter, at, struct.unpack_from("<L", data, at)[0] - 3)
    assert refused(ground, bytes(shorter), "evil.zip") == ["archive.size_mismatch"]
    squeezed = zlib.compressobj(wbits=-15)
    stream = squeezed.compress(b"y" * 10) + squeezed.flush()
    hidden = stream + b"hidden"
    local = bytearray(_local(b"a", hidden) + hidden)
    central = bytearray(_central(b"a", hidden, 0))
    for header, at in ((local, 8), (central, 10)):
        struct.pack_into("<H", header, at, 8)
        struct.pack_into("<LLL", header, at + 6, zlib.crc32(b"y" * 10), len(hidden), 10)
    tail = struct.pack("<4s4H2LH", b"PK\5\6", 0, 0, 1, 1, len(central), len(local), 0)
    assert refused(ground, bytes(local + central + tail), "evil.zip") == ["archive.size_mismatch"]


@pytest.mark.parametrize(
    ("local", "central", "value", "form"),
    [
        (-1, 24, 50, "<L"),  # one size here, another there
        (-1, 10, 0, "<H"),  # one method here, another there
        (-1, 42, 3, "<L"),  # no local header where the directory says
        (14, 16, 1, "<L"),  # a checksum that is not that of the content
        (-1, 46, ord("b"), "<B"),  # one name here, another there
    ],
)
def test_a_zip_that_contradicts_itself_is_refused(
    ground: Ground, local: int, central: int, value: int, form: str
) -> None:
    """Who reads the directory and who reads the headers must see the same."""
    data = _changed(zip_of({"a": "x" * 100}), local=local, central=central, value=value, form=form)
    assert refused(ground, data, "evil.zip") == ["archive.unreadable"]


@pytest.mark.parametrize("flag", [0x1, 0x40, 0x2000])
def test_an_encrypted_member_is_refused(ground: Ground, flag: int) -> None:
    """Nobody is asked for passwords."""
    data = _changed(zip_of({"a": "x"}), local=6, central=8, value=flag, form="<H")
    assert refused(ground, data, "evil.zip") == ["archive.encrypted"]


@pytest.mark.parametrize(
    ("at", "form", "value"),
    [(12, "<L", 0xFFFFFF00), (16, "<L", 1), (12, "<L", 20), (8, "<H", 0xFFFF), (10, "<H", 0xFFFF), (4, "<H", 3)],
)
def test_an_end_that_points_nowhere_is_refused(ground: Ground, at: int, form: str, value: int) -> None:
    """Offsets and lengths are held against the file before they are believed."""
    data = bytearray(zip_of(FILES))
    struct.pack_into(form, data, len(data) - 22 + at, value)
    taken = ground.take(ground.file("evil.zip", bytes(data)))
    if at == 8:  # the number of members on this disk: redundant, and of no importance
        assert not isinstance(taken, Refused)
    else:
        assert isinstance(taken, Refused)
        assert codes(taken) == ["archive.unreadable"]


def test_a_directory_of_gigabytes_is_not_read(ground: Ground) -> None:
    """More than any honest archive has is not read into memory."""
    ground.limits = Limits(files=2)
    assert refused(ground, zip_of({"a": "", "b": "", "c": ""}), "evil.zip") == ["limits.traversed_entries_exceeded"]
    with (ground.folder / "evil.zip").open("wb") as opened:
        opened.write(b"PK\3\4")
        opened.truncate(40 * MIB)
        opened.seek(0, os.SEEK_END)
        opened.write(struct.pack("<4s4H2LH", b"PK\5\6", 0, 0, 1, 1, 40 * MIB, 0, 0))
    tracemalloc.start()
    assert ground.refused(ground.folder / "evil.zip") == ["limits.traversed_entries_exceeded"]
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 4 * MIB
