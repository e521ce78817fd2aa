"""The digest for any content: the same for the same, another for anything else."""

from __future__ import annotations

import random
from hashlib import sha256

from hypothesis import given, settings
from hypothesis import strategies as st

from packd.snapshot.digest import Content, digest, file, folder, link

_TEXT = st.text("aä/ \n-0", min_size=1, max_size=6)
_HASH = st.sampled_from([sha256(bytes([number])).hexdigest() for number in range(4)])


def _content(path: str) -> st.SearchStrategy[Content]:
    files = st.builds(file, st.just(path), executable=st.booleans(), size=st.integers(0, 2**40), sha256_hex=_HASH)
    return st.one_of(files, st.just(folder(path)), st.builds(link, st.just(path), _TEXT))


_CONTENTS = st.lists(_TEXT.flatmap(_content), unique_by=lambda content: content.path, max_size=5).map(tuple)


@settings(max_examples=60, deadline=None)
@given(contents=_CONTENTS, seed=st.integers())
def test_order_does_not_matter(contents: tuple[Content, ...], seed: int) -> None:
    """A listing is sorted before it is hashed, so that no file system's order shows."""
    shuffled = list(contents)
    random.Random(seed).shuffle(shuffled)
    assert digest(shuffled) == digest(contents)


@settings(max_examples=60, deadline=None)
@given(one=_CONTENTS, other=_CONTENTS)
def test_other_content_has_another_digest(one: tuple[Content, ...], other: tuple[Content, ...]) -> None:
    """Two packs have the same digest only if they are the same set of entries."""
    assert (digest(one) == digest(other)) == (set(one) == set(other))


@settings(max_examples=60, deadline=None)
@given(contents=_CONTENTS.filter(bool), data=st.data())
def test_any_single_change_shows(contents: tuple[Content, ...], data: st.DataObject) -> None:
    """One entry less, or one entry other in any field, is another digest."""
    index = data.draw(st.integers(0, len(contents) - 1))
    rest = contents[:index] + contents[index + 1 :]
    assert digest(rest) != digest(contents)
    other = data.draw(_content(data.draw(_TEXT)))
    if other not in contents:
        assert digest((*rest, other)) != digest(contents)


@settings(max_examples=60, deadline=None)
@given(path=_TEXT, target=_TEXT, tail=_TEXT)
def test_nothing_in_a_name_can_pass_for_another_entry(path: str, target: str, tail: str) -> None:
    """Spaces, newlines and whole records inside names stay names: no two listings have the same bytes."""
    sly = f"{path}\nd 0 - {tail}"
    assert digest([folder(sly)]) != digest([folder(path), folder(tail)])
    assert digest([link(path, target), folder(tail)]) != digest([link(path, target + tail)])
