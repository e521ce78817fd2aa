"""The body of every "no" of this door: RFC 9457 problem details, with the members `error` and `code` added."""

from __future__ import annotations

from http import HTTPStatus
from typing import TYPE_CHECKING, Any, Final

from packd.domain.failures import HTTP_STATUS

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from packd.domain.failures import Failure
    from packd.domain.problems import Problem

MEDIA_TYPE: Final = "application/problem+json"

_CODES: Final = {status: str(code) for code, status in HTTP_STATUS.items()}


def details(
    status: int,
    detail: str,
    *,
    instance: str,
    request_id: str,
    code: str | None = None,
    problems: Sequence[Problem] = (),
    members: Mapping[str, Any] | None = None,
) -> dict[str, Any]:
    """`members` are more of it for machines and never replace the standard ones."""
    body: dict[str, Any] = {
        **(members or {}),
        "type": "about:blank",  # RFC 9457 section 4.2.1: the title says what the status says
        "title": _phrase(status),
        "status": status,
        "detail": detail,
        "instance": instance,
        "request_id": request_id,
        "error": detail,
        "code": code or _CODES.get(status, "INTERNAL" if status >= 500 else "BAD_REQUEST"),
    }
    if problems:
        body["problems"] = [found.to_dict() for found in problems]
    return body


def refused(failure: Failure, *, instance: str, request_id: str) -> dict[str, Any]:
    """What a failure comes to."""
    return details(
        HTTP_STATUS[failure.code],
        failure.sentence,
        instance=instance,
        request_id=request_id,
        code=failure.code,
        problems=failure.problems,
        members=failure.members,
    )


def _phrase(status: int) -> str:
    try:
        return HTTPStatus(status).phrase
    except ValueError:
        return "Refused"
