"""What can be set, with its meaning, its unit and its default. The JSON Schema and the effective list come from here.

The unit of a duration or size is in its key: `_ms`, `_s`, `_days`, `_mb` (MiB), `_kb` (KiB).
"""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import (
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    PrivateAttr,
    SecretStr,
    ValidationInfo,
    model_validator,
)
from pydantic_core import PydanticCustomError

from packd.config.values import (
    Allowed,
    Anchored,
    CredentialName,
    CronExpression,
    DatabaseUrl,
    EndpointName,
    EventTypes,
    HeaderName,
    HeaderValue,
    HttpUrl,
    IgnoredName,
    IndexUrl,
    Interpreter,
    ListenAddress,
    Secret,
    Surroundings,
    at_key,
    at_place,
    credential,
    credentials_readable,
    index_name,
    no_boolean,
    own_credential,
    read_pem,
    read_secret,
)
from packd.domain.breaker import DISABLE_AFTER_S
from packd.domain.deliveries import JITTER, SCHEDULE
from packd.domain.problems import Problem
from packd.domain.sizes import MOST_DEPTH, MOST_FILES, MOST_MB

# More than anybody means, and what the clocks and counters below still take.
_MANY = 1_000_000_000
Whole = Annotated[int, Field(ge=0, le=_MANY), BeforeValidator(no_boolean)]
Positive = Annotated[int, Field(ge=1, le=_MANY), BeforeValidator(no_boolean)]
Duration = Annotated[float, Field(ge=0, le=_MANY, allow_inf_nan=False), BeforeValidator(no_boolean)]
LongDuration = Annotated[float, Field(gt=0, le=_MANY, allow_inf_nan=False), BeforeValidator(no_boolean)]
Days = Annotated[Positive, Field(le=36_500)]  # a hundred years: moments before the year 1 can't be written down
Kept = Annotated[
    Positive, Field(le=102_400)
]  # KiB: all of it is held in memory, and a database takes no more in one piece
Text = Annotated[str, Field(min_length=1)]
PackageIndex = Annotated[SecretStr, Field(min_length=1)]  # may hold a password


class Section(BaseModel):
    """A group of settings."""

    model_config = ConfigDict(frozen=True, extra="forbid", validate_default=False)


class Watch(Section):
    """When a drop is looked at."""

    quiet_ms: Whole = Field(default=500, description="A drop has settled when nothing was written for so long.")
    longest_wait_s: LongDuration = Field(
        default=30, description="A drop that never goes quiet is read all the same after so long."
    )
    reconcile_every_s: Annotated[LongDuration, Field(ge=1)] = Field(
        default=300, description="The whole packs directory is compared this often."
    )
    remove_grace_s: Duration = Field(
        default=5, description="A pack is unregistered when its drop has been gone, or another pack, for so long."
    )
    ignore: tuple[IgnoredName, ...] = Field(
        default=(), description="More names or patterns (`*.bak`) that are no part of any pack."
    )

    @model_validator(mode="after")
    def _wait_outlasts_quiet(self) -> Watch:
        if self.longest_wait_s * 1000 < self.quiet_ms:
            raise ValueError(
                f"longest_wait_s ({self.longest_wait_s:g} s) is shorter than quiet_ms ({self.quiet_ms} ms): "
                f"no drop could settle; raise the one or lower the other"
            )
        return self


class Limits(Section):
    """The largest pack that is taken."""

    files: Positive = Field(default=MOST_FILES, description="Files, folders and links in a pack.")
    bytes_mb: Positive = Field(default=MOST_MB, description="Size of all files of a pack, in MiB, unpacked.")
    depth: Annotated[Positive, Field(le=200)] = Field(
        default=MOST_DEPTH, description="Folders inside folders, at most 200."
    )


class RunLimits(Section):
    """What one suite may use; whoever exceeds it is stopped, and the report says by which limit."""

    memory_mb: Positive = Field(default=2048, description="Data of one process, in MiB.")
    processes: Positive = Field(default=256, description="Processes and threads at the same time.")
    disk_mb: Positive = Field(default=1024, description="Size of what is written, in MiB.")
    output_kb: Kept = Field(default=1024, description="Output that is kept, in KiB: its beginning and its end.")
    cpu_s: Positive = Field(default=600, description="Processor time of one process, in seconds.")


