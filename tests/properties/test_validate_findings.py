"""Validation on arbitrary packs: it answers with findings that hold together, the same every time."""

from __future__ import annotations

import json
from dataclasses import asdict
from pathlib import Path
from typing import Any

import pytest
import yaml
from hypothesis import given, settings
from hypothesis import strategies as st
from semantic_version import SimpleSpec, Version

from packd.domain.problems import errors
from packd.domain.ranges import as_range, is_version, range_meant, version_meant
from packd.domain.refs import is_ref
from packd.validate.fields import inside
from packd.validate.findings import Findings, Runtime
from packd.validate.load import check

RUNTIME = Runtime(python="3.11.7", node="20.20.2")

scalars = st.sampled_from([
    None, True, False, 0, -1, 1.0, 1.5, 10**30, float("inf"), "", " ", "demo", "demo.run", "other.run", "demo.", "a..b", "1.0",
    "1.0.0", ">=1", "core@^1", "core@", "@", "tests", "tests/run_tests.sh", "run.sh", "../x", "/etc/passwd", ".", "..", "a\0b",
    "script", "unittest", "pytest", "command", "tap", "shell", "native", "orquesta", "directory", "manifest", "executable",
    "block", "simple", "x" * 300, "é", "\x1b[31m", "::", "tests::x", "a.b.c", "{{ x }}", "trigger", "sensor", "action",
])  # fmt: skip
keys = st.sampled_from([
    "ref", "name", "version", "label", "enabled", "tags", "keywords", "config", "dependencies", "packs", "python_version",
    "nodejs_version", "testing", "discovery", "method", "path", "tests", "runners", "type", "entry_point", "command", "timeout",
    "result_path", "result_format", "requirements", "env", "network", "min_pass_rate", "on_failure", "runner", "runner_type",
    "workflow_file", "trigger_ref", "action_ref", "trigger", "action", "trigger_types", "tasks", "pack", "owner_type",
    "owner_ref", "class_name", "", "é", "reff", "PACKD_X",
])  # fmt: skip
values = st.recursive(
    scalars, lambda inner: st.lists(inner, max_size=3) | st.dictionaries(keys, inner, max_size=5), max_leaves=12
)
mappings = st.dictionaries(keys, values, max_size=8)
runners = st.dictionaries(st.sampled_from(["a", "b", ""]), mappings, max_size=2)
sections = st.fixed_dictionaries({}, optional={
    "enabled": st.booleans(), "discovery": mappings, "runners": runners, "min_pass_rate": scalars, "on_failure": scalars,
})  # fmt: skip
manifests = st.fixed_dictionaries(
    {"ref": st.just("demo") | scalars, "version": st.just("1.0.0") | scalars},
    optional={"testing": sections | values, "dependencies": values, "name": scalars, "label": scalars, "tags": values},
)
folders = st.sampled_from(["actions", "sensors", "rules", "workflows", "actions/workflows"])
components = st.lists(st.tuples(folders, mappings | values), max_size=3)


@pytest.fixture(scope="module")
def tree(tmp_path_factory: pytest.TempPathFactory) -> Path:
    tree = tmp_path_factory.mktemp("pack")
    for name in ("tests/run_tests.sh", "actions/run.sh", "sensors/run.sh"):
        (tree / name).parent.mkdir(exist_ok=True)
        (tree / name).touch()
    for name in ("actions/workflows", "rules", "workflows"):
        (tree / name).mkdir()
    return tree


def assert_sound(findings: Findings) -> None:
    """What every later stage relies on."""
    for problem in findings.problems:
        json.dumps(problem.to_dict(), allow_nan=False)
        str(problem).encode()
        assert " " in problem.message
        assert (problem.line is None) == (problem.column is None)
    assert findings.ref is None or is_ref(findings.ref)
    assert findings.version is None or is_version(findings.version)
    assert (findings.manifest is None) == bool(errors(findings.problems))
    if findings.manifest is not None:
        assert_trustworthy(asdict(findings.manifest), findings)


def assert_trustworthy(manifest: dict[str, Any], findings: Findings) -> None:
    json.dumps(manifest, allow_nan=False)
    assert (manifest["ref"], manifest["version"]) == (findings.ref, findings.version)
    for need in manifest["needs"]:
        assert is_ref(need["ref"])
        SimpleSpec(need["range"])
    for suite in (manifest["testing"] or {}).get("suites", ()):
        assert (suite["command"] is None) != (suite["entry_point"] is None)
        for path in (suite["entry_point"], suite["result_path"], suite["requirements"], suite["config"]):
            assert path is None or inside(path.partition("::")[0]) is not None
        assert suite["timeout_s"] is None or suite["timeout_s"] > 0
    kinds_and_refs = [(one["kind"], one["ref"]) for one in manifest["components"]]
    assert len(kinds_and_refs) == len(set(kinds_and_refs))
    assert all(ref.startswith(f"{findings.ref}.") for _, ref in kinds_and_refs)


