import os
import sys
import unittest

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "..", "lib"))

from inventory import Host, QueryError, matching

HOSTS = [
    Host("web1", "10.0.0.1", role="web", env="prod"),
    Host("web2", "10.0.0.2", role="web", env="dev"),
    Host("db1", role="db", env="prod", note="two words"),
]


class QueryTest(unittest.TestCase):
    def names(self, question):
        return [host.name for host in matching(HOSTS, question)]

    def test_no_question_matches_all(self):
        self.assertEqual(self.names(""), ["web1", "web2", "db1"])
        self.assertEqual(self.names(None), ["web1", "web2", "db1"])

    def test_questions(self):
        for question, names in {
            "role=web": ["web1", "web2"],
            "role=web env!=dev": ["web1"],
            "role=web,db env=prod": ["web1", "db1"],
            "name~^db": ["db1"],
            "address=": ["db1"],
            "note='two words'": ["db1"],
            "colour=red": [],
        }.items():
            with self.subTest(question=question):
                self.assertEqual(self.names(question), names)

    def test_questions_that_are_none(self):
        for question in ("role", "=web", "name~(", "note='two", "1a=b"):
            with self.subTest(question=question), self.assertRaises(QueryError):
                self.names(question)


if __name__ == "__main__":
    unittest.main()
