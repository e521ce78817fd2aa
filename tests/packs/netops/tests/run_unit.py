#!/usr/bin/env python3
"""Runs the unit tests and writes tests/results/unit.xml as JUnit does."""

import os
import sys
import time
import unittest
import xml.etree.ElementTree as ET

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path.insert(0, os.path.join(HERE, os.pardir, "lib"))


class Recorder(unittest.TextTestResult):
    """Remembers how each test ended and how long it took."""

    def __init__(self, *args, **kwargs):
        super().__init__(*args, **kwargs)
        self.elements = []
        self._began = 0.0

    def startTest(self, test):
        super().startTest(test)
        self._began = time.perf_counter()

    def _record(self, test, tag=None, message="", text=""):
        suite, _, name = test.id().rpartition(".")
        took = "%.6f" % (time.perf_counter() - self._began)
        element = ET.Element("testcase", classname=suite, name=name, time=took)
        if tag:
            ET.SubElement(element, tag, message=message).text = text
        self.elements.append(element)

    def addSuccess(self, test):
        super().addSuccess(test)
        self._record(test)

    def addFailure(self, test, err):
        super().addFailure(test, err)
        self._record(test, "failure", str(err[1]), self.failures[-1][1])

    def addError(self, test, err):
        super().addError(test, err)
        self._record(test, "error", str(err[1]), self.errors[-1][1])

    def addSkip(self, test, reason):
        super().addSkip(test, reason)
        self._record(test, "skipped", reason)

    def addSubTest(self, test, subtest, err):
        super().addSubTest(test, subtest, err)
        if err is not None:
            self._record(test, "failure", "%s: %s" % (subtest._subDescription(), err[1]))


def write(path, result, took):
    counts = {tag: sum(e.find(tag) is not None for e in result.elements) for tag in ("failure", "error", "skipped")}
    suite = ET.Element(
        "testsuite",
        name="netops",
        tests=str(len(result.elements)),
        failures=str(counts["failure"]),
        errors=str(counts["error"]),
        skipped=str(counts["skipped"]),
        time="%.6f" % took,
    )
    suite.extend(result.elements)
    root = ET.Element("testsuites")
    root.append(suite)
    os.makedirs(os.path.dirname(path), exist_ok=True)
    ET.ElementTree(root).write(path, encoding="utf-8", xml_declaration=True)


def main():
    tests = unittest.defaultTestLoader.discover(os.path.join(HERE, "unit"))
    began = time.perf_counter()
    result = unittest.TextTestRunner(resultclass=Recorder, verbosity=2).run(tests)
    write(os.path.join(HERE, "results", "unit.xml"), result, time.perf_counter() - began)
    return 0 if result.wasSuccessful() and result.testsRun else 1


if __name__ == "__main__":
    sys.exit(main())