@settings(max_examples=200, deadline=None)
@given(manifest=manifests | values, parts=components)
def test_any_mappings_are_answered(tree: Path, manifest: object, parts: list[tuple[str, object]]) -> None:
    """Never an exception; a manifest exactly when nothing is wrong, and then one that can be trusted; same twice."""
    written = [tree / "pack.yaml", *(tree / folder / f"c{index}.yaml" for index, (folder, _) in enumerate(parts))]
    try:
        for path, value in zip(written, [manifest, *(value for _, value in parts)], strict=True):
            path.write_text(yaml.dump(value, Dumper=yaml.CSafeDumper, allow_unicode=True))
        findings = check(tree, name="demo", runtime=RUNTIME)
        assert_sound(findings)
        assert check(tree, name="demo", runtime=RUNTIME) == findings
    finally:
        for path in written:
            path.unlink(missing_ok=True)


words = st.sampled_from(["block", "warn", "ignore"])
suites = st.sampled_from(["script", "tap"]).map(
    lambda kind: {"type": kind, "entry_point": "tests/run_tests.sh"}
) | st.just({"type": "command", "command": "make"})
sound_suites = st.builds(lambda suite, more: {**suite, **more}, suites, st.fixed_dictionaries({}, optional={
    "timeout": st.floats(0.01, 1e6) | st.integers(1, 9), "network": st.booleans(), "result_path": st.sampled_from(["out", "./o/"]),
    "env": st.dictionaries(st.from_regex("[A-Z]{1,4}", fullmatch=True), st.integers() | st.text("ab: #", max_size=4), max_size=2),
}))  # fmt: skip
sound_testing = st.fixed_dictionaries(
    {
        "runners": st.dictionaries(
            st.sampled_from(["a", "b c", "Action tests", "é"]), sound_suites, min_size=1, max_size=3
        )
    },
    optional={"min_pass_rate": st.floats(0, 1), "on_failure": words, "enabled": st.booleans()},
)
sound_needs = st.lists(
    st.sampled_from(["core", "core@^1", "core@>=1.2,<2", {"ref": "core", "version": "~1.2"}, {"name": "core"}]),
    max_size=1,
)
sound = st.fixed_dictionaries(
    {"version": st.builds("{}.{}.{}".format, *[st.integers(0, 99)] * 3), "testing": sound_testing},
    optional={
        "label": st.text("ab\n: #'", max_size=9),
        "dependencies": sound_needs,
        "tags": st.lists(st.just("a"), max_size=2),
    },
)


@settings(max_examples=80, deadline=None)
@given(manifest=sound, key=st.sampled_from(["ref", "name"]))
def test_sound_packs_are_accepted(tree: Path, manifest: dict[str, Any], key: str) -> None:
    """What keeps the rules is accepted without a word, and nothing of it is lost."""
    path = tree / "pack.yaml"
    path.write_text(yaml.dump({key: "demo", **manifest}, Dumper=yaml.CSafeDumper, allow_unicode=True))
    try:
        findings = check(tree, name="demo", runtime=RUNTIME)
    finally:
        path.unlink()
    assert findings.problems == ()
    assert_sound(findings)
    assert findings.manifest is not None
    assert findings.manifest.fields == {key: "demo", **manifest}
    assert findings.manifest.testing is not None
    assert {suite.name for suite in findings.manifest.testing.suites} == set(manifest["testing"]["runners"])
    assert len(findings.manifest.needs) == len(manifest.get("dependencies", []))


@settings(max_examples=100, deadline=None)
@given(manifest=st.binary(max_size=80), part=st.binary(max_size=80))
def test_any_bytes_are_answered(tree: Path, manifest: bytes, part: bytes) -> None:
    """Files that are no YAML at all are answered as well."""
    written = {tree / "pack.yaml": b"ref: demo\nversion: 1.0.0\nx: " + manifest, tree / "rules/c.yaml": part}
    try:
        for path, content in written.items():
            path.write_bytes(content)
        assert_sound(check(tree, name="demo", runtime=RUNTIME))
    finally:
        for path in written:
            path.unlink(missing_ok=True)


@settings(max_examples=200, deadline=None)
@given(st.text(st.sampled_from("0123456789.,<>=!~^*xv+- \tab"), max_size=14) | st.text(max_size=8))
def test_ranges_and_versions_never_raise(text: str) -> None:
    """A range that is accepted is one that SimpleSpec accepts and stays itself; what is suggested is valid."""
    spec = as_range(text)
    if spec is not None:
        assert as_range(spec) == spec
        assert isinstance(Version("3.11.7") in SimpleSpec(spec), bool)
    meant = range_meant(text)
    assert meant is None or as_range(meant) == meant
    version = version_meant(text)
    assert version is None or is_version(version)
