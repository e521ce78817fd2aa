"""Every "no" of this door in one form: RFC 9457 problem details, with the members `error` and `code` added."""

from __future__ import annotations

from http import HTTPStatus
from typing import TYPE_CHECKING, Any

from fastapi.exceptions import RequestValidationError
from starlette.exceptions import HTTPException

from packd.api.answer import Answer
from packd.api.details import MEDIA_TYPE, details, refused
from packd.api.methods import allowed
from packd.domain.failures import HTTP_STATUS, Code, Failure
from packd.domain.problems import Problem

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from fastapi import FastAPI, Request


def install(app: FastAPI) -> None:
    """Answer in this form wherever a handler, or the framework, refuses."""
    app.exception_handler(Failure)(_failed)
    app.exception_handler(HTTPException)(_refused_by_framework)
    app.exception_handler(RequestValidationError)(_not_understood)


def problem(
    status: int,
    detail: str,
    *,
    instance: str,
    request_id: str,
    problems: Sequence[Problem] = (),
    headers: Mapping[str, str] | None = None,
) -> Answer:
    """The answer."""
    body = details(status, detail, instance=instance, request_id=request_id, problems=problems)
    return Answer(body, status_code=status, headers=headers, media_type=MEDIA_TYPE)


async def _failed(request: Request, failure: Failure) -> Answer:
    return refusal(failure, instance=request.url.path, request_id=request.state.request_id)


def refusal(failure: Failure, *, instance: str, request_id: str) -> Answer:
    """The answer to a request that was refused, with the headers that its status asks for (RFC 9110, 11.6.1 and 10.2.3)."""
    headers = {}
    if failure.code == Code.UNAUTHORIZED:
        headers["WWW-Authenticate"] = 'Bearer realm="packd"'
    if "retry_after" in failure.members:
        headers["Retry-After"] = str(failure.members["retry_after"])
    body = refused(failure, instance=instance, request_id=request_id)
    return Answer(body, status_code=HTTP_STATUS[failure.code], headers=headers, media_type=MEDIA_TYPE)


async def _refused_by_framework(request: Request, failure: HTTPException) -> Answer:
    where = f"{request.method} {request.url.path}"
    said, headers = failure.detail, failure.headers
    if failure.status_code == HTTPStatus.NOT_FOUND:
        said = f"there is no {where}; GET /openapi.json lists what there is"
    elif failure.status_code == HTTPStatus.METHOD_NOT_ALLOWED:
        possible = allowed(request.scope)  # the framework knows only those of the first route that it found
        said = f"{where} is not possible; {' and '.join(possible)} {'are' if len(possible) > 1 else 'is'}"
        headers = {"Allow": ", ".join(possible)}
    return problem(
        failure.status_code, said, instance=request.url.path, request_id=request.state.request_id, headers=headers
    )


async def _not_understood(request: Request, failure: RequestValidationError) -> Answer:
    found = tuple(_problem(error) for error in failure.errors())
    return problem(
        422,
        "the request can't be understood: " + "; ".join(one.message for one in found),
        instance=request.url.path,
        request_id=request.state.request_id,
        problems=found,
    )


def _problem(error: Mapping[str, Any]) -> Problem:
    """`{"loc": ("query", "page"), "msg": "Input should be …"}` as a sentence that names the place."""
    where, *steps = (str(step) for step in error["loc"])
    place = f"{where} {'.'.join(steps)}" if steps else where
    said = str(error["msg"]).removeprefix("Value error, ")  # Pydantic's own, before what packd says
    return Problem(code=f"request.{error['type']}", message=f"{place}: {said}")