class Suites(Section):
    """How a pack's own tests are run."""

    required: bool = Field(
        default=True, description="A pack without a `testing` section, or with it disabled, is refused."
    )
    revalidate: CronExpression | None = Field(
        default=None,
        description="When packs in use are tested again, as in crontab(5), in UTC; null: never. It changes nothing by "
        "itself: see rollback.on_revalidation.",
    )
    workers: Annotated[Positive, Field(le=1024)] | None = Field(
        default=None, description="Suites run at the same time, at most 1024; null: one per processor."
    )
    isolation: Literal["auto", "bwrap", "basic"] = Field(
        default="auto",
        description="What keeps a suite apart from the machine; auto: the best that works here, "
        "bwrap: refuse to start without it.",
    )
    user: Text | None = Field(
        default=None,
        description="Whom suites run as where packd is root: a name or number; null: packd-tests if there is such a "
        "user, else nobody.",
    )
    network: Literal["deny", "allow"] = Field(
        default="deny", description="allow: suites that ask for the network (`network: true`) get it."
    )
    timeout_s: LongDuration = Field(default=300, description="For suites that do not say their own.")
    python: Interpreter | None = Field(
        default=None,
        description="The Python that runs the tests: a path, or a name on PATH; null: the one that runs packd.",
    )
    index_url: PackageIndex | None = Field(
        default=None,
        description="The index of Python packages that environments are built from; null: as the machine's own "
        "configuration of uv and pip says.",
    )
    extra_index_urls: tuple[PackageIndex, ...] = Field(default=(), description="More indexes beside that one.")
    npm_registry: PackageIndex | None = Field(
        default=None, description="The registry of npm packages; null: as the machine's own configuration of npm says."
    )
    proxy: PackageIndex | None = Field(
        default=None, description="The HTTP proxy that packages are fetched through; null: as HTTPS_PROXY says."
    )
    offline: bool = Field(
        default=False, description="Environments are built only from what was fetched before, or lies on this machine."
    )
    limits: RunLimits = RunLimits()
    grace_s: Annotated[Duration, Field(le=3600)] = Field(
        default=2, description="Between asking a suite to end and ending it; a daemon that stops waits so long, too."
    )

    def origins(self) -> dict[str, Any]:
        """Where packages are fetched from, in plain words."""
        return {
            "index_url": _plain(self.index_url),
            "extra_index_urls": tuple(url.get_secret_value() for url in self.extra_index_urls),
            "npm_registry": _plain(self.npm_registry),
            "proxy": _plain(self.proxy),
            "offline": self.offline,
        }


def _plain(value: SecretStr | None) -> str | None:
    return value.get_secret_value() if value is not None else None


class Rollback(Section):
    """What happens to the dropped folder when its content was refused."""

    folder: Literal["leave", "restore"] = Field(
        default="leave",
        description="leave: only the marker says so; restore: the last good content is put back "
        "and the failed one kept for retention.failed_hours.",
    )
    probation_s: Duration = Field(
        default=0,
        description="So long after it came into use a pack's own `health` command is run again and again, and failing "
        "it rolls the pack back; 0: never.",
    )
    on_revalidation: bool = Field(
        default=False, description="true: a pack in use that fails when tests.revalidate tests it again is rolled back."
    )


class Retention(Section):
    """How long what is not in use any more is kept."""

    revisions: Positive = Field(
        default=10, description="Newest revisions of each pack whose content stays in the store."
    )
    failed_hours: Annotated[Whole, Field(le=876_000)] = Field(
        default=72, description="Content that was refused, in hours."
    )
    events_days: Days = Field(default=30, description="Events and deliveries, in days.")
    reports_days: Days = Field(default=90, description="Test reports, in days.")
    pinned: tuple[Text, ...] = Field(
        default=(), description="Globs of revisions whose content always stays: `core` (all of it) or `core#7`."
    )
    min_free_mb: Whole = Field(
        default=100, description="With less room than that for the state, nothing new is taken; in MiB, 0: no floor."
    )
    environments_days: Days = Field(
        default=14, description="Environments with the packages that packs ask for, since they were last used, in days."
    )


def _second(names: list[str]) -> tuple[int, str] | None:
    """Number and name of the first one whose name was there before."""
    return next(((number, name) for number, name in enumerate(names) if name in names[:number]), None)


class PackIndex(Section):
    """An index of packs."""

    name: EndpointName | None = Field(
        default=None, description="Its name in messages and in `packd search`, unique; null: after its host or file."
    )
    url: IndexUrl = Field(description="Where it is: an https address, or a path on this machine.")
    priority: Whole = Field(
        default=100, description="The lowest is asked first; a pack comes from the first index that has it."
    )

    @model_validator(mode="before")
    @classmethod
    def _short_form(cls, value: Any) -> Any:
        return {"url": value} if isinstance(value, str) else value

    def called(self) -> str:
        """Its name, given or not."""
        return self.name or index_name(self.address())

    def address(self) -> str:
        """With its password, if it has one."""
        return self.url.get_secret_value()


def _or_address(about: dict[str, Any]) -> None:
    """The short form, for editors that check by the schema."""
    about["items"] = {"anyOf": [about["items"], {"type": "string"}]}


