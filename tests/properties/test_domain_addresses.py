"""However an address is written, the answer is the one for where it leads."""

from __future__ import annotations

from ipaddress import IPv4Address, IPv6Address, ip_network

from hypothesis import given, settings
from hypothesis import strategies as st

from packd.domain.addresses import refusal

METADATA_AND_LINK_LOCAL = [ip_network(text) for text in ("169.254.0.0/16", "fe80::/10", "100.100.100.200/32")]
INSIDE = [
    ip_network(text)
    for text in (
        "127.0.0.0/8",
        "10.0.0.0/8",
        "172.16.0.0/12",
        "192.168.0.0/16",
        "169.254.0.0/16",
        "0.0.0.0/8",
        "224.0.0.0/4",
    )
]
v4 = st.ip_addresses(v=4) | st.sampled_from(INSIDE).flatmap(lambda network: st.ip_addresses(network=network))
v6 = st.ip_addresses(v=6)


def may(address: object, *, allow_private: bool = False) -> bool:
    return refusal(str(address), allow_private=allow_private) is None


@settings(max_examples=300, deadline=None)
@given(v4, st.booleans())
def test_a_mapped_address_is_judged_like_the_address_itself(address, allow_private):
    """The kernel connects to the same place."""
    mapped = IPv6Address(0xFFFF_00000000 | int(address))
    assert may(mapped, allow_private=allow_private) == may(address, allow_private=allow_private)


@settings(max_examples=300, deadline=None)
@given(v4)
def test_no_tunnel_leads_to_an_address_that_is_not_open_itself(address):
    """NAT64 carries open addresses only, every other embedding none at all."""
    number = int(address)
    assert may(IPv6Address((0x64FF9B << 96) | number)) == may(address)
    for tunnel in (
        number,
        0xFFFF_0000_00000000 | number,
        (0x2002 << 112) | (number << 80),
        (0x20010000 << 96) | number,
    ):
        assert not may(IPv6Address(tunnel), allow_private=True) or tunnel == 1


@settings(max_examples=300, deadline=None)
@given(v4 | v6)
def test_allowing_private_only_ever_allows_more_and_never_the_forbidden(address):
    """`allow_private` is a widening, and metadata and link-local stay shut."""
    assert may(address, allow_private=True) >= may(address)
    if any(address in network for network in METADATA_AND_LINK_LOCAL if network.version == address.version):
        assert not may(address, allow_private=True)


@settings(max_examples=300, deadline=None)
@given(v4 | v6)
def test_what_is_open_is_global(address):
    """The list is never wider than the standard library's."""
    if may(address):
        inside = (
            IPv4Address(int(address) & 0xFFFFFFFF) if address.version == 6 and int(address) >> 32 == 0xFFFF else address
        )
        assert inside.is_global


@settings(max_examples=200, deadline=None)
@given(st.text(max_size=50))
def test_any_text_gets_an_answer(text):
    """What is no address is refused, never an exception."""
    assert refusal(text, allow_private=True) is None or refusal(text, allow_private=True)
