import unittest

from netops.subnets import PlanError, free, plan


class PlanTest(unittest.TestCase):
    def planned(self, network, **wishes):
        return {name: str(subnet) for name, subnet in plan(network, wishes).items()}

    def test_the_largest_comes_first(self):
        self.assertEqual(
            self.planned("10.0.0.0/24", printers=10, office=100, link=2),
            {"office": "10.0.0.0/25", "printers": "10.0.0.128/28", "link": "10.0.0.144/31"},
        )

    def test_sizes(self):
        for hosts, prefix in {1: 32, 2: 31, 3: 29, 6: 29, 7: 28, 254: 24, 255: 23}.items():
            with self.subTest(hosts=hosts):
                self.assertTrue(self.planned("10.0.0.0/8", a=hosts)["a"].endswith("/%d" % prefix))

    def test_a_full_network_has_room(self):
        self.assertEqual(len(self.planned("10.0.0.0/24", a=126, b=126)), 2)

    def test_no_room(self):
        with self.assertRaisesRegex(PlanError, "no room for b with 126 hosts"):
            plan("10.0.0.0/24", {"a": 127, "b": 126})

    def test_wishes_that_make_no_sense(self):
        for hosts in (0, -1, "5", 2.5, True, None):
            with self.subTest(hosts=hosts), self.assertRaises(PlanError):
                plan("10.0.0.0/24", {"a": hosts})

    def test_a_network_that_is_none(self):
        with self.assertRaises(ValueError):
            plan("10.0.0.1/24", {})

    def test_six(self):
        self.assertEqual(self.planned("2001:db8::/64", a=100), {"a": "2001:db8::/121"})


class FreeTest(unittest.TestCase):
    def test_what_is_left(self):
        taken = plan("10.0.0.0/24", {"a": 62, "b": 30})
        self.assertEqual([str(piece) for piece in free("10.0.0.0/24", taken)], ["10.0.0.96/27", "10.0.0.128/25"])

    def test_plan_and_rest_are_the_whole(self):
        taken = plan("10.0.0.0/20", {"a": 1000, "b": 3, "c": 77, "d": 2, "e": 1})
        pieces = list(taken.values()) + free("10.0.0.0/20", taken)
        self.assertEqual(sum(piece.num_addresses for piece in pieces), 4096)
        self.assertFalse(any(a.overlaps(b) for a in pieces for b in pieces if a is not b))