class Sources(Section):
    """Where packs may be fetched from."""

    allow: tuple[Allowed, ...] = Field(
        default=(),
        description="Folders and URL beginnings that `register` and `install` may read for others than the daemon's "
        "own user; URL beginnings may also be fetched from without encryption.",
    )
    allow_private: bool = Field(
        default=False, description="Packs and indexes may be fetched from loopback and private networks."
    )
    timeout_s: LongDuration = Field(default=300, description="For fetching one pack, or one index.")
    indexes: tuple[PackIndex, ...] = Field(
        default=(), description="The indexes of packs.", json_schema_extra=_or_address
    )

    @model_validator(mode="after")
    def _names_are_unique(self) -> Sources:
        if again := _second([index.called() for index in self.indexes]):
            index, name = again
            said = f"is called {name!r}, as is another index: give each its own with `name`"
            raise PydanticCustomError(*at_place(("indexes", index), said))
        return self


class Api(Section):
    """Where the daemon answers."""

    socket: Anchored | None = Field(
        default=None, description="The Unix socket; null: $RUNTIME_DIRECTORY/packd.sock, else packd.sock in state_dir."
    )
    listen: ListenAddress | None = Field(
        default=None, description="HOST:PORT to answer on TCP as well, with tokens; null: only the socket."
    )
    hosts: tuple[Text, ...] = Field(default=(), description="Host names by which clients on TCP may call it.")
    requests_per_minute: Positive = Field(default=600, description="Of each caller on TCP.")
    body_kb: Kept = Field(default=1024, description="The largest request that is read, in KiB.")


class Log(Section):
    """What is said on stderr."""

    format: Literal["auto", "console", "json", "journal"] = Field(
        default="auto", description="auto: console on a terminal, journal under systemd, json otherwise."
    )
    level: Literal["debug", "info", "warning", "error"] = Field(
        default="info", description="The least important line shown."
    )


class DeliveryRules(Section):
    """How often a webhook is tried, and when an endpoint is given up."""

    schedule_s: Annotated[tuple[Duration, ...], Field(min_length=1, max_length=100)] = Field(
        default=SCHEDULE, description="Seconds before each attempt, so that their number is that of the attempts."
    )
    jitter: Annotated[float, Field(ge=0, le=1, allow_inf_nan=False), BeforeValidator(no_boolean)] = Field(
        default=JITTER, description="The part of a wait that is added to it at most, by chance."
    )
    disable_after_days: Annotated[LongDuration, Field(le=36_500)] = Field(
        default=DISABLE_AFTER_S / 86_400, description="An endpoint is disabled after so long of nothing but failure."
    )


