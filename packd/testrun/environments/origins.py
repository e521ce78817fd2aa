"""Where packages come from: what packd's configuration says, else what the machine says to pip, uv and npm.

The machine's own configuration reaches the building of environments, and never the tests.
"""

from __future__ import annotations

import configparser
import os
import sys
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Final
from urllib.parse import unquote, urlsplit

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

# Variables of the daemon that say how to reach the network at all.
_REACHING: Final = (
    *("HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY", "NO_PROXY"),
    *("SSL_CERT_FILE", "SSL_CERT_DIR", "REQUESTS_CA_BUNDLE", "CURL_CA_BUNDLE", "NODE_EXTRA_CA_CERTS"),
)
_CERTIFICATES: Final = ("SSL_CERT_FILE", "SSL_CERT_DIR", "REQUESTS_CA_BUNDLE", "CURL_CA_BUNDLE", "NODE_EXTRA_CA_CERTS")
# What of uv's and npm's variables would say *what* or *whereto* instead of where from.
_UV_OTHER: Final = (
    "UV_CACHE_DIR",
    "UV_PYTHON",
    "UV_PROJECT",
    "UV_SYSTEM",
    "UV_TOOL",
    "UV_INSTALL",
    "UV_TARGET",
    "UV_VENV",
)
_NPM_OTHER: Final = ("prefix", "cache", "global", "location", "ignore_scripts", "userconfig", "dry_run", "omit", "only")
_PIP_TAKEN: Final = (
    *("index-url", "extra-index-url", "find-links", "no-index", "trusted-host", "cert", "proxy", "timeout"),
    *("default-timeout", "retries", "client-cert"),
)


@dataclass(frozen=True, kw_only=True)
class Origins:
    """As packd's configuration says; None and empty leave it to the machine's own configuration."""

    index_url: str | None = None  # of Python packages, in place of every other index
    extra_index_urls: tuple[str, ...] = ()  # beside `index_url`
    npm_registry: str | None = None
    proxy: str | None = None
    offline: bool = False  # only what was fetched before, or lies on this machine
    environ: Mapping[str, str] = field(default_factory=lambda: dict(os.environ))  # the daemon's own

    def for_python(self) -> Index:
        """What pip's files and variables say, unless an index is configured."""
        said = pip_configuration(self.environ)
        configured = self.index_url is not None or bool(self.extra_index_urls)
        return Index(
            url=self.index_url or (None if configured else _last(said.get("index-url", ()))),
            extra=self.extra_index_urls if configured else _words(said.get("extra-index-url", ())),
            find_links=() if configured else _words(said.get("find-links", ())),
            trusted=_words(said.get("trusted-host", ())),
            certificate=_last(said.get("cert", ())),
            client_certificate=_last(said.get("client-cert", ())),
            proxy=self.proxy or _last(said.get("proxy", ())),
            timeout_s=_last(said.get("timeout", ())) or _last(said.get("default-timeout", ())),
            alone=not configured and (_last(said.get("no-index", ())) or "").lower() in ("1", "true", "yes", "on"),
            configured=configured,
        )

    def reaching(self) -> dict[str, str]:
        """Variables that every installer needs to get anywhere."""
        kept = {name: value for name, value in self.environ.items() if name.upper() in _REACHING}
        return kept | (_proxied(self.proxy) if self.proxy else {})

    def for_uv(self) -> dict[str, str]:
        """uv does not read pip's configuration: it is translated, and uv's own comes over it."""
        index = self.for_python()
        own = {
            name: value
            for name, value in self.environ.items()
            if name.startswith("UV_") and not name.startswith(_UV_OTHER)
        }
        if index.configured:
            indexes = ("UV_INDEX", "UV_DEFAULT_INDEX", "UV_INDEX_URL", "UV_EXTRA_INDEX_URL", "UV_FIND_LINKS")
            own = {name: value for name, value in own.items() if name not in indexes}
        config = own.get("UV_CONFIG_FILE") or _existing(_config_home(self.environ) / "uv" / "uv.toml")
        return {
            **({"UV_CONFIG_FILE": config} if config and not index.configured else {"UV_NO_CONFIG": "1"}),
            **index.as_uv(taken=own),
            **own,
            **({"UV_OFFLINE": "1"} if self.offline else {}),
        }

    def for_npm(self) -> dict[str, str]:
        """The user's own file is named, since the building has a home of its own."""
        own = {
            name: value
            for name, value in self.environ.items()
            if name.lower().startswith("npm_config_")
            and not name.lower().removeprefix("npm_config_").startswith(_NPM_OTHER)
        }
        user = self.environ.get("NPM_CONFIG_USERCONFIG") or _existing(_home(self.environ) / ".npmrc")
        settings = {
            **({"npm_config_userconfig": user} if user else {}),
            **({"npm_config_registry": self.npm_registry} if self.npm_registry else {}),
            **({"npm_config_proxy": self.proxy, "npm_config_https_proxy": self.proxy} if self.proxy else {}),
            **({"npm_config_offline": "true"} if self.offline else {}),
        }
        overridden = {name.lower() for name in settings}
        return {name: value for name, value in own.items() if name.lower() not in overridden} | settings

    def folders(self) -> tuple[Path, ...]:
        """Files and folders of this machine that the installers read."""
        index = self.for_python()
        certificates = (value for name, value in self.reaching().items() if name.upper() in _CERTIFICATES)
        named = (*index.find_links, *index.extra, index.url, index.certificate, index.client_certificate, *certificates)
        named = (*named, self.for_uv().get("UV_CONFIG_FILE"), self.for_npm().get("npm_config_userconfig"))
        paths = [path for text in named if text and (path := _local(text))]
        paths += [beside for text in (index.url, *index.extra) if text and (beside := _beside(_local(text)))]
        return tuple(dict.fromkeys(path for path in paths if path.exists()))


