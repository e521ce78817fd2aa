"""The kinds of single values: how each is checked and what is said when it is wrong.

Relative paths are anchored to the folder in the validation context: that of the file that says them, or the working
directory for variables and flags.
"""

from __future__ import annotations

import base64
import binascii
import os
import re
import shutil
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, Final, LiteralString
from urllib.parse import urlsplit

from pydantic import AfterValidator, BeforeValidator, SecretStr, StringConstraints, ValidationInfo

from packd.domain.cron import parse
from packd.domain.refs import ref_from_name
from packd.domain.targets import header_name_fault, header_value_fault, url_fault

SECRET_PREFIX: Final = "whsec_"  # noqa: S105  Standard Webhooks 1.0.0, "Signature scheme"
PRIVATE_KEY_PREFIX: Final = "whsk_"
_SECRET_BYTES: Final = range(24, 65)
_PRIVATE_KEY_BYTES: Final = (32, 64)
_SECRET_FILE_BYTES: Final = 4096  # much more than a secret takes
# SQLAlchemy's own reading of it: what comes behind the first @ is the host.
_DATABASE_URL: Final = re.compile(
    r"(?P<dialect>\w+)(?:\+\w+)?://(?:[^:/]*(?::[^@]*)?@)?(?P<host>\[[^/?]+\]|[^/:?]*)(?::(?P<port>[^/?]*))?"
    r"(?:/(?P<name>[^?]*))?(?:\?.*)?"
)
_PEM_BYTES: Final = 512 * 1024  # more than a bundle of all authorities takes


@dataclass(frozen=True, kw_only=True)
class Surroundings:
    """What a layer's values are read against."""

    folder: Path  # relative paths start here
    environ: Mapping[str, str]  # for `~` and PATH


def no_boolean(value: Any) -> Any:
    """YAML's `yes` and `on` are no numbers, though Python thinks so."""
    if isinstance(value, bool):
        raise ValueError(f"must be a number, not {str(value).lower()}")
    return value


def home(environ: Mapping[str, str]) -> Path:
    """The user's home folder. Raises ValueError when nobody knows it."""
    if environ.get("HOME"):
        return Path(environ["HOME"])
    try:
        return Path.home()
    except RuntimeError:
        raise ValueError("the home folder is not known: set HOME, or write the path without ~") from None


def anchored(value: Any, info: ValidationInfo) -> Path:
    """An absolute path."""
    if not isinstance(value, str | os.PathLike) or not os.fspath(value):
        raise ValueError("must be a path (in quotes when it looks like a number)")
    text = os.fspath(value)
    if "\0" in text:
        raise ValueError("must be a path, and no path has a NUL character in it")
    here = info.context
    if not isinstance(here, Surroundings):
        return Path(text)
    if text == "~" or text.startswith("~/"):
        text = str(home(here.environ)) + text[1:]
    return Path(os.path.normpath(here.folder / text))


def interpreter(value: Any, info: ValidationInfo) -> Path:
    """A program: a name is looked up on PATH, a path must be executable. Links stay, as virtual environments need."""
    here = info.context
    if not isinstance(here, Surroundings):
        return Path(value)
    if isinstance(value, str) and value and "/" not in value and not value.startswith("~"):
        found = shutil.which(value, path=here.environ.get("PATH", os.defpath))
        if found is None:
            raise ValueError(f"no program {value!r} on PATH: give its path")
        return Path(os.path.abspath(found))  # noqa: PTH100  resolve() would follow the links
    path = anchored(value, info)
    if not (path.is_file() and os.access(path, os.X_OK)):
        raise ValueError(f"{path} is no program that can be run")
    return path


def ignored_name(value: str) -> str:
    """The same rule as in `packd.domain.ignore`, said with the key it is about."""
    if not value or "/" in value:
        raise ValueError("must be a bare name or a pattern such as '*.bak'; paths belong into the pack's .packdignore")
    return value


def http_url(value: str) -> str:
    """An address that a webhook can be sent to. Never repeats the address: it may hold a password."""
    if fault := url_fault(value):
        raise ValueError(fault)
    return value


