"""An exception is a code for machines and a sentence for people; each door has one table from code to its own status."""

from __future__ import annotations

from enum import StrEnum
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from packd.domain.problems import Problem


class Code(StrEnum):
    """What kind of "no" it is; the words are those of the HTTP `code` member."""

    BAD_REQUEST = "BAD_REQUEST"  # the request, or what it points at, is wrong; asking again changes nothing
    FORBIDDEN = "FORBIDDEN"  # this caller may not
    NOT_FOUND = "NOT_FOUND"  # there is no such thing
    CONFLICT = "CONFLICT"  # the thing is in a state that does not allow it
    GONE = "GONE"  # it was there once and is not kept any more
    UNAVAILABLE = "UNAVAILABLE"  # not now; try again later
    UNREACHABLE = "UNREACHABLE"  # no daemon answers
    INTERNAL = "INTERNAL"  # packd's own fault


# How HTTP says it (RFC 9110 section 15): the daemon answers by this table, and the client reads it backwards.
HTTP_STATUS: Final[Mapping[Code, int]] = MappingProxyType(
    {
        Code.BAD_REQUEST: 400,
        Code.FORBIDDEN: 403,
        Code.NOT_FOUND: 404,
        Code.CONFLICT: 409,
        Code.GONE: 410,
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
