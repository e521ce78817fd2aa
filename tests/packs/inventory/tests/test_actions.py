"""The actions as they are started: JSON in, JSON out, and an exit status."""

import importlib.util
import json
import os
import shutil
import subprocess
import sys
import tempfile
import unittest

PACK = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
HOSTS = os.path.join(PACK, "tests", "data", "hosts.csv")
sys.path.insert(0, os.path.join(PACK, "lib"))
sys.path.insert(0, os.path.join(PACK, "actions"))


def action(name):
    """The module of an action."""
    spec = importlib.util.spec_from_file_location(name, os.path.join(PACK, "actions", name + ".py"))
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


class InAFolder(unittest.TestCase):
    def setUp(self):
        self.folder = tempfile.mkdtemp()
        self.addCleanup(shutil.rmtree, self.folder)
        self.path = os.path.join(self.folder, "hosts.json")

    def write(self, name, text):
        path = os.path.join(self.folder, name)
        with open(path, "w", encoding="utf-8") as stream:
            stream.write(text)
        return path


class ImportTest(InAFolder):
    def setUp(self):
        super().setUp()
        self.action = action("import_csv")

    def test_a_first_import(self):
        told = self.action.run(self.path, HOSTS)
        self.assertEqual(told["total"], 5)
        self.assertEqual(told["added"][:2], ["db1.example", "db2.example"])

    def test_the_same_again_changes_nothing(self):
        self.action.run(self.path, HOSTS)
        before = os.stat(self.path)
        told = self.action.run(self.path, HOSTS)
        self.assertEqual(told, {"added": [], "changed": [], "removed": [], "total": 5})
        self.assertEqual(os.stat(self.path).st_ino, before.st_ino)

    def test_replacing_removes_what_is_not_there(self):
        self.action.run(self.path, HOSTS)
        fewer = self.write("fewer.csv", "name,role\ndb1.example,db\n")
        told = self.action.run(self.path, fewer, replace=True)
        self.assertEqual((told["changed"], len(told["removed"]), told["total"]), (["db1.example"], 4, 1))

    def test_a_dry_run_writes_nothing(self):
        self.action.run(self.path, HOSTS, dry_run=True)
        self.assertFalse(os.path.exists(self.path))

    def test_tables_that_make_no_sense(self):
        for text, words in {
            "host\na\n": "no column called name",
            "": "no column called name",
            "name\na,b\n": ":2: more fields than columns",
            "name,address\na[1-2],10.0.0.1\n": ":2: one address for many",
            "name,address\na,here\n": "is no address",
        }.items():
            with self.subTest(text=text), self.assertRaisesRegex(ValueError, words):
                self.action.run(self.path, self.write("bad.csv", text))
        self.assertFalse(os.path.exists(self.path))

    @unittest.skipIf(os.geteuid() == 0, "the superuser may write everywhere")
    def test_a_folder_that_cannot_be_written(self):
        os.chmod(self.folder, 0o555)
        self.addCleanup(os.chmod, self.folder, 0o755)
        with self.assertRaises(PermissionError):
            self.action.run(self.path, HOSTS)

    @unittest.skipUnless(sys.platform == "win32", "only where files are locked while they are read")
    def test_a_file_that_somebody_reads(self):
        self.fail("not written yet")


class CompareTest(InAFolder):
    def test_what_is_different(self):
        before = self.write("a.json", '[{"name": "a", "role": "web"}, {"name": "b"}]')
        after = self.write("b.json", '[{"name": "a", "role": "db"}, {"name": "c"}]')
        self.assertEqual(
            action("compare").run(before, after),
            [
                {"kind": "changed", "name": "a", "facts": {"role": ["web", "db"]}},
                {"kind": "removed", "name": "b", "facts": {}},
                {"kind": "added", "name": "c", "facts": {}},
            ],
        )


class ProcessTest(InAFolder):
    def start(self, name, given):
        done = subprocess.run(
            [sys.executable, os.path.join(PACK, "actions", name + ".py")],
            input=given,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            universal_newlines=True,
        )
        return done.returncode, done.stdout, done.stderr

    def test_an_answer(self):
        self.write("hosts.json", '[{"name": "b", "role": "web"}, {"name": "a", "role": "web"}]')
        given = json.dumps({"path": self.path, "query": "role=web", "limit": 1, "fields": ["name"]})
        status, out, err = self.start("find_hosts", given)
        self.assertEqual((status, json.loads(out), err), (0, {"count": 2, "hosts": [{"name": "b"}]}, ""))

    def test_work_that_fails(self):
        self.write("hosts.json", "{")
        status, out, err = self.start("find_hosts", json.dumps({"path": self.path}))
        self.assertEqual((status, out), (1, ""))
        self.assertIn("hosts.json", err)

    def test_parameters_that_make_no_sense(self):
        for given in ("", "[]", "{}"):
            with self.subTest(given=given):
                status, out, err = self.start("find_hosts", given)
                self.assertEqual((status, out), (2, ""))
                self.assertTrue(err.startswith("parameters: "))


if __name__ == "__main__":
    unittest.main()