def credentials_readable(environ: Mapping[str, str]) -> bool:
    """False for a helper of the service, as in ExecReload=: it is told of credentials that only the daemon can read."""
    folder = environ.get("CREDENTIALS_DIRECTORY", "")
    return not folder or os.access(folder, os.X_OK)


def check_secret(text: str) -> None:
    """Raises ValueError, without repeating it, when `text` is neither a shared secret nor a private key.

    The one is `whsec_` and base64 of 24 to 64 bytes, the other `whsk_` and base64 of an Ed25519 key.
    """
    prefix = PRIVATE_KEY_PREFIX if text.startswith(PRIVATE_KEY_PREFIX) else SECRET_PREFIX
    if not text.startswith(prefix):
        raise ValueError(f"must begin with {SECRET_PREFIX}: make one with `echo whsec_$(openssl rand -base64 32)`")
    try:
        size = len(base64.b64decode(text.removeprefix(prefix), validate=True))
    except (binascii.Error, ValueError):
        raise ValueError(f"must be base64 after {prefix}, with its padding") from None
    if prefix == PRIVATE_KEY_PREFIX and size not in _PRIVATE_KEY_BYTES:
        raise ValueError(f"must be an Ed25519 key of 32 or 64 bytes in base64 after {prefix}; these are {size}")
    if prefix == SECRET_PREFIX and size not in _SECRET_BYTES:
        raise ValueError(f"must be 24 to 64 bytes in base64 after {prefix}; these are {size}")


def read_secret(path: Path) -> SecretStr:
    """The secret in a file of one line. Raises ValueError, without repeating it, when there is none."""
    try:
        with path.open("rb") as stream:
            text = stream.read(_SECRET_FILE_BYTES).decode("ascii", "replace").strip()
    except OSError as failure:
        if any(part.startswith((SECRET_PREFIX, PRIVATE_KEY_PREFIX)) for part in path.parts):
            raise ValueError("must be the path of a file: the secret itself belongs in `secret`") from None
        raise ValueError(f"{path} can't be read: {failure.strerror}") from None
    if not text:
        raise ValueError(f"{path} is empty: it must hold the secret")
    check_secret(text)
    return SecretStr(text)


def credential(name: str | None, here: Surroundings) -> Path:
    """Where systemd put a credential of the unit (systemd.exec(5), "Credentials"). Raises ValueError outside a unit."""
    folder = here.environ.get("CREDENTIALS_DIRECTORY")
    if not folder or not name:
        raise ValueError("systemd gave no credentials: add LoadCredential= to the unit, or use secret_file")
    return Path(folder) / name


def own_credential(name: str, here: Surroundings) -> Path | None:
    """The same, for a name that nobody wrote: None when there is no such credential."""
    path = Path(here.environ.get("CREDENTIALS_DIRECTORY", "")) / name
    return path if path.is_absolute() and path.is_file() else None


def read_pem(path: Path) -> str:
    """The text of certificates or of a key. Raises ValueError, without repeating it."""
    try:
        with path.open("rb") as stream:
            text = stream.read(_PEM_BYTES).decode("ascii", "replace")
    except OSError as failure:
        raise ValueError(f"{path} can't be read: {failure.strerror}") from None
    if "-----BEGIN " not in text:
        raise ValueError(f"{path} holds no PEM: it must have a line -----BEGIN …-----")
    return text


def at_place(place: tuple[str | int, ...], message: str) -> tuple[LiteralString, LiteralString, dict[str, Any]]:
    """What PydanticCustomError needs so that a problem found by the whole model points at a place in it."""
    return "at_place", "{message}", {"place": place, "message": message}


def at_key(key: str, message: str) -> tuple[LiteralString, LiteralString, dict[str, Any]]:
    """The same for one of its keys."""
    return at_place((key,), message)


