"""What can be asked for when endpoints are made and changed: the same rules as in the configuration file."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, SecretStr, field_validator

from packd.config.values import EndpointName, HeaderName, HeaderValue, HttpUrl, Secret
from packd.domain.events import unknown_types
from packd.registry.rows import Endpoint

_FIELDS = ("url", "types", "packs", "ordering", "format", "rate", "timeout_s", "allow_private")
Globs = Annotated[tuple[Annotated[str, Field(min_length=1, max_length=100)], ...], Field(max_length=100)]


class Request(BaseModel):
    """Anything that is asked."""

    model_config = ConfigDict(extra="forbid")


class Certificates(Request):
    """Texts in PEM."""

    ca: str | None = Field(default=None, max_length=524_288, description="Who may vouch for the endpoint.")
    certificate: str | None = Field(default=None, max_length=65_536, description="By which packd shows who it is.")
    key: SecretStr | None = Field(default=None, max_length=65_536, description="Of that certificate; never shown.")

    def texts(self) -> dict[str, str | None] | None:
        if self.ca is None and self.certificate is None and self.key is None:
            return None
        return {
            "ca": self.ca,
            "certificate": self.certificate,
            "key": self.key.get_secret_value() if self.key else None,
        }


class EndpointChange(Request):
    """Other values for some fields of an endpoint; what is not said stays."""

    url: HttpUrl = Field(
        default="", max_length=2048, description="Where events are POSTed to.", examples=["https://ci.example/hook"]
    )
    types: Globs = Field(default=(), description="Globs of event types; empty: `pack.*`.", examples=[["pack.*"]])
    packs: Globs = Field(default=(), description="Globs of pack refs; empty: all.")
    ordering: Literal["pack", "strict", "none"] = Field(default="pack", description="What must stay in order.")
    format: Literal["standard", "cloudevents"] = Field(default="standard", description="What is sent.")
    rate: Annotated[float, Field(gt=0, le=1_000_000)] | None = Field(default=None, description="Deliveries a second.")
    timeout_s: Annotated[float, Field(gt=0, le=120)] = Field(default=15, description="For a whole attempt.")
    headers: dict[HeaderName, HeaderValue] = Field(
        default_factory=dict, max_length=50, description="More request headers; never shown."
    )
    tls: Certificates | None = Field(default=None, description="Certificates; null: the system's authorities.")
    allow_private: bool = Field(default=False, description="The address may be a private or loopback one.")

    @field_validator("types")
    @classmethod
    def _types_exist(cls, types: tuple[str, ...]) -> tuple[str, ...]:
        unknown = unknown_types(types)
        if unknown:
            raise ValueError("; ".join(str(one) for one in unknown))
        return types

    def changes(self) -> dict[str, Any]:
        """Only what was said, by the names of the rows."""
        said = {name: getattr(self, name) for name in _FIELDS if name in self.model_fields_set}
        if "headers" in self.model_fields_set:
            said["headers"] = self._header_pairs()
        if "tls" in self.model_fields_set:
            said["tls"] = self._pem()
        return said

    def _header_pairs(self) -> tuple[tuple[str, str], ...]:
        return tuple((name, value.get_secret_value()) for name, value in self.headers.items())

    def _pem(self) -> dict[str, str | None] | None:
        return self.tls.texts() if self.tls is not None else None


class NewEndpoint(EndpointChange):
    """A whole endpoint."""

    name: EndpointName = Field(description="What it is called.", examples=["ci"])
    url: HttpUrl = Field(
        max_length=2048, description="Where events are POSTed to.", examples=["https://ci.example/hook"]
    )
    secret: Secret | None = Field(default=None, description="null: packd makes one and shows it once.")
    signature: Literal["v1", "v1a"] = Field(
        default="v1", description="What is made: a shared secret (v1), or an Ed25519 key (v1a)."
    )

    def endpoint(self) -> Endpoint:
        """The row; its secret is empty when packd is to make one."""
        return Endpoint(
            name=self.name,
            url=self.url,
            secret=self.secret.get_secret_value() if self.secret else "",
            types=self.types,
            packs=self.packs,
            ordering=self.ordering,
            state="enabled",
            state_reason=None,
            origin="api",
            allow_private=self.allow_private,
            timeout_s=self.timeout_s,
            headers=self._header_pairs(),
            format=self.format,
            rate=self.rate,
            tls=self._pem(),
        )


class Rotation(Request):
    """Another secret."""

    secret: Secret | None = Field(default=None, description="null: packd makes one and shows it once.")
    signature: Literal["v1", "v1a"] | None = Field(default=None, description="null: as it is.")


class Since(Request):
    """From when on."""

    since: str = Field(max_length=40, description="A moment in RFC 3339, or a date.", examples=["2026-01-31T09:00:00Z"])
