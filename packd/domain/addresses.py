"""Which addresses packd connects to on behalf of others, by an explicit list.

The list follows the IANA special-purpose registries for IPv4 and IPv6 (RFC 6890 and what came after), the prefixes
that carry an IPv4 address inside an IPv6 one, and the addresses at which clouds tell secrets to whoever asks.
`ipaddress.is_global` is not used: it is true for NAT64 and 6to4 spellings of loopback.
"""

from __future__ import annotations

from functools import lru_cache
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network, ip_address
from typing import Final

# What nobody may be sent to, allowed private networks or not.
_NEVER: Final = (
    ("cloud metadata service", (
        "169.254.169.254/32", "169.254.170.2/32", "100.100.100.200/32", "192.0.0.192/32", "168.63.129.16/32",
        "fd00:ec2::254/128", "fd20:ce::254/128", "fd00:42::42/128",
    )),
    ("link-local address", ("169.254.0.0/16", "fe80::/10")),
    ("unspecified address", ("0.0.0.0/8", "::/128")),
    ("multicast address", ("224.0.0.0/4", "ff00::/8")),
    ("broadcast or reserved address", ("240.0.0.0/4",)),
    ("documentation address", ("192.0.2.0/24", "198.51.100.0/24", "203.0.113.0/24", "2001:db8::/32", "3fff::/20")),
    ("protocol assignment", ("192.0.0.0/24", "192.88.99.0/24", "192.31.196.0/24", "192.52.193.0/24", "192.175.48.0/24",
                             "2001:4:112::/48", "2620:4f:8000::/48", "5f00::/16", "100::/64", "100:0:0:1::/64")),
)  # fmt: skip

# What only someone who asks for it may be sent to.
_PRIVATE: Final = (
    ("loopback address", ("127.0.0.0/8", "::1/128")),
    ("private network", ("10.0.0.0/8", "172.16.0.0/12", "192.168.0.0/16", "fc00::/7", "fec0::/10")),
    ("shared address space of a provider", ("100.64.0.0/10",)),
    ("benchmarking network", ("198.18.0.0/15", "2001:2::/48")),
)

# IPv6 spellings of an IPv4 address that no server is reached by today: each could lead anywhere, past any list.
_TUNNELS: Final = (
    ("IPv4-compatible address", ("::/96",)),
    ("IPv4-translated address", ("::ffff:0:0:0/96",)),
    ("local NAT64 address", ("64:ff9b:1::/48",)),
    ("6to4 address", ("2002::/16",)),
    ("Teredo address", ("2001::/32",)),
    ("protocol assignment", ("2001::/23",)),
)

_MAPPED: Final = IPv6Network("::ffff:0:0/96")  # RFC 4291 section 2.5.5.2: the kernel connects to the IPv4 address
_NAT64: Final = IPv6Network("64:ff9b::/96")  # RFC 6052: the way to IPv4 where there is only IPv6
_GLOBAL: Final = IPv6Network("2000::/3")  # all global unicast of today
_ISATAP: Final = (0x00005EFE, 0x02005EFE)  # RFC 5214: an interface identifier that carries an IPv4 address

_Network = IPv4Network | IPv6Network


def _networks(table: tuple[tuple[str, tuple[str, ...]], ...]) -> tuple[tuple[_Network, str], ...]:
    return tuple(
        (IPv6Network(text) if ":" in text else IPv4Network(text), kind) for kind, texts in table for text in texts
    )


_NEVER_NETWORKS: Final = _networks(_NEVER)
_PRIVATE_NETWORKS: Final = _networks(_PRIVATE)
_TUNNEL_NETWORKS: Final = _networks(_TUNNELS)


@lru_cache(maxsize=1024)
def refusal(address: str, *, allow_private: bool) -> str | None:
    """Why packd does not connect to this numeric address, as a sentence; None when it may.

    Anything that is not the canonical text of an address is refused: names and old spellings (`127.1`, `0177.0.0.1`,
    `2130706433`) must be resolved first, and what they resolve to be asked about.
    """
    try:
        parsed = ip_address(address.partition("%")[0])
    except ValueError:
        return f"{address[:60]!r} is not a numeric address"
    kind = _never(parsed)
    if kind:
        return f"{address} is a {kind}: packd never connects to it"
    kind = None if allow_private else _kind(_embedded(parsed) or parsed, _PRIVATE_NETWORKS)
    if kind:
        return f"{address} is a {kind}: allow it for this endpoint with allow_private"
    return None


def _never(address: IPv4Address | IPv6Address) -> str | None:
    if isinstance(address, IPv4Address):
        return _kind(address, _NEVER_NETWORKS)
    if address in _MAPPED:
        return _never(_last_32(address))
    if address in _NAT64:
        return _nat64(_last_32(address))
    known = _kind(address, _NEVER_NETWORKS) or _isatap(address)
    if known or _kind(address, _PRIVATE_NETWORKS):
        return known
    return _kind(address, _TUNNEL_NETWORKS) or (None if address in _GLOBAL else "reserved address")


def _nat64(inside: IPv4Address) -> str | None:
    """RFC 6052 section 3.1: the prefix must not carry an address that is not global."""
    kind = _never(inside) or _kind(inside, _PRIVATE_NETWORKS)
    return f"NAT64 spelling of a {kind}" if kind else None


def _isatap(address: IPv6Address) -> str | None:
    return "ISATAP address" if (int(address) >> 32) & 0xFFFFFFFF in _ISATAP else None


def _embedded(address: IPv4Address | IPv6Address) -> IPv4Address | None:
    return _last_32(address) if isinstance(address, IPv6Address) and address in _MAPPED else None


def _last_32(address: IPv6Address) -> IPv4Address:
    return IPv4Address(int(address) & 0xFFFFFFFF)


def _kind(address: IPv4Address | IPv6Address, networks: tuple[tuple[_Network, str], ...]) -> str | None:
    return next((kind for network, kind in networks if address.version == network.version and address in network), None)
