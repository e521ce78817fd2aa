"""Which addresses packd connects to."""

from __future__ import annotations

import pytest

from packd.domain.addresses import refusal

NEVER = [
    "169.254.169.254", "169.254.170.2", "100.100.100.200", "192.0.0.192", "168.63.129.16", "169.254.0.1",
    "fd00:ec2::254", "fd20:ce::254", "fd00:42::42", "fe80::1", "fe80::1%eth0", "fe80::a9fe:a9fe%1", "febf::1",
    "0.0.0.0", "0.1.2.3", "::", "::%lo", "224.0.0.1", "239.255.255.255", "ff02::1", "ff05::2%eth0",
    "240.0.0.1", "255.255.255.255", "192.0.2.1", "198.51.100.1", "203.0.113.9", "2001:db8::1", "3fff::1",
    "192.0.0.1", "192.88.99.1", "100::1", "5f00::1", "4000::1", "8000::1", "1::1",
    "::ffff:169.254.169.254", "::ffff:a9fe:a9fe", "::ffff:0.0.0.0", "::ffff:224.0.0.1", "::ffff:169.254.1.1%eth0",
    "64:ff9b::127.0.0.1", "64:ff9b::10.0.0.1", "64:ff9b::a9fe:a9fe", "64:ff9b::100.64.0.1",
    "64:ff9b:1::1", "64:ff9b:1:7f00:0:100::", "64:ff9b:1::93.184.215.14",
    "2002:7f00:1::", "2002:a00:1::1", "2002:5db8:d70e::1", "2001:0:4136:e378:8000:63bf:3fff:fdd2", "2001::1",
    "::127.0.0.1", "::10.0.0.1", "::93.184.215.14", "::2", "::ffff:0:127.0.0.1", "::ffff:0:5db8:d70e",
    "2a00:1450::5efe:10.0.0.1", "2a00:1450::200:5efe:127.0.0.1", "fe80::5efe:10.0.0.1",
    "2001:10::1", "2001:20::1", "2001:1::1",
]  # fmt: skip
PRIVATE = [
    "127.0.0.1", "127.255.255.254", "::1", "::1%lo", "10.0.0.1", "172.16.0.1", "172.31.255.255", "192.168.1.1",
    "100.64.0.1", "100.127.255.255", "198.18.0.1", "198.19.255.255", "fc00::1", "fd12:3456::1", "fec0::1", "2001:2::1",
    "::ffff:127.0.0.1", "::ffff:7f00:1", "::ffff:10.0.0.1", "::ffff:c0a8:101", "0:0:0:0:0:ffff:7f00:0001",
]  # fmt: skip
OPEN = [
    "93.184.215.14", "1.1.1.1", "8.8.8.8", "172.15.255.255", "172.32.0.1", "100.63.255.255", "100.128.0.1", "11.0.0.1",
    "192.167.1.1", "198.17.1.1", "198.20.0.1", "169.253.1.1", "223.255.255.254", "128.0.0.1", "126.255.255.255",
    "2606:4700::1111", "2a00:1450:4001::1", "2001:4860:4860::8888", "2620:fe::fe",
    "::ffff:93.184.215.14", "64:ff9b::93.184.215.14",
]  # fmt: skip
NO_ADDRESSES = [
    "", "localhost", "example.org", "127.1", "127.0.1", "2130706433", "0x7f000001", "0x7f.0.0.1", "0177.0.0.1",
    "017700000001", "127.0.0.1.", "127.0.0.01", "1.2.3.4.5", "256.1.1.1", "①②⑦.0.0.1", "[::1]", "::1::", "127.0.0.1 ",
    "127.0.0.1/8", "١٢٧.0.0.1", "%eth0", "x" * 10_000,
]  # fmt: skip


@pytest.mark.parametrize("address", NEVER)
def test_some_addresses_are_never_connected_to(address):
    """Metadata, link-local, tunnels and nonsense, in every spelling, private networks allowed or not."""
    for allow_private in (False, True):
        assert "never" in (refusal(address, allow_private=allow_private) or "")


@pytest.mark.parametrize("address", PRIVATE)
def test_private_addresses_must_be_allowed(address):
    """Loopback and private networks, in every spelling, only for who asks for it; the sentence says how."""
    assert "allow_private" in (refusal(address, allow_private=False) or "")
    assert refusal(address, allow_private=True) is None


@pytest.mark.parametrize("address", OPEN)
def test_everything_else_is_open(address):
    """The neighbours of the forbidden ranges are not forbidden."""
    assert refusal(address, allow_private=False) is None


@pytest.mark.parametrize("address", NO_ADDRESSES)
def test_what_is_no_canonical_address_is_refused(address):
    """Names and old spellings must be resolved first."""
    assert "not a numeric address" in (refusal(address, allow_private=True) or "")
