"""Why an installer failed: is it worth trying again without a change of the pack? Pure."""

from __future__ import annotations

import re
from typing import Final

from packd.testrun.parsers.text import ending

_NETWORK: Final = re.compile(
    r"error sending request|dns error|failed to lookup address|tcp connect error|tunnel error|"
    r"connection (?:refused|reset|aborted|closed|timed out)|(?:operation|request|read|connection) timed? ?out|"
    r"temporary failure in name resolution|name or service not known|network is unreachable|no route to host|"
    r"network (?:connectivity )?(?:is|was) disabled|"
    r"NewConnectionError|ConnectTimeoutError|ReadTimeoutError|ProxyError|SSLError|invalid peer certificate|"
    r"\b(?:ECONNREFUSED|ECONNRESET|ENOTFOUND|ETIMEDOUT|EAI_AGAIN|ERR_SOCKET_TIMEOUT|ENOTCACHED|ENETUNREACH|EHOSTUNREACH)\b|"
    r"\bE(?:429|5\d\d)\b|(?:status|server error|HTTP error)\D{0,40}\b(?:429|50[0-4])\b|too many requests|bad gateway|"
    r"service unavailable|gateway time-?out",
    re.IGNORECASE,
)
_CREDENTIALS: Final = re.compile(r"(?<=://)[^\s/@]{1,500}@")
_BLAME_LINES: Final = 12


def is_network(output: str) -> bool:
    """Does an installer's output speak of a network, an index or a proxy that was not to be had?"""
    return bool(_NETWORK.search(output))


def shown_output(output: str) -> str:
    """Without passwords that addresses may hold."""
    return _CREDENTIALS.sub("***@", output)


def last_lines(output: str) -> str:
    """The end of what it said, for a sentence."""
    lines = [line.rstrip() for line in output.splitlines() if line.strip()]
    return ending("\n".join(lines[-_BLAME_LINES:]), 2000)
