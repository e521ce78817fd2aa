import os
import sys
import unittest

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "..", "lib"))

from inventory import Host, HostError


class NamesTest(unittest.TestCase):
    def test_names_are_lower_case_without_the_last_dot(self):
        self.assertEqual(Host("Web01.Example.").name, "web01.example")

    def test_names_that_are_none(self):
        for name in ("", "-a", "a-", "a..b", "a_b", "a b", "ä.example", "a" * 64, ".".join(["a" * 60] * 5)):
            with self.subTest(name=name), self.assertRaises(HostError):
                Host(name)


class FactsTest(unittest.TestCase):
    def test_addresses_have_one_spelling(self):
        self.assertEqual(Host("a", "2001:DB8:0::5").address, "2001:db8::5")

    def test_an_address_that_is_none_names_the_host(self):
        with self.assertRaisesRegex(HostError, "host a"):
            Host("a", "10.0.0.256")

    def test_what_is_not_known_is_empty(self):
        self.assertEqual(Host("a", role=None).get("role"), "")

    def test_there_and_back(self):
        host = Host("a", "10.0.0.1", role="web", cores=4)
        self.assertEqual(Host.from_dict(host.to_dict()), host)
        self.assertNotEqual(Host("a", role="db"), host)

    def test_hosts_can_change_and_have_no_hash(self):
        with self.assertRaises(TypeError):
            hash(Host("a"))


if __name__ == "__main__":
    unittest.main()
