"""pack.yaml, its dependencies and the folder around it: every code once, with its place and its suggestion."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from packd.domain.manifest import Need
from packd.validate.findings import Findings, Runtime, ValidationLimits
from packd.validate.load import check

TESTING = "testing: {enabled: true, discovery: {method: executable, command: make test}}\n"
HEAD = "ref: demo\nversion: 1.0.0\n"
RUNTIME = Runtime(python="3.11.7", node="20.20.2")


def checked(tree: Path, files: dict[str, str | bytes], **how: Any) -> Findings:
    """The findings on a folder with these files (a name that ends in "/" is a folder)."""
    for name, content in files.items():
        path = tree / name
        if name.endswith("/"):
            path.mkdir(parents=True)
            continue
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content if isinstance(content, bytes) else content.encode())
    return check(tree, **{"name": "demo", "runtime": RUNTIME, **how})


def places(findings: Findings) -> list[str]:
    """Each problem as `code file:line:column → suggestion`, the parts that it has."""
    lines = []
    for problem in findings.problems:
        where = ":".join(str(part) for part in (problem.file, problem.line, problem.column) if part is not None)
        hint = f"→ {problem.suggestion}" if problem.suggestion else ""
        lines.append(" ".join(part for part in (problem.code, where, hint) if part))
    return lines


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("", ["manifest.not_object pack.yaml:1:1"]),
        ("- a\n- b\n", ["manifest.not_object pack.yaml:1:1"]),
        ("just text\n", ["manifest.not_object pack.yaml:1:1"]),
        ("version: 1.0.0\n", ["manifest.invalid_ref pack.yaml:1:1 → ref: demo"]),
        ("ref:\nversion: 1.0.0\n", ["manifest.invalid_ref pack.yaml:1:1 → ref: demo"]),
        ("ref: My Pack\nversion: 1.0.0\n", ["manifest.invalid_ref pack.yaml:1:6 → my_pack"]),
        ("ref: tests\nversion: 1.0.0\n", ["manifest.invalid_ref pack.yaml:1:6 → tests_pack"]),
        ("ref: 7up\nversion: 1.0.0\n", ["manifest.invalid_ref pack.yaml:1:6 → p7up"]),
        ("ref: 12\nversion: 1.0.0\n", ["manifest.invalid_ref pack.yaml:1:6 → p12"]),
        ("ref: 1.5\nversion: 1.0.0\n", ["manifest.invalid_ref pack.yaml:1:6 → p1_5"]),
        ("ref: True\nversion: 1.0.0\n", ['manifest.invalid_ref pack.yaml:1:6 → "true"']),
        ("ref: no\nversion: 1.0.0\n", ['manifest.invalid_ref pack.yaml:1:6 → "no"']),
        ("ref: [a]\nversion: 1.0.0\n", ["manifest.invalid_ref pack.yaml:1:6"]),
        ("name: My Pack\nversion: 1.0.0\n", ["manifest.invalid_ref pack.yaml:1:7 → my_pack"]),
        ("ref: demo\n", ["manifest.invalid_version pack.yaml:1:1 → version: 0.1.0"]),
        ("ref: demo\nversion: 1.0\n", ['manifest.invalid_version pack.yaml:2:10 → "1.0.0"']),
        ("ref: demo\nversion: 1.10\n", ['manifest.invalid_version pack.yaml:2:10 → "1.10.0"']),
        ("ref: demo\nversion: 3\n", ['manifest.invalid_version pack.yaml:2:10 → "3.0.0"']),
        ('ref: demo\nversion: "1.0"\n', ["manifest.invalid_version pack.yaml:2:10 → 1.0.0"]),
        ("ref: demo\nversion: v1.2.3\n", ["manifest.invalid_version pack.yaml:2:10 → 1.2.3"]),
        ("ref: demo\nversion: |\n  1.2.3\n", ["manifest.invalid_version pack.yaml:2:10 → 1.2.3"]),
        ("ref: demo\nversion: １.2.3\n", ["manifest.invalid_version pack.yaml:2:10 → 1.2.3"]),
        ("ref: demo\nversion: 01.2.3\n", ["manifest.invalid_version pack.yaml:2:10 → 1.2.3"]),
        ("ref: demo\nversion: v1.2rc1\n", ["manifest.invalid_version pack.yaml:2:10 → 1.2.0-rc1"]),
        ("ref: demo\nversion: 1.0-beta\n", ["manifest.invalid_version pack.yaml:2:10 → 1.0.0-beta"]),
        ("ref: demo\nversion: latest\n", ["manifest.invalid_version pack.yaml:2:10"]),
        ("ref: demo\nversion: 2026-01-02\n", ["manifest.invalid_version pack.yaml:2:10"]),
        ("ref: demo\nversion: true\n", ["manifest.invalid_version pack.yaml:2:10"]),
        ("ref: demo\nversion: {}\n", ["manifest.invalid_version pack.yaml:2:10"]),
        (HEAD + "label: A\nname: B\n", ["manifest.legacy_conflict pack.yaml:4:1"]),
        (HEAD + "tags: [a]\nkeywords: [b]\n", ["manifest.legacy_conflict pack.yaml:4:1"]),
        (HEAD + "conf_schema: {a: {}}\nconfig_schema: {b: {}}\n", ["manifest.legacy_conflict pack.yaml:4:1"]),
        (HEAD + "meta: {a: 1}\nmetadata: {a: 2}\n", ["manifest.legacy_conflict pack.yaml:4:1"]),
        (HEAD + "label: A\nname: A\ntags: [x]\nkeywords: [x]\n", []),
        (HEAD + "label: 3\n", ['manifest.invalid_field pack.yaml:3:8 → "3"']),
        (HEAD + "enabled: 'yes'\n", ["manifest.invalid_field pack.yaml:3:10 → true"]),
        (HEAD + "config: [a]\n", ["manifest.invalid_field pack.yaml:3:9"]),
        (HEAD + "tags: a\n", ["manifest.invalid_field pack.yaml:3:7"]),
        (HEAD + "tags: [a, 1]\n", ["manifest.invalid_field pack.yaml:3:11"]),
        (HEAD + "health: bin/health.sh\n", []),
        (HEAD + "health: {command: bin/health.sh, every: 30, timeout: 5}\n", []),
        (HEAD + "health: [x]\n", ["manifest.invalid_health pack.yaml:3:9"]),
        (HEAD + "health: {every: 3}\n", ["manifest.invalid_health pack.yaml:3:9"]),
        (HEAD + "health: {command: x, every: 0}\n", ["manifest.invalid_health pack.yaml:3:29"]),
        (HEAD + "health: {command: x, evry: 3}\n", ["manifest.unknown_key pack.yaml:3:22 → every"]),
        (HEAD + "descripton: x\n", ["manifest.unknown_key pack.yaml:3:1 → description"]),
        (HEAD + "meta: {python_dependencies: [six, 'attrs>=22,<24']}\n", []),
        (HEAD + "meta: {python_dependencies: six}\n", ["manifest.invalid_field pack.yaml:3:29"]),
        (HEAD + "meta: {python_dependencies: [six, 3]}\n", ["manifest.invalid_field pack.yaml:3:35"]),
        (HEAD + "meta: {python_dependencies: ['-r /x']}\n", ["manifest.invalid_field pack.yaml:3:30"]),
        (HEAD + "anything_else: x\npython_versions: ['3']\n", []),
        (HEAD + "ref: other\n", ["metadata.duplicate_key pack.yaml:3:1"]),
        (HEAD + "label: 'open\n", ["metadata.invalid_yaml pack.yaml:3:8"]),
        ("ref: demo\nversion: 1.0.0-rc.1+build.5\n", []),
    ],
)
def test_pack_yaml(tmp_path: Path, text: str, expected: list[str]) -> None:
    """Each mistake in pack.yaml gives its code, its place and, where there is one, what was meant."""
    assert places(checked(tmp_path, {"pack.yaml": text})) == expected


@pytest.mark.parametrize(
    ("section", "expected"),
    [
        ("dependencies: {}", []),
        ("dependencies: []", []),
        ("dependencies:", []),
        ("dependencies: core", ["dependency.invalid pack.yaml:3:15"]),
        ("dependencies: {packs: core}", ["dependency.invalid pack.yaml:3:23"]),
        ("dependencies: {pack: [core]}", ["dependency.unknown_key pack.yaml:3:16 → packs"]),
        ("dependencies: [3]", ["dependency.invalid pack.yaml:3:16"]),
        ("dependencies: [Core]", ["dependency.invalid_ref pack.yaml:3:16 → core"]),
        ("dependencies: [{ref: 12}]", ["dependency.invalid_ref pack.yaml:3:22 → p12"]),
        ("dependencies: [{ref: yes}]", ['dependency.invalid_ref pack.yaml:3:22 → "yes"']),
        ("dependencies: ['']", ["dependency.invalid_ref pack.yaml:3:16"]),
        ("dependencies: [Core@>=2]", ["dependency.invalid_ref pack.yaml:3:16 → core@>=2"]),
        ("dependencies: [core 1.2]", ["dependency.invalid_ref pack.yaml:3:16 → core@1.2"]),
        ("dependencies: ['core:^1.2']", ["dependency.invalid_ref pack.yaml:3:16 → core@^1.2"]),
        ("dependencies: ['git@host:packs/core.git']", ["dependency.invalid_ref pack.yaml:3:16"]),
        ("dependencies: [core>=2]", ["dependency.invalid_ref pack.yaml:3:16 → core@>=2"]),
        ("dependencies: ['https://host/core.git']", ["dependency.invalid_ref pack.yaml:3:16"]),
        ("dependencies: [{version: '1'}]", ["dependency.invalid_ref pack.yaml:3:16"]),
        ("dependencies: [{reff: core}]", ["dependency.invalid_ref pack.yaml:3:17 → ref", "dependency.unknown_key pack.yaml:3:17 → ref"]),
        ("dependencies: [core@latest]", ["dependency.invalid_range pack.yaml:3:16"]),
        ("dependencies: ['core@']", ["dependency.invalid_range pack.yaml:3:16"]),
        ("dependencies: [{ref: core, version: 1.0}]", ['dependency.invalid_range pack.yaml:3:37 → "1.0"']),
        ("dependencies: [{ref: core, version: v1.2}]", ["dependency.invalid_range pack.yaml:3:37 → 1.2"]),
        ("dependencies: [{ref: core, version: 1.x}]", ["dependency.invalid_range pack.yaml:3:37 → 1.*"]),
        ("dependencies: [core, 'core@>=2']", ["dependency.duplicate_ref pack.yaml:3:22"]),
        ("dependencies: {packs: [core, demo]}", ["dependency.itself pack.yaml:3:30"]),
        ("dependencies: {python_version: 3.9}", ['dependency.python_version pack.yaml:3:32 → "3.9"']),
        ("dependencies: {python_version: 'py3'}", ["dependency.python_version pack.yaml:3:32"]),
        ("dependencies: {python_version: '3.9+'}", ["dependency.python_version pack.yaml:3:32 → >=3.9"]),
        ("dependencies: {python_version: '>=3.12'}", ["dependency.python_version pack.yaml:3:32"]),
        ("dependencies: {python_version: '3.11'}", []),
        ("dependencies: {python_version: '3.10'}", ["dependency.python_version pack.yaml:3:32"]),
        ("dependencies: {python_version: '>= 3.9 <4'}", []),
        ("dependencies: {nodejs_version: '>=18'}", []),
        ("dependencies: {nodejs_version: '>=22'}", ["dependency.nodejs_version pack.yaml:3:32"]),
    ],
)  # fmt: skip
def test_dependencies(tmp_path: Path, section: str, expected: list[str]) -> None:
    """Each mistake in `dependencies` gives its code and place, and the interpreters are compared with the runtime."""
    assert places(checked(tmp_path, {"pack.yaml": HEAD + section + "\n"})) == expected


@pytest.mark.parametrize(
    "section",
    [
        'dependencies: {packs: [{ref: core, version: ">=1.2,<2"}, "slack@^2.1", utils]}',
        'dependencies: [{name: core, version: ">= 1.2 <2"}, "slack@ ^2.1", utils]',
    ],
)
def test_all_forms_of_needs(tmp_path: Path, section: str) -> None:
    """Mapping, `ref@range` and bare ref say the same in a list and under `packs`; ranges come out in one spelling."""
    manifest = checked(tmp_path, {"pack.yaml": HEAD + section}).manifest
    assert manifest is not None
    assert manifest.needs == (Need(ref="core", range=">=1.2,<2"), Need(ref="slack", range="^2.1"), Need(ref="utils"))


def test_no_node_is_said(tmp_path: Path) -> None:
    """A pack that needs Node.js is refused where there is none, in so many words."""
    text = HEAD + "dependencies: {nodejs_version: '>=18'}"
    findings = checked(tmp_path, {"pack.yaml": text}, runtime=Runtime(python="3.11.7"))
    assert [problem.code for problem in findings.problems] == ["dependency.nodejs_version"]
    assert "there is no Node.js" in findings.problems[0].message


@pytest.mark.parametrize(
    ("files", "word", "suggestion"),
    [
        ({}, "empty", None),
        ({"readme.md": ""}, "no pack.yaml", None),
        ({"pack.yml": HEAD}, "pack.yml", "pack.yaml"),
        ({"Pack.yaml": HEAD}, "Pack.yaml", "pack.yaml"),
        ({"inner/pack.yaml": HEAD}, "drop that folder itself", "inner"),
        ({"pack.yaml/": ""}, "folder", None),
    ],
)
def test_a_missing_manifest_says_what_is_there_instead(
    tmp_path: Path, files: dict[str, str | bytes], word: str, suggestion: str | None
) -> None:
    """Without pack.yaml there is one problem, and it names what was probably meant."""
    findings = checked(tmp_path, files)
    assert [problem.code for problem in findings.problems] == ["manifest.missing"]
    assert word in findings.problems[0].message
    assert findings.problems[0].suggestion == suggestion
    assert (findings.manifest, findings.ref) == (None, None)


def test_a_stackstorm_pack_registers_under_its_name(tmp_path: Path) -> None:
    """With `name` and no `ref` the name is the ref, and a label beside it is no conflict."""
    text = "name: demo\nlabel: Demo!\nversion: 0.1.0\nkeywords: [a]\nauthor: x\nemail: a@b.c\npython_versions: ['3']\n"
    findings = checked(tmp_path, {"pack.yaml": text})
    assert findings.manifest is not None
    assert (findings.ref, findings.version, findings.manifest.label) == ("demo", "0.1.0", "Demo!")


def test_unknown_keys_are_kept(tmp_path: Path) -> None:
    """`fields` is all that pack.yaml says, known or not."""
    manifest = checked(tmp_path, {"pack.yaml": HEAD + "name: Label\nx_mine: {a: [1]}\nenabled: false\n"}).manifest
    assert manifest is not None
    assert manifest.fields == {
        "ref": "demo",
        "version": "1.0.0",
        "name": "Label",
        "x_mine": {"a": [1]},
        "enabled": False,
    }
    assert (manifest.label, manifest.enabled, manifest.testing) == ("Label", False, None)


@pytest.mark.parametrize(
    ("text", "ref", "version"),
    [
        ("ref: demo\nversion: 1.0.0\nlabel: 'open\n", "demo", "1.0.0"),
        ("label: 'open\nref: demo # mine\n", "demo", None),
        ('a: b: c\nname: "demo"\n', "demo", None),
        ("ref: Bad Ref\nx: [\n", None, None),
        (b"ref: demo\nlabel: \xff\n", "demo", None),
        ("ref: demo\nversion: 1.0\n", "demo", None),
        ("version: 1.0.0\n", None, "1.0.0"),
    ],
)
def test_the_ref_is_found_in_a_broken_pack(
    tmp_path: Path, text: str | bytes, ref: str | None, version: str | None
) -> None:
    """A rejected pack is known by its declared ref whenever that can be made out."""
    findings = checked(tmp_path, {"pack.yaml": text})
    assert (findings.manifest, findings.ref, findings.version) == (None, ref, version)


@pytest.mark.parametrize(
    ("name", "warned"),
    [("demo", False), ("demo.tar.gz", False), ("demo-1.2.0.zip", False), ("demo-copy", True), ("other.zip", True)],
)
def test_a_ref_that_differs_from_the_drop_is_said(tmp_path: Path, name: str, warned: bool) -> None:
    """It is allowed, so it is a warning; an archive may carry a version in its name."""
    findings = checked(tmp_path, {"pack.yaml": HEAD}, name=name)
    assert findings.manifest is not None
    assert [problem.code for problem in findings.problems] == (["manifest.ref_differs"] if warned else [])


def test_a_link_out_of_the_pack_is_not_read(tmp_path: Path) -> None:
    """pack.yaml and components may be links inside the pack, never out of it."""
    (tmp_path / "outside.yaml").write_text("ref: demo.secret\n")
    tree = tmp_path / "tree"
    tree.mkdir()
    findings = checked(tree, {"real.yaml": HEAD, "triggers/": "", "lib/new.yaml": "ref: demo.new\n"})
    (tree / "pack.yaml").symlink_to("real.yaml")
    (tree / "triggers/in.yaml").symlink_to("../lib/new.yaml")
    (tree / "triggers/out.yaml").symlink_to("../../outside.yaml")
    findings = check(tree, name="demo", runtime=RUNTIME)
    assert places(findings) == ["metadata.unreadable triggers/out.yaml"]
    (tree / "triggers/out.yaml").unlink()
    findings = check(tree, name="demo", runtime=RUNTIME)
    assert findings.manifest is not None
    assert [component.ref for component in findings.manifest.components] == ["demo.new"]
    (tree / "pack.yaml").unlink()
    (tree / "pack.yaml").symlink_to("../outside.yaml")
    assert places(check(tree, name="demo", runtime=RUNTIME))[0] == "metadata.unreadable pack.yaml"


def test_an_unreadable_file_is_said() -> None:
    """A file without the permission to read it is a problem with its reason."""
    with tempfile.TemporaryDirectory() as folder:  # one that nobody can get at is below pytest's own
        tree = Path(folder)
        tree.chmod(0o755)
        checked(tree, {"pack.yaml": HEAD, "triggers/a.yaml": "ref: demo.a\n"})
        (tree / "triggers/a.yaml").chmod(0)
        with ordinary_user():
            assert places(check(tree, name="demo")) == ["metadata.unreadable triggers/a.yaml"]


@contextmanager
def ordinary_user() -> Iterator[None]:
    """Root can read everything: be nobody for a while."""
    if os.geteuid() != 0:
        yield
        return
    os.seteuid(65534)
    try:
        yield
    finally:
        os.seteuid(0)


def test_limits(tmp_path: Path) -> None:
    """Too many files, too large a file and too many entries are each named once."""
    trigger = {f"triggers/t{index}.yaml": f"ref: demo.t{index}\n" for index in range(5)}
    limits = ValidationLimits(metadata_files=3, metadata_file_bytes=1000, traversed_entries=50)
    findings = checked(tmp_path, {"pack.yaml": HEAD, **trigger}, limits=limits)
    assert places(findings) == ["limits.metadata_files_exceeded"]
    (tmp_path / "triggers/t0.yaml").write_text("ref: demo.t0\n" + "#" * 1000)
    findings = checked(tmp_path, {}, limits=limits)
    assert places(findings) == ["limits.metadata_files_exceeded", "limits.metadata_file_too_large triggers/t0.yaml"]
    findings = checked(tmp_path, {}, limits=ValidationLimits(metadata_bytes=30))
    assert places(findings) == ["limits.metadata_bytes_exceeded"]
    (tmp_path / "triggers/t0.yaml").write_text("[a, b, c, d, e")
    findings = checked(tmp_path, {}, limits=ValidationLimits(metadata_values=5))
    assert places(findings) == ["limits.metadata_values_exceeded", "metadata.invalid_yaml triggers/t0.yaml:1:1"]
    (tmp_path / "triggers/t0.yaml").write_text("ref: demo.t0\n" + "#" * 1000)
    findings = checked(tmp_path, {}, limits=ValidationLimits(traversed_entries=4))
    assert places(findings) == ["limits.traversed_entries_exceeded"]
    (tmp_path / "pack.yaml").write_text(HEAD + "#" * 1000)
    assert places(checked(tmp_path, {}, limits=limits))[-2:] == [
        "limits.metadata_file_too_large pack.yaml",
        "limits.metadata_file_too_large triggers/t0.yaml",
    ]


def test_what_a_limit_left_out_is_not_missing(tmp_path: Path) -> None:
    """Of a pack that is too large no component is said to be missing that was never read."""
    flow = "version: 1.0\ntasks: {one: {action: demo.last}}\n"
    files = {"actions/workflows/flow.yaml": flow, "triggers/a.yaml": "ref: a\n", "workflows/last.yaml": "ref: last\n"}
    assert checked(tmp_path, {"pack.yaml": HEAD, **files}).problems == ()
    findings = checked(tmp_path, {}, limits=ValidationLimits(metadata_files=2))
    assert places(findings) == ["limits.metadata_files_exceeded"]


def test_looking_for_what_was_meant_counts_once(tmp_path: Path) -> None:
    """However many files are missing, each folder is listed once, and that is what the limit is about."""
    action = "ref: demo.a{0}\nrunner_type: shell\nentry_point: missing{0}.sh\n"
    actions = {f"actions/a{index}.yaml": action.format(index) for index in range(20)}
    findings = checked(tmp_path, {"pack.yaml": HEAD, **actions}, limits=ValidationLimits(traversed_entries=25))
    assert {problem.code for problem in findings.problems} == {"action.entrypoint"}
    assert len(findings.problems) == 20


def test_what_was_meant_is_guessed_only_while_somebody_looks_for_it(tmp_path: Path) -> None:
    """Comparing thousands of mistakes with thousands of names would take minutes: the first fifty problems get a guess."""
    tasks = "".join(f"  t{index}: {{action: demo.gret{index}}}\n" for index in range(80))
    files = {"workflows/w.yaml": "ref: w\ntasks:\n" + tasks, "actions/great.yaml": "ref: demo.great\n"}
    problems = checked(tmp_path, {"pack.yaml": HEAD, **files}).problems
    missing = [problem for problem in problems if problem.code == "reference.missing_local_target"]
    assert len(missing) == 80
    assert 45 <= sum(problem.suggestion is not None for problem in missing) <= 50


def test_too_many_problems_are_cut_short(tmp_path: Path) -> None:
    """The first ones are shown and the number of all is said, and the pack stays refused."""
    text = HEAD + "".join(f"tags{index}: 1\n" for index in range(3)) + "tags: [" + "1, " * 30 + "]\n"
    findings = checked(tmp_path, {"pack.yaml": text}, limits=ValidationLimits(problems=10))
    assert len(findings.problems) == 11
    assert findings.problems[-1].code == "limits.problems_exceeded"
    assert findings.manifest is None


def test_warnings_take_no_room_from_what_rejects(tmp_path: Path) -> None:
    """However many warnings come first, the problem for which the pack is refused is among those shown."""
    text = HEAD + "testing:\n" + "".join(f"  tag{index}: 1\n" for index in range(20))
    files = {"triggers/a.yaml": "label: A\n"}
    findings = checked(tmp_path, {"pack.yaml": text, **files}, limits=ValidationLimits(problems=10))
    assert places(findings)[-2:] == [
        "component.invalid_ref triggers/a.yaml:1:1 → ref: demo.a",
        "limits.problems_exceeded",
    ]


def test_other_interpreters_count(tmp_path: Path) -> None:
    """A pack may ask for any Python that is there; the others are asked for only when the usual one won't do."""
    asked = []

    def others() -> tuple[str, ...]:
        asked.append(1)
        return ("3.12.1", "3.9.18")

    def problems(wanted: str) -> list[str]:
        (tmp_path / "pack.yaml").write_text(f"{HEAD}dependencies: {{python_version: '{wanted}'}}\n")
        found = check(tmp_path, name="demo", runtime=Runtime(python="3.11.7", other_pythons=others))
        return [problem.message for problem in found.problems]

    assert problems(">=3.10") == []
    assert asked == []
    assert problems("3.9.*") == []
    (message,) = problems(">=3.13")
    assert "3.11.7" in message
    assert "3.12.1" in message


def test_python_dependencies_arrive(tmp_path: Path) -> None:
    """`meta.python_dependencies` reaches whoever builds environments, and a range of Python in its plain spelling."""
    text = HEAD + "meta: {python_dependencies: [six, 'attrs>=22']}\ndependencies: {python_version: '>= 3.9 <4'}\n"
    manifest = checked(tmp_path, {"pack.yaml": text}).manifest
    assert manifest is not None
    assert manifest.python_dependencies == ("six", "attrs>=22")
    assert manifest.python_version == ">=3.9,<4"


def test_an_example_is_given_once(tmp_path: Path) -> None:
    """A message that gives what was meant as its example does not ask whether it was meant."""
    (missing,) = checked(tmp_path, {"pack.yaml": "ref: demo\n" + TESTING}).problems
    assert str(missing).endswith("There is no version; add a line such as 'version: 0.1.0'")
    assert missing.suggestion == "version: 0.1.0"
    (misspelt,) = checked(tmp_path, {"pack.yaml": HEAD + "versoin: 1.0.0\n" + TESTING}).problems
    assert misspelt.sentence == f"{misspelt.message} (did you mean {misspelt.suggestion!r}?)"
