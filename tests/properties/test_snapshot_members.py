"""The member policy for any names: what it lets pass stays inside, and nothing stands for two things."""

from __future__ import annotations

import posixpath
from typing import get_args

from hypothesis import given, settings
from hypothesis import strategies as st

from packd.domain.ignore import Ignore
from packd.domain.problems import Problem
from packd.snapshot.limits import Limits
from packd.snapshot.members import Member, MemberKind, MemberPolicy, RefusedError

_PART = st.sampled_from(
    ["", ".", "..", "a", "b", "C:", "é", "\udcff", "x\\y", "n\0l", ".git", "...", "~", " ", "w" * 300]
)
_NAME = st.lists(_PART, max_size=6).map("/".join)
_KIND = st.sampled_from(get_args(MemberKind))
_MEMBER = st.builds(Member, name=_NAME, kind=_KIND, size=st.integers(0, 3))
_LIMITS = Limits(depth=3, bytes=20, files=15, path_length=40)


def _admitted(members: list[Member]) -> list[tuple[Member, str]]:
    policy, passed = MemberPolicy("evil.tar", Ignore().name, _LIMITS), []
    try:
        for member in members:
            path = policy.admit(member)
            assert path is None or isinstance(path, str | Problem)
            if isinstance(path, str):
                passed.append((member, path))
    except RefusedError as refusal:
        assert refusal.problem.file == "evil.tar"
    return passed


@settings(max_examples=100, deadline=None)
@given(members=st.lists(_MEMBER, max_size=20))
def test_what_passes_is_a_path_inside(members: list[Member]) -> None:
    """Relative, normalised, encodable, short enough, of a kind that can be unpacked, and what the member was called."""
    for member, path in _admitted(members):
        assert member.kind in ("file", "folder")
        assert path == posixpath.normpath(path)
        assert not path.startswith("/")
        assert not {"..", ".", ".git", ""} & set(path.split("/"))
        assert not {"\0", "\\"} & set(path)
        assert len(path.encode("utf-8")) <= _LIMITS.path_length + 256
        assert posixpath.normpath(member.name) == path


@settings(max_examples=100, deadline=None)
@given(members=st.lists(_MEMBER, max_size=20))
def test_what_passes_can_be_unpacked_side_by_side(members: list[Member]) -> None:
    """No two files of one name, no file where a folder is; within the limits as a whole."""
    passed = _admitted(members)
    files = [path for member, path in passed if member.kind == "file"]
    assert len(files) == len(set(files))
    for _, path in passed:
        assert not any(path.startswith(f"{name}/") for name in files)
    assert not set(files) & {path for member, path in passed if member.kind == "folder"}
    assert len(passed) <= _LIMITS.files
    assert sum(member.size for member, _ in passed) <= _LIMITS.bytes


@settings(deadline=None)
@given(name=st.one_of(_NAME.map("/{}".format), st.builds("{}/../{}".format, _NAME, _NAME)))
def test_what_leads_outside_never_passes(name: str) -> None:
    """Not even when the way leads back in."""
    assert not _admitted([Member(name=name, kind="file")])
