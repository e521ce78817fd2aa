"""What the daemon refuses, in the words and with the exit status of a command line."""

from __future__ import annotations

import re
from contextlib import contextmanager
from typing import TYPE_CHECKING, Final

from packd.domain.failures import Code, Failure

if TYPE_CHECKING:
    from collections.abc import Iterator

# The daemon speaks of the API's fields; at a terminal these are options. Settings, which have a section, stay.
_OPTIONS: Final = {
    "force=true": "--force",
    "replace=true": "--replace",
    "skip_tests=true": "--skip-tests",
    "allow_private": "--allow-private",
}
_FIELD: Final = re.compile(rf"(?<![.\w])(?:{'|'.join(_OPTIONS)})\b")
_NO_ANSWER: Final = (Code.UNREACHABLE, Code.UNPROCESSABLE_ENTITY)  # nobody was asked, or nothing that can be answered


def in_options(sentence: str) -> str:
    """The daemon's sentence with options in the place of fields.

    >>> in_options("use force=true, or set sources.allow_private")
    'use --force, or set sources.allow_private'
    """
    return _FIELD.sub(lambda found: _OPTIONS[found[0]], sentence)


@contextmanager
def in_words_of_options() -> Iterator[None]:
    """What the daemon refuses inside is said with options in the place of fields."""
    try:
        yield
    except Failure as failure:
        raise _said_again(failure, failure.code) from failure


@contextmanager
def as_answers() -> Iterator[None]:
    """Inside, it is clear what is asked for: every refusal of the daemon is the answer, and the answer is no (1)."""
    try:
        yield
    except Failure as failure:
        if failure.code in _NO_ANSWER:
            raise
        raise _said_again(failure, Code.CONFLICT) from failure


def _said_again(failure: Failure, code: Code) -> Failure:
    return Failure(code, in_options(failure.sentence), problems=failure.problems, members=failure.members)
