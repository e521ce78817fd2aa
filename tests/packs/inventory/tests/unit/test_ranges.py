import os
import sys
import unittest

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "..", "lib"))

from inventory import RangeError, expand
from inventory.ranges import LIMIT


class ExpandTest(unittest.TestCase):
    def test_what_brackets_mean(self):
        for pattern, names in {
            "web": ["web"],
            "web[1-3]": ["web1", "web2", "web3"],
            "web[08-11].x": ["web08.x", "web09.x", "web10.x", "web11.x"],
            "r[1-2]n[3,5]": ["r1n3", "r1n5", "r2n3", "r2n5"],
            "a[1,1-2]": ["a1", "a2"],
        }.items():
            with self.subTest(pattern=pattern):
                self.assertEqual(expand(pattern), names)

    def test_what_brackets_cannot_mean(self):
        for pattern in ("a[", "a]", "a[1", "a[]", "a[x]", "a[3-1]", "a[1-]", "a[[1]]"):
            with self.subTest(pattern=pattern), self.assertRaises(RangeError):
                expand(pattern)

    def test_too_many(self):
        with self.assertRaises(RangeError):
            expand("a[0-{}]".format(LIMIT))
        with self.assertRaises(RangeError):
            expand("a[1-200]b[1-200]")

    @unittest.expectedFailure
    def test_letters_count_too(self):
        self.assertEqual(expand("rack[a-c]"), ["racka", "rackb", "rackc"])


if __name__ == "__main__":
    unittest.main()