@dataclass(frozen=True, kw_only=True)
class Index:
    """Where Python packages come from, in words that both uv and pip have."""

    url: str | None
    extra: tuple[str, ...]
    find_links: tuple[str, ...]
    trusted: tuple[str, ...]  # hosts without a good certificate
    certificate: str | None
    client_certificate: str | None
    proxy: str | None
    timeout_s: str | None
    alone: bool  # no index at all, only `find_links`
    configured: bool  # by packd's own configuration

    def as_uv(self, *, taken: Mapping[str, str]) -> dict[str, str]:
        """`taken` says what uv's own variables say already."""
        said: dict[str, str] = {}
        if self.url and not {"UV_DEFAULT_INDEX", "UV_INDEX_URL"} & taken.keys():
            said["UV_DEFAULT_INDEX"] = self.url
        if self.extra and not {"UV_INDEX", "UV_EXTRA_INDEX_URL"} & taken.keys():
            said["UV_EXTRA_INDEX_URL"] = " ".join(self.extra)
            said["UV_INDEX_STRATEGY"] = "unsafe-best-match"  # as pip takes it: all indexes are one
        if self.find_links:
            said["UV_FIND_LINKS"] = ",".join(self.find_links)
        if self.trusted:
            said["UV_INSECURE_HOST"] = " ".join(self.trusted)
        if self.certificate:
            said["SSL_CERT_FILE"] = self.certificate
        if self.client_certificate:
            said["SSL_CLIENT_CERT"] = self.client_certificate
        if self.timeout_s:
            said["UV_HTTP_TIMEOUT"] = self.timeout_s
        return said | (_proxied(self.proxy) if self.proxy else {})

    def as_pip(self) -> dict[str, str]:
        said = {
            "PIP_INDEX_URL": self.url,
            "PIP_EXTRA_INDEX_URL": " ".join(self.extra),
            "PIP_FIND_LINKS": " ".join(self.find_links),
            "PIP_TRUSTED_HOST": " ".join(self.trusted),
            "PIP_CERT": self.certificate,
            "PIP_CLIENT_CERT": self.client_certificate,
            "PIP_PROXY": self.proxy,
            "PIP_TIMEOUT": self.timeout_s,
            "PIP_NO_INDEX": "1" if self.alone else None,
        }
        return {name: value for name, value in said.items() if value}


def pip_configuration(environ: Mapping[str, str]) -> dict[str, list[str]]:
    """pip's settings as its files and variables give them, the strongest last (pip's user guide, "Configuration")."""
    said: dict[str, list[str]] = {}
    for file in _pip_files(environ):
        parser = configparser.RawConfigParser()
        try:
            parser.read(file, encoding="utf-8")
        except (OSError, configparser.Error, UnicodeDecodeError):
            continue  # pip would complain; packages may well be found without it
        for section in ("global", "install"):
            for key, value in parser.items(section) if parser.has_section(section) else ():
                said.setdefault(key.replace("_", "-"), []).append(value)
    for name, value in environ.items():
        if name.startswith("PIP_") and value:
            key = name.removeprefix("PIP_").lower().replace("_", "-")
            said.setdefault(key, []).append(value)
    return {key: values for key, values in said.items() if key in _PIP_TAKEN}


def _pip_files(environ: Mapping[str, str]) -> list[Path]:
    named = environ.get("PIP_CONFIG_FILE")
    if named == os.devnull:
        return []
    home, config = _home(environ), _config_home(environ)
    files = [Path("/etc/xdg/pip/pip.conf"), Path("/etc/pip.conf"), home / ".pip/pip.conf", config / "pip/pip.conf"]
    return [*files, Path(sys.prefix, "pip.conf"), *([Path(named)] if named else [])]


def _home(environ: Mapping[str, str]) -> Path:
    return Path(environ.get("HOME") or "/nonexistent")


def _config_home(environ: Mapping[str, str]) -> Path:
    return Path(environ.get("XDG_CONFIG_HOME") or _home(environ) / ".config")


def _existing(path: Path) -> str | None:
    return str(path) if path.is_file() else None


def _words(values: Iterable[str]) -> tuple[str, ...]:
    """The strongest of them; several in one are apart by blanks and line ends."""
    return tuple((_last(values) or "").split())


def _last(values: Iterable[str]) -> str | None:
    strongest = [value.strip() for value in values]
    return strongest[-1] if strongest else None


def _proxied(proxy: str) -> dict[str, str]:
    return dict.fromkeys(("HTTP_PROXY", "HTTPS_PROXY", "http_proxy", "https_proxy"), proxy)


def _beside(index: Path | None) -> Path | None:
    """Where the pages of an index that is a folder link to: `simple/` and `files/` stand side by side. Never a folder of
    the root, which could be a whole disk.
    """
    return index.parent if index is not None and len(index.parent.parts) > 2 else None


def _local(text: str) -> Path | None:
    """The path that an address of this machine names."""
    if text.startswith("file://"):
        return Path(unquote(urlsplit(text).path))
    return Path(text) if text.startswith("/") else None
