"""`ETag` and `If-Match`: nobody overwrites what he has not seen (RFC 9110, section 13)."""

from __future__ import annotations

import hashlib
import json
from typing import Annotated, Any

from fastapi import Depends, Header

from packd.api.answer import Answer
from packd.domain.failures import Code, Failure


def entity_tag(view: dict[str, Any]) -> str:
    """A strong tag of what a GET shows; leave out of `view` whatever changes by itself, such as counters."""
    said = json.dumps(view, sort_keys=True, separators=(",", ":")).encode()
    return f'"{hashlib.sha256(said).hexdigest()[:32]}"'


class Precondition:
    """What the caller thinks that the thing is now."""

    def __init__(self, if_match: str | None, if_none_match: str | None) -> None:
        self._if_match = _tags(if_match)
        self._if_none_match = _tags(if_none_match)

    def check(self, tag: str) -> None:
        """Before changing it. Raises Failure PRECONDITION_FAILED when somebody else was faster."""
        if self._if_match is not None and "*" not in self._if_match and tag not in self._if_match:
            said = "it was changed since you have read it: read it again, and send its ETag as If-Match"
            raise Failure(Code.PRECONDITION_FAILED, said, members={"etag": tag})

    def answer(self, body: dict[str, Any], tag: str, *, status_code: int = 200) -> Answer:
        """The answer to a GET, with its tag: 304 and nothing else when the caller has it already."""
        if self._if_none_match is not None and (tag in self._if_none_match or "*" in self._if_none_match):
            return NotModified(status_code=304, headers={"ETag": tag})
        return Answer(body, status_code=status_code, headers={"ETag": tag})


class NotModified(Answer):
    """Has no body."""

    def __init__(self, *, status_code: int, headers: dict[str, str]) -> None:
        super().__init__(None, status_code=status_code, headers=headers)

    def render(self, content: Any) -> bytes:
        return b""


async def _precondition(
    if_match: Annotated[str | None, Header(description="Change it only if this is still its ETag.")] = None,
    if_none_match: Annotated[str | None, Header(description="Send it only if this is not its ETag.")] = None,
) -> Precondition:
    return Precondition(if_match, if_none_match)


InPrecondition = Annotated[Precondition, Depends(_precondition)]


def _tags(header: str | None) -> frozenset[str] | None:
    if header is None:
        return None
    return frozenset(tag.strip().removeprefix("W/") for tag in header.split(",") if tag.strip())
