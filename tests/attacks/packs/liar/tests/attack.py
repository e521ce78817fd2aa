#!/usr/bin/env python3
from pathlib import Path

Path("report.xml").write_text('<testsuite tests="3"><testcase name="a"/><testcase name="b"/><testcase name="c"/></testsuite>')
raise SystemExit(1)