class Webhook(Section):
    """An endpoint that is told of events."""

    name: EndpointName = Field(description="Its name in `packd webhook`; unique.")
    url: HttpUrl = Field(description="Where events are POSTed to: http or https, without credentials.")
    secret: Secret | None = Field(
        default=None, description="Signs what is sent: `whsec_` and the base64 of 24 to 64 random bytes."
    )
    secret_file: Anchored | None = Field(
        default=None,
        description="The file that holds the secret, instead of `secret`; without any of the three, the credential "
        "webhook_<name> of the service.",
    )
    secret_credential: CredentialName | None = Field(
        default=None, description="The systemd credential that holds it: `LoadCredential=NAME:FILE` in the unit."
    )
    types: tuple[EventTypes, ...] = Field(
        default=(), description="Globs of event types; empty: `pack.*` without `pack.test_started`."
    )
    packs: tuple[Text, ...] = Field(default=(), description="Globs of pack refs; empty: all.")
    ordering: Literal["pack", "strict", "none"] = Field(
        default="pack",
        description="pack: in order for each pack; strict: in order altogether; none: as fast as possible.",
    )
    format: Literal["standard", "cloudevents"] = Field(
        default="standard", description="standard: packd's own envelope; cloudevents: the same in structured mode."
    )
    rate: LongDuration | None = Field(
        default=None, description="Deliveries a second, at most; null: as many as it takes."
    )
    timeout_s: Annotated[LongDuration, Field(le=120)] = Field(
        default=15, description="For a whole attempt, answer included."
    )
    allow_private: bool = Field(default=True, description="The address may be a private or loopback one.")
    headers: dict[HeaderName, HeaderValue] = Field(
        default_factory=dict, description="More request headers, e.g. Authorization; shown nowhere."
    )
    ca_file: Anchored | None = Field(
        default=None, description="Certificates (PEM) that may vouch for it; null: the system's authorities."
    )
    certificate_file: Anchored | None = Field(
        default=None, description="The certificate (PEM) by which packd shows who it is; needs key_file."
    )
    key_file: Anchored | None = Field(default=None, description="The key of that certificate (PEM, not encrypted).")

    _from_file: SecretStr | None = PrivateAttr(default=None)  # what secret_file or a credential held
    _unseen: bool = PrivateAttr(default=False)  # a credential may hold it that only the daemon can read
    _tls: dict[str, str | None] | None = PrivateAttr(default=None)  # what the files of certificates held

    @model_validator(mode="after")
    def _one_secret(self, info: ValidationInfo) -> Webhook:
        given = [key for key in ("secret", "secret_file", "secret_credential") if getattr(self, key) is not None]
        if len(given) > 1:
            raise PydanticCustomError(*at_key(given[-1], f"stands beside a {given[0]}: keep one of them"))
        here = info.context
        if given != ["secret"] and isinstance(here, Surroundings):
            self._read_secret(here, [*given, "secret_file"][0])
        if not given and self._from_file is None and not self._unseen:
            raise ValueError(
                "has no secret: put one into a file with `echo whsec_$(openssl rand -base64 32) > FILE` "
                f"and name it in secret_file, or give the service the credential webhook_{self.name}"
            )
        return self

    def _read_secret(self, here: Surroundings, key: str) -> None:
        self._unseen = self.secret_file is None and not credentials_readable(here.environ)
        if self._unseen:
            return
        try:
            named = credential(self.secret_credential, here) if self.secret_credential else None
            file = self.secret_file or named or own_credential(f"webhook_{self.name}", here)
            if file is not None:
                self._from_file = read_secret(file)
        except ValueError as wrong:
            raise PydanticCustomError(*at_key(key, str(wrong))) from None

    @model_validator(mode="after")
    def _certificates(self, info: ValidationInfo) -> Webhook:
        files = {"ca": self.ca_file, "certificate": self.certificate_file, "key": self.key_file}
        if (self.certificate_file is None) != (self.key_file is None):
            raise PydanticCustomError(*at_key("key_file", "belongs to certificate_file: give both or neither"))
        if any(files.values()) and info.context is not None:
            self._tls = {}
            for name, file in files.items():
                try:
                    self._tls[name] = None if file is None else read_pem(file)
                except ValueError as wrong:
                    raise PydanticCustomError(*at_key(f"{name}_file", str(wrong))) from None
        return self

    def certificates(self) -> dict[str, str | None] | None:
        """`ca`, `certificate` and `key` as PEM; None: as the system has it. Complete when `load` made this."""
        return self._tls

    def signing_secret(self) -> str:
        """The `whsec_…` text, wherever it came from. Raises LookupError when `load` did not make this."""
        secret = self.secret or self._from_file
        if secret is None:
            raise LookupError(f"the secret of {self.name!r} has not been read from {self.secret_file}")
        return secret.get_secret_value()


class Settings(Section):
    """All settings of one daemon."""

    packs_dir: Anchored = Field(default=Path("packs"), description="The folder that is watched.")
    state_dir: Anchored = Field(
        default=Path("~/.local/state/packd"),
        description="Where packd keeps its own: by default $STATE_DIRECTORY, else packd in $XDG_STATE_HOME.",
    )
    database_url: DatabaseUrl | None = Field(
        default=None,
        description="The registry's database as SQLAlchemy writes it, which each packd needs for itself; null: packd.db "
        "in state_dir.",
    )
    markers: Literal["failed", "all", "none"] = Field(
        default="failed",
        description="Which marker files are written beside the drops: of failed packs, of all, or none.",
    )
    watch: Watch = Watch()
    limits: Limits = Limits()
    tests: Suites = Suites()
    rollback: Rollback = Rollback()
    retention: Retention = Retention()
    sources: Sources = Sources()
    api: Api = Api()
    log: Log = Log()
    delivery: DeliveryRules = DeliveryRules()
    webhooks: tuple[Webhook, ...] = Field(default=(), description="The endpoints that are told of events.")

    _origins: dict[tuple[str | int, ...], str] = PrivateAttr(default_factory=dict)  # where each set value was set
    _warnings: tuple[Problem, ...] = PrivateAttr(default=())

    @property
    def warnings(self) -> tuple[Problem, ...]:
        """What `load` found that is allowed and unwise, to be logged by the caller."""
        return self._warnings

    @property
    def socket_path(self) -> Path:
        """The Unix socket, defaults applied."""
        return self.api.socket or self.state_dir / "packd.sock"

    @model_validator(mode="after")
    def _names_are_unique(self) -> Settings:
        if again := _second([webhook.name for webhook in self.webhooks]):
            index, name = again
            said = f"is {name!r}, the name of another webhook: each needs its own"
            raise PydanticCustomError(*at_place(("webhooks", index, "name"), said))
        return self
