"""An exception is a code for machines and a sentence for people; each door has one table from code to its own status."""

from __future__ import annotations

import errno
from enum import StrEnum
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from packd.domain.problems import Problem


class Code(StrEnum):
    """What kind of "no" it is; the words are those of the HTTP `code` member."""

    BAD_REQUEST = "BAD_REQUEST"  # the request, or what it points at, is wrong; asking again changes nothing
    UNAUTHORIZED = "UNAUTHORIZED"  # nobody knows who asks
    FORBIDDEN = "FORBIDDEN"  # this caller may not
    NOT_FOUND = "NOT_FOUND"  # there is no such thing
    CONFLICT = "CONFLICT"  # the thing is in a state that does not allow it
    GONE = "GONE"  # it was there once and is not kept any more
    PRECONDITION_FAILED = "PRECONDITION_FAILED"  # it is not any more what the caller thinks it is
    UNPROCESSABLE_ENTITY = "UNPROCESSABLE_ENTITY"  # understood as a form, not as a request
    TOO_MANY_REQUESTS = "TOO_MANY_REQUESTS"  # this caller asks too often
    METHOD_NOT_ALLOWED = "METHOD_NOT_ALLOWED"  # not in this way
    NOT_ACCEPTABLE = "NOT_ACCEPTABLE"  # not in the form that was asked for
    CONTENT_TOO_LARGE = "CONTENT_TOO_LARGE"  # the request is too large
    UNSUPPORTED_MEDIA_TYPE = "UNSUPPORTED_MEDIA_TYPE"  # the request is in another form than JSON
    MISDIRECTED_REQUEST = "MISDIRECTED_REQUEST"  # sent to a name that is not ours
    UNAVAILABLE = "UNAVAILABLE"  # not now; try again later
    UNREACHABLE = "UNREACHABLE"  # no daemon answers
    INTERNAL = "INTERNAL"  # packd's own fault


# How HTTP says it (RFC 9110 section 15): the daemon answers by this table, and the client reads it backwards.
HTTP_STATUS: Final[Mapping[Code, int]] = MappingProxyType(
    {
        Code.BAD_REQUEST: 400,
        Code.UNAUTHORIZED: 401,
        Code.FORBIDDEN: 403,
        Code.NOT_FOUND: 404,
        Code.METHOD_NOT_ALLOWED: 405,
        Code.NOT_ACCEPTABLE: 406,
        Code.CONFLICT: 409,
        Code.GONE: 410,
        Code.PRECONDITION_FAILED: 412,
        Code.CONTENT_TOO_LARGE: 413,
        Code.UNSUPPORTED_MEDIA_TYPE: 415,
        Code.MISDIRECTED_REQUEST: 421,
        Code.UNPROCESSABLE_ENTITY: 422,
        Code.TOO_MANY_REQUESTS: 429,
        Code.INTERNAL: 500,
        Code.UNREACHABLE: 502,  # only ever said by whoever stands between client and daemon
        Code.UNAVAILABLE: 503,
    }
)


class Failure(Exception):
    """A refused command: never raised for what a pack does wrong (that is a Problem or a Report)."""

    def __init__(
        self, code: Code, sentence: str, *, problems: Sequence[Problem] = (), members: Mapping[str, Any] | None = None
    ) -> None:
        super().__init__(sentence)
        self.code = code
        self.sentence = sentence
        self.problems = tuple(problems)
        self.members: Mapping[str, Any] = dict(members or {})  # more for machines, JSON-able, e.g. {"oldest": 17}


# What packd may be short of for a moment when it opens something: it says nothing of what was to be opened.
SHORT_OF: Final = frozenset({errno.EMFILE, errno.ENFILE, errno.ENOMEM})
_USED_UP: Final = SHORT_OF | {errno.EAGAIN}  # processes and threads
_NO_THREAD: Final = "can't start new thread"  # as Python says it, without a number


def shortage(surprise: BaseException) -> Failure | None:
    """The refusal that it comes to when the machine was short of something; None: it is about something else."""
    if isinstance(surprise, OSError) and surprise.errno in _USED_UP:
        what = surprise.strerror or str(surprise)
    elif isinstance(surprise, RuntimeError) and str(surprise) == _NO_THREAD:
        what = "no more threads"
    else:
        return None
    sentence = (
        f"this machine has not enough for it at the moment ({what}): try again; `packd doctor` looks at its limits"
    )
    return Failure(Code.UNAVAILABLE, sentence)


def for_log(failure: Exception) -> dict[str, Any]:
    """What an entry of the log keeps of it: the sentence where that says it all, else how it came about."""
    said = shortage(failure) or failure
    if isinstance(said, Failure) and said.code == Code.UNAVAILABLE:
        return {"why": said.sentence}
    return {"exc_info": failure}
