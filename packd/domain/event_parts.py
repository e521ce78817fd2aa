"""What events are made of: the kinds of fields, cut to size, and the parts that several types of event share.

The limits keep a whole webhook body under 20 KiB whatever a pack writes. What does not fit is cut here, by the
constructors, and is to be had in full from the daemon: an event must never fail for what a pack says.
"""

from __future__ import annotations

from functools import partial
from typing import Annotated, Any, ClassVar, Final

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field

from packd.domain.clipping import clip, clip_to_end

PROBLEMS_LIMIT: Final = 20  # entries
FAILURES_LIMIT: Final = 10  # entries
OUTPUT_TAIL_LIMIT: Final = 4096  # bytes of JSON
NAMES_LIMIT: Final = 50  # suites, needed packs, kinds of components


def _cut(value: object, *, limit: int) -> object:
    return clip(value, limit) if isinstance(value, str) else value


def _cut_to_end(value: object, *, limit: int) -> object:
    return clip_to_end(value, limit) if isinstance(value, str) else value


def _first(value: object, *, limit: int) -> object:
    if isinstance(value, dict):
        return dict(list(value.items())[:limit])
    return value[:limit] if isinstance(value, list | tuple) else value


def _between(value: object, *, most: float) -> object:
    """A clock that was set back, or a report that cannot count, must not keep an event from being told."""
    if not isinstance(value, int | float):
        return value
    return min(value, most) if value > 0 else 0


def text(limit: int) -> BeforeValidator:
    """At most `limit` bytes of JSON, the beginning is kept."""
    return BeforeValidator(partial(_cut, limit=limit))


def text_end(limit: int) -> BeforeValidator:
    """At most `limit` bytes of JSON, the end is kept."""
    return BeforeValidator(partial(_cut_to_end, limit=limit))


def first(limit: int) -> BeforeValidator:
    """At most `limit` entries."""
    return BeforeValidator(partial(_first, limit=limit))


Name = Annotated[str, text(96)]
Version = Annotated[str, text(128)]
Path = Annotated[str, text(1024)]
Sentence = Annotated[str, text(1024)]
Digest = Annotated[str, Field(pattern=r"^sha256:[0-9a-f]{64}$")]
# The bound comes first: pydantic puts one that follows a validator into the schema under a name that is not the schema's.
Natural = Annotated[
    int, Field(ge=0), BeforeValidator(partial(_between, most=2**53 - 1))
]  # what JSON readers keep exact
Milliseconds = Annotated[float, Field(ge=0), BeforeValidator(partial(_between, most=1e12))]
Share = Annotated[float, Field(ge=0, le=1), BeforeValidator(partial(_between, most=1.0))]
Numbers = Annotated[dict[Name, Natural], first(NAMES_LIMIT)]


class Part(BaseModel):
    """Anything inside an event."""

    model_config = ConfigDict(
        frozen=True,
        extra="forbid",
        json_schema_serialization_defaults_required=True,
        defer_build=True,  # each is built when the first of its kind is made
    )

    # Instead of the fields' own examples, where those would not fit together.
    sample: ClassVar[dict[str, Any]] = {}

    @classmethod
    def example(cls) -> dict[str, Any]:
        """An instance as JSON, made of the examples of its fields."""
        return {name: (field.examples or [None])[0] for name, field in cls.model_fields.items()} | cls.sample


class RevisionInfo(Part):
    """One revision of a pack."""

    version: Version | None = Field(
        description="The author's label; null when it could not be read.", examples=["1.2.0"]
    )
    revision: int | None = Field(description="Its number within the pack; null when none was made.", examples=[6])
    digest: Digest | None = Field(
        description="The digest of its content; null when it could not be read.", examples=["sha256:" + "4b" * 32]
    )


class PackInfo(Part):
    """A pack, and the revision that the event is about."""

    ref: Name = Field(description="The name of the pack.", examples=["slack"])
    version: Version | None = Field(
        description="The author's label; null when it could not be read.", examples=["1.3.0"]
    )
    revision: int | None = Field(description="Its number within the pack; null when none was made.", examples=[7])
    path: Path | None = Field(description="Where its content came from.", examples=["/srv/packs/slack"])
    digest: Digest | None = Field(
        description="The digest of its content; null when it could not be read.", examples=["sha256:" + "9f" * 32]
    )
    previous: RevisionInfo | None = Field(
        default=None,
        description="The revision that was active before; null when none was.",
        examples=[RevisionInfo.example()],
    )


class ProblemInfo(Part):
    """One thing that validation found."""

    code: Name = Field(description="What kind of problem, stable and dotted.", examples=["manifest.invalid_version"])
    file: Annotated[str, text(240)] | None = Field(
        default=None, description="Path inside the pack; null: the pack as a whole.", examples=["pack.yaml"]
    )
    line: int | None = Field(default=None, description="1-based.", examples=[2])
    column: int | None = Field(default=None, description="1-based.", examples=[10])
    message: Annotated[str, text(480)] = Field(
        description="What is wrong and the way out.",
        examples=["version is the number 1.0: quote it, as in version: '1.0.0'"],
    )


class NeedInfo(Part):
    """A pack that another one needs."""

    ref: Name = Field(description="The name of the needed pack.", examples=["core"])
    version: Version = Field(description="The range of versions that would do; `*` is any.", examples=[">=1.2,<2"])


class Counts(Part):
    """Cases, summed over all suites."""

    total: Natural = Field(description="All cases.", examples=[36])
    passed: Natural = Field(description="Those that passed.", examples=[36])
    failed: Natural = Field(description="Those that failed or had an error.", examples=[0])
    skipped: Natural = Field(description="Those that were not executed.", examples=[0])


class FailureInfo(Part):
    """One case that did not pass."""

    suite: Name = Field(description="The suite it belongs to.", examples=["python"])
    case: Annotated[str, text(240)] = Field(description="Its name.", examples=["test_actions.TestPost.test_reply"])
    message: Annotated[str, text(640)] | None = Field(
        default=None, description="What it said.", examples=["AssertionError: 404 != 200"]
    )
