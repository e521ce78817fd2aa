"""The forms of answers: what all of them share. For the document and for the tests that hold answers against it."""

from __future__ import annotations

from typing import Any, ClassVar, Final, Generic, Literal, TypeVar

from pydantic import BaseModel, ConfigDict, Field

DIGEST: Final = "sha256:" + "9f" * 32
AT: Final = "2026-01-31T09:15:00.118Z"

Moment = str  # RFC 3339 in UTC


class Form(BaseModel):
    """The form of something in an answer; more members may come, so readers ignore what they do not know."""

    model_config = ConfigDict(extra="allow")

    sample: ClassVar[dict[str, Any]] = {}

    @classmethod
    def example(cls) -> dict[str, Any]:
        return cls.sample


class Problem(Form):
    """One finding of validation, or one thing that is wrong with a request."""

    code: str = Field(description="Stable and dotted.")
    message: str = Field(description="What is wrong, and the way out.")
    file: str | None = Field(description="Inside the pack.")
    line: int | None
    column: int | None
    suggestion: str | None = Field(description="What was probably meant.")
    severity: Literal["error", "warning"]
    sample: ClassVar[dict[str, Any]] = {
        "code": "manifest.invalid_version", "message": "version is the number 1.0: quote it, as in version: '1.0.0'",
        "file": "pack.yaml", "line": 2, "column": 10, "suggestion": "'1.0.0'", "severity": "error",
    }  # fmt: skip


class ProblemDetails(Form):
    """Every refusal: RFC 9457, with the members `error` and `code`."""

    type: str
    title: str
    status: int
    detail: str = Field(description="One sentence with the way out.")
    instance: str = Field(description="The path that was asked for.")
    request_id: str = Field(description="As in X-Request-Id and in packd's log.")
    error: str = Field(description="The same as `detail`.")
    code: str = Field(description="For machines, e.g. NOT_FOUND.")
    problems: list[Problem] = Field(
        default=[], description="Everything that was found, where there is more than one thing."
    )


class Anything(Form):
    """Described where it comes from."""


class Pagination(Form):
    page: int
    page_size: int
    total_items: int
    total_pages: int
    has_previous: bool
    has_next: bool


Item = TypeVar("Item", bound=Form)


class One(Form, Generic[Item]):
    """An answer about one thing."""

    data: Item | None
    message: str | None = Field(default=None, description="The same in words.")


class Many(Form, Generic[Item]):
    """A page of a list."""

    items: list[Item]
    pagination: Pagination


class All(Form, Generic[Item]):
    """A whole list."""

    items: list[Item]