def database_url(value: SecretStr) -> SecretStr:
    """The address of a database that packd can use. Never repeats it: it may hold a password."""
    found = _DATABASE_URL.fullmatch(value.get_secret_value())
    dialect, host, port, name = found.group("dialect", "host", "port", "name") if found else ("", "", "", "")
    if dialect not in ("postgresql", "sqlite") or (dialect == "sqlite" and not name):
        raise ValueError("must be as in postgresql+psycopg://USER:PASSWORD@HOST/NAME; null: the embedded database")
    if "@" in host + (port or ""):
        raise ValueError("must have each @ in its user and password written as %40")
    if port and not (port.isascii() and port.isdigit() and 0 < int(port) <= 65535):
        raise ValueError("has a port that is no number from 1 to 65535")
    return value


def index_url(value: Any, info: ValidationInfo) -> Any:
    """An address, which may hold a password, or the path of a file."""
    if not isinstance(value, str) or not value:
        raise ValueError("must be an https address, or a path")
    if "://" not in value:
        return str(anchored(value, info))
    try:
        parts = urlsplit(value)
        known = parts.scheme in ("http", "https") and parts.hostname and parts.port != 0
    except ValueError:
        known = False
    if not known:
        raise ValueError("must be an https address as in https://packs.example/index.json, or a path")
    return value


def index_name(url: str) -> str:
    """How an index without a name is called: after its host, or its file."""
    host = urlsplit(url).hostname if "://" in url else None
    return ref_from_name(host or Path(url).stem)


def allowed(value: Any, info: ValidationInfo) -> Any:
    """The beginning of a URL as it stands, or a folder."""
    if isinstance(value, str) and value and "://" not in value:
        return str(anchored(value, info))
    return value


def listen_address(value: str) -> str:
    """HOST:PORT, an IPv6 host in brackets."""
    host, _, port = value.rpartition(":")
    bare = host[1:-1] if host.startswith("[") and host.endswith("]") else host
    if not bare or (":" in bare and bare == host) or not (port.isascii() and port.isdigit() and int(port) <= 65535):
        raise ValueError("must be HOST:PORT, as in 127.0.0.1:8080 or [::1]:8080")
    return value


def _event_types(value: str) -> str:
    from packd.domain.events import unknown_types  # costs a quarter of a second, and few settings need it

    for unknown in unknown_types((value,)):
        raise ValueError(f"will never come: {unknown}")
    return value


def _secret(value: SecretStr) -> SecretStr:
    check_secret(value.get_secret_value())
    return value


def _header_name(value: str) -> str:
    if fault := header_name_fault(value):
        raise ValueError(fault)
    return value


def _header_value(value: SecretStr) -> SecretStr:
    if fault := header_value_fault(value.get_secret_value()):
        raise ValueError(fault)
    return value


def cron(value: str) -> str:
    """A moment that comes again, as in crontab(5)."""
    parse(value)
    return value


CronExpression = Annotated[str, AfterValidator(cron)]
Anchored = Annotated[Path, BeforeValidator(anchored, json_schema_input_type=str)]
Interpreter = Annotated[Path, BeforeValidator(interpreter, json_schema_input_type=str)]
IgnoredName = Annotated[str, AfterValidator(ignored_name)]
IndexUrl = Annotated[SecretStr, BeforeValidator(index_url, json_schema_input_type=str)]
Allowed = Annotated[str, StringConstraints(min_length=1), BeforeValidator(allowed, json_schema_input_type=str)]
HttpUrl = Annotated[str, AfterValidator(http_url)]
ListenAddress = Annotated[str, AfterValidator(listen_address)]
EndpointName = Annotated[str, StringConstraints(pattern=r"^[a-z][a-z0-9_-]{0,62}$")]
EventTypes = Annotated[str, StringConstraints(min_length=1), AfterValidator(_event_types)]
CredentialName = Annotated[str, StringConstraints(pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]{0,254}$")]
Secret = Annotated[SecretStr, AfterValidator(_secret)]
DatabaseUrl = Annotated[SecretStr, AfterValidator(database_url)]
HeaderName = Annotated[str, AfterValidator(_header_name)]
HeaderValue = Annotated[SecretStr, AfterValidator(_header_value)]
