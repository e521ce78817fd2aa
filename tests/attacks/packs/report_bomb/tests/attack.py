#!/usr/bin/env python3
"""Entities that refer to each other, nesting without end, and sheer size."""
from pathlib import Path

laughs = "".join(f"<!ENTITY l{n} '{f'&l{n - 1};' * 10}'>" for n in range(1, 10))
Path("results").mkdir()
Path("results/entities.xml").write_text(f"<!DOCTYPE x [<!ENTITY l0 'ha'>{laughs}]><testsuite><testcase name='&l9;'/></testsuite>")
Path("results/deep.xml").write_text("<testsuite>" * 200_000)
Path("results/wide.xml").write_text("<testsuite>" + "<testcase name='x'/>" * 600_000 + "</testsuite>")
