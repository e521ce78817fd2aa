"""Where links lead, for any links: what packd calls inside is inside for the kernel too."""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from packd.snapshot.links import Links

_FOLDERS = st.lists(st.sampled_from(["a", "b", "c", "..", ".", ""]), max_size=4)
_TARGET = st.builds(
    lambda folders, end: "/".join([*folders, end]), _FOLDERS, st.sampled_from(["f", "a", "b", "..", "."])
)
_PLACES = ["l", "m", "a/l", "a/m", "a/b/l", "a/b/c"]


@pytest.fixture
def folders(tmp_path: Path) -> Iterator[Path]:
    """A new folder for each example, well below any other of their names."""
    return (tmp_path / f"{number}-tree" / "top" for number in itertools.count())


@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(links=st.dictionaries(st.sampled_from(_PLACES), _TARGET, min_size=1))
def test_links_lead_where_the_kernel_follows_them(folders: Iterator[Path], links: dict[str, str]) -> None:
    """Inside: the kernel finds it, inside and not around the link itself. Found outside: packd says that it escapes."""
    top = next(folders)
    (top / "a" / "b").mkdir(parents=True)
    (top / "f").touch()
    for path, target in links.items():
        (top / path).symlink_to(target)
    tree = Links({"a": None, "a/b": None, "f": None, **links})
    for path in links:
        said = tree.whither(path)
        try:
            found = (top / path).resolve(strict=True)
        except (OSError, RuntimeError):
            assert said != "inside"
            continue
        if not found.is_relative_to(top):
            assert said == "escapes"
        elif said == "inside":
            assert not (top / path).parent.is_relative_to(found)
        else:
            assert said in ("escapes", "loop"), "what the kernel finds is not missing"
