"""Component files: refs, programs that exist, references that lead somewhere; and a whole broken pack."""

from __future__ import annotations

from pathlib import Path

import pytest

from packd.validate.findings import Findings, Runtime
from packd.validate.load import check

HEAD = "ref: demo\nversion: 1.0.0\n"
ACTION = "ref: demo.run\nrunner_type: shell\nentry_point: run.sh\n"


def checked(tree: Path, files: dict[str, str], head: str = HEAD) -> Findings:
    for name, content in {"pack.yaml": head, **files}.items():
        (tree / name).parent.mkdir(parents=True, exist_ok=True)
        (tree / name).write_text(content)
    return check(tree, name="demo", runtime=Runtime(python="3.11.7"))


def places(findings: Findings) -> list[str]:
    """Each problem as `code file:line:column → suggestion`, the parts that it has."""
    lines = []
    for problem in findings.problems:
        where = ":".join(str(part) for part in (problem.file, problem.line, problem.column) if part is not None)
        lines.append(f"{problem.code} {where}" + (f" → {problem.suggestion}" if problem.suggestion else ""))
    return lines


@pytest.mark.parametrize(
    ("path", "words"), [("actions/a.yaml", "an action"), ("permission_sets/a.yaml", "a permission set")]
)
def test_an_empty_file_is_told_what_it_describes(tmp_path: Path, path: str, words: str) -> None:
    """With the article that the word takes."""
    (problem,) = checked(tmp_path, {path: ""}).problems
    assert f"; {words} is described by lines of 'key: value'" in problem.message


@pytest.mark.parametrize(
    ("path", "text", "expected"),
    [
        ("triggers/a.yaml", "", ["component.not_object triggers/a.yaml:1:1"]),
        ("triggers/a.yaml", "- x\n", ["component.not_object triggers/a.yaml:1:1"]),
        ("triggers/a.yaml", "ref: [demo\n", ["metadata.invalid_yaml triggers/a.yaml:1:6"]),
        ("triggers/a.yaml", "ref: demo.a\nref: demo.b\n", ["metadata.duplicate_key triggers/a.yaml:2:1"]),
        ("triggers/a.yaml", "label: A\n", ["component.invalid_ref triggers/a.yaml:1:1 → ref: demo.a"]),
        ("triggers/New One.yaml", "label: A\n", ["component.invalid_ref triggers/New One.yaml:1:1 → ref: demo.new_one"]),
        ("triggers/é.yaml", "label: A\n", ["component.invalid_ref triggers/é.yaml:1:1 → ref: demo.name"]),
        ("triggers/a.yaml", "reff: demo.a\n", ["component.invalid_ref triggers/a.yaml:1:1 → ref"]),
        ("triggers/a.yaml", "ref: demo.New One\n", ["component.invalid_ref triggers/a.yaml:1:6 → demo.new_one"]),
        ("triggers/a.yaml", "ref: demo..x\n", ["component.invalid_ref triggers/a.yaml:1:6"]),
        ("triggers/a.yaml", "ref: 3\n", ['component.invalid_ref triggers/a.yaml:1:6 → "3"']),
        ("triggers/a.yaml", "ref: other.a\n", ["component.ref_pack_mismatch triggers/a.yaml:1:6 → demo.a"]),
        ("triggers/a.yaml", "name: a\npack: other\n", ["component.ref_pack_mismatch triggers/a.yaml:2:7 → demo"]),
        ("triggers/a.yaml", "name: My Trigger\n", ["component.invalid_ref triggers/a.yaml:1:7 → ref: demo.a"]),
        ("triggers/a.yaml", "ref: demo.a\nlabel: 3\n", ['component.invalid_field triggers/a.yaml:2:8 → "3"']),
        ("triggers/a.yaml", "ref: demo.a\nenabled: maybe\n", ["component.invalid_field triggers/a.yaml:2:10"]),
        ("actions/a.yaml", "ref: demo.a\nentry_point: run.sh\n", ["action.runner_type actions/a.yaml:1:1"]),
        ("actions/a.yaml", "ref: demo.a\nrunner_typ: shell\nentry_point: run.sh\n", ["action.runner_type actions/a.yaml:2:1 → runner_type"]),
        ("actions/a.yaml", "ref: demo.a\nrunner_type: 3\nentry_point: run.sh\n", ['action.runner_type actions/a.yaml:2:14 → "3"']),
        ("actions/a.yaml", "ref: demo.a\nrunner_type: shell\n", ["action.entrypoint actions/a.yaml:1:1"]),
        ("actions/a.yaml", "ref: demo.a\nrunner_type: shell\nentrypoint: run.sh\n", ["action.entrypoint actions/a.yaml:3:1 → entry_point"]),
        ("actions/a.yaml", "ref: demo.a\nrunner_type: shell\nentry_point: runn.sh\n", ["action.entrypoint actions/a.yaml:3:14 → run.sh"]),
        ("actions/a.yaml", "ref: demo.a\nrunner_type: shell\nentry_point: actions/run.sh\n", ["action.entrypoint actions/a.yaml:3:14 → run.sh"]),
        ("actions/a.yaml", "ref: demo.a\nrunner_type: shell\nentry_point: ../../etc/passwd\n", ["action.entrypoint actions/a.yaml:3:14"]),
        ("actions/a.yaml", "ref: demo.a\nrunner_type: shell\nentry_point: /bin/sh\n", ["action.entrypoint actions/a.yaml:3:14"]),
        ("actions/a.yaml", "ref: demo.a\nrunner_type: native\n", ["action.entrypoint actions/a.yaml:1:1"]),
        ("actions/a.yaml", "ref: demo.a\nrunner_type: native\nentry_point: some-program\n", []),
        ("actions/a.yaml", "name: a\nrunner_type: local-shell-cmd\nentry_point: ''\n", []),
        ("actions/a.yaml", "ref: demo.a\nworkflow_file: workflows/w.yaml\n", ["action.workflow_missing actions/a.yaml:2:16"]),
        ("actions/a.yaml", "name: a\nrunner_type: orquesta\nentry_point: workflows/w.yaml\n", ["action.workflow_missing actions/a.yaml:3:14"]),
        ("actions/a.yaml", "name: a\nrunner_type: action-chain\n", ["action.workflow_missing actions/a.yaml:1:1"]),
        ("sensors/a.yaml", "ref: demo.a\nrunner_type: python\nentry_point: no.py\n", ["sensor.entrypoint sensors/a.yaml:3:14"]),
        ("sensors/a.yaml", "ref: demo.a\n", ["sensor.entrypoint sensors/a.yaml:1:1", "sensor.runner_type sensors/a.yaml:1:1"]),
        ("sensors/a.yaml", "class_name: A\nname: a\nentry_point: ../actions/run.sh\n", []),
        ("sensors/a.yaml", "class_name: A B\nentry_point: ../actions/run.sh\n", ["component.invalid_ref sensors/a.yaml:1:13 → ref: demo.a"]),
        ("sensors/a.yaml", "entry_point: ../actions/run.sh\nclass_name: run\n", ["component.duplicate_ref sensors/a.yaml:2:13"]),
        ("rules/a.yaml", "ref: demo.a\n", ["rule.invalid_reference rules/a.yaml:1:1", "rule.invalid_reference rules/a.yaml:1:1"]),
        ("rules/a.yaml", "ref: a\ntrigger_ref: core.x\naction_reff: core.y\n", ["rule.invalid_reference rules/a.yaml:3:1 → action_ref"]),
        ("rules/a.yaml", "ref: a\ntrigger_ref: core..x\naction_ref: 'core.y z'\n", ["rule.invalid_reference rules/a.yaml:2:14", "rule.invalid_reference rules/a.yaml:3:13"]),
        ("rules/a.yaml", "ref: a\ntrigger: {type: [x]}\naction: {}\n", ["rule.invalid_reference rules/a.yaml:2:17", "rule.invalid_reference rules/a.yaml:3:1"]),
        ("rules/a.yaml", "name: a\ntrigger: {type: core.st2.webhook}\naction: {ref: core.local}\n", []),
        ("rules/a.yaml", "ref: a\ntrigger_ref: core.x\naction_ref: demo.nun\n", ["reference.missing_local_target rules/a.yaml:3:13 → demo.run"]),
        ("rules/a.yaml", "ref: a\ntrigger_ref: demo.run\naction_ref: run\n", ["reference.missing_local_target rules/a.yaml:2:14"]),
        ("sensors/a.yaml", "name: a\nclass_name: A\nentry_point: ../actions/run.sh\ntrigger_types: [demo.t, other.u]\n", ["reference.missing_local_target sensors/a.yaml:4:17"]),
        ("policies/a.yaml", "ref: a\naction_ref: demo.gone\n", ["reference.missing_local_target policies/a.yaml:2:13"]),
        ("queues/a.yaml", "ref: a\ndispatch_action: gone\n", ["reference.missing_local_target queues/a.yaml:2:18"]),
        ("caches/a.yaml", "ref: demo.a\nowner_type: sensor\nowner_ref: demo.run\n", ["reference.missing_local_target caches/a.yaml:3:12"]),
        ("workflows/a.yaml", "ref: demo.a\ntasks:\n  - {name: x, tasks: [{action: demo.gone}]}\n", ["reference.missing_local_target workflows/a.yaml:3:32"]),
        ("actions/workflows/a.yaml", "version: 1.0\ntasks:\n  t: {action: demo.gone x=1}\n  u: {action: '{{ x }}'}\n", ["reference.missing_local_target actions/workflows/a.yaml:3:15"]),
        ("runtimes/a.yml", "ref: demo.run\n", ["component.duplicate_ref runtimes/a.yml:1:6"]),
        ("actions/b.yaml", ACTION, ["component.duplicate_ref actions/run.yaml:1:6"]),
        ("action/a.yaml", "ref: demo.a\n", ["component.unknown_folder action → actions"]),
        ("triggers", "not a folder", ["component.no_folder triggers"]),
        ("triggers/readme.md", "anything", []),
        ("triggers/deeper/a.yaml", "[", []),
    ],
)  # fmt: skip
def test_one_mistake(tmp_path: Path, path: str, text: str, expected: list[str]) -> None:
    """Beside a sound action, one file with a mistake gives its code, place and suggestion, and nothing else."""
    findings = checked(tmp_path, {"actions/run.yaml": ACTION, "actions/run.sh": "", path: text})
    assert places(findings) == expected


def test_each_folder_has_its_kind(tmp_path: Path) -> None:
    """In `.yaml` and `.yml` files, counted under the kind's plural."""
    files = {
        "actions/a.yaml": "ref: a\nrunner_type: native\nentry_point: a\n",
        "actions/workflows/b.yml": "ref: b\n",
        "caches/c.yml": "ref: c\n",
        "dashboards/d.yaml": "ref: d\n",
        "permission_sets/e.yaml": "ref: e\n",
        "policies/f.yaml": "ref: f\n",
        "queues/g.yml": "ref: g\n",
        "rules/h.yaml": "ref: h\ntrigger_ref: core.x\naction_ref: core.y\n",
        "runtimes/i.yaml": "ref: i\n",
        "sensors/j.yml": "ref: j\nrunner_type: native\nentry_point: j\n",
        "triggers/k.yaml": "ref: k\n",
        "workflows/l.yaml": "ref: l\n",
    }
    findings = checked(tmp_path, files)
    assert findings.problems == ()
    assert findings.manifest is not None
    assert {one.path: one.ref for one in findings.manifest.components} == {
        path: text.splitlines()[0].replace("ref: ", "demo.") for path, text in files.items()
    }
    counts = findings.manifest.component_counts()
    assert counts.pop("workflows") == 2
    assert counts == dict.fromkeys(
        (
            "actions",
            "caches",
            "dashboards",
            "permission_sets",
            "policies",
            "queues",
            "rules",
            "runtimes",
            "sensors",
            "triggers",
        ),
        1,
    )


def test_components_of_a_stackstorm_pack(tmp_path: Path) -> None:
    """`name` and `pack`, sensors that go by their class, workflows without a ref of their own, and triggers that a sensor defines are understood."""
    findings = checked(
        tmp_path,
        {
            "actions/run.yaml": "name: kv.Run\npack: demo\nrunner_type: python-script\nentry_point: run.py\n",
            "actions/run.py": "",
            "actions/flow.yaml": "name: flow\nrunner_type: orquesta\nentry_point: workflows/flow.yaml\n",
            "actions/workflows/flow.yaml": "version: 1.0\ntasks:\n  one:\n    action: demo.kv.Run\n    next: []\n",
            "sensors/s.yaml": "class_name: HostSensor\nentry_point: s.py\ntrigger_types:\n  - name: event\n",
            "sensors/s.py": "",
            "rules/r.yaml": "name: r\ntrigger: {type: demo.event}\naction: {ref: demo.flow}\n",
        },
        head="name: demo\nversion: 0.1.0\n",
    )
    assert findings.problems == ()
    assert findings.manifest is not None
    assert [(one.kind, one.ref, one.entry_point) for one in findings.manifest.components] == [
        ("action", "demo.flow", "actions/workflows/flow.yaml"),
        ("action", "demo.kv.Run", "actions/run.py"),
        ("workflow", "demo.flow", None),
        ("sensor", "demo.HostSensor", "sensors/s.py"),
        ("rule", "demo.r", None),
    ]
    assert findings.manifest.component_counts() == {"actions": 2, "workflows": 1, "sensors": 1, "rules": 1}


def test_an_action_and_its_workflow_may_share_a_ref(tmp_path: Path) -> None:
    """The two files are one thing, whichever of them names it; any third is a duplicate."""
    files = {
        "actions/go.yaml": "ref: demo.go\nworkflow_file: workflows/go.workflow.yaml\n",
        "actions/workflows/go.workflow.yaml": "ref: demo.go\nlabel: Go\ntasks: []\n",
    }
    assert checked(tmp_path, files).problems == ()
    assert places(checked(tmp_path, {"workflows/go.yaml": "ref: demo.go\n"})) == [
        "component.duplicate_ref workflows/go.yaml:1:6"
    ]


def test_what_could_not_be_read_is_not_also_missing(tmp_path: Path) -> None:
    """A reference to a component whose file is broken is no second problem."""
    files = {
        "rules/r.yaml": "ref: demo.r\ntrigger_ref: demo.new\naction_ref: demo.run\n",
        "triggers/new.yaml": "ref: [\n",
        "sensors/s.yaml": "class_name: S\ntrigger_types: [\n",
        "rules/of_sensor.yaml": "ref: demo.of_sensor\ntrigger_ref: demo.event\naction_ref: demo.run\n",
        "actions/run.yaml": "label: no ref\nrunner_type: shell\nentry_point: run.sh\n",
        "actions/run.sh": "",
    }
    assert [problem.code for problem in checked(tmp_path, files).problems] == [
        "component.invalid_ref",
        "metadata.invalid_yaml",
        "metadata.invalid_yaml",
    ]


def test_labels_and_descriptions(tmp_path: Path) -> None:
    """A label falls back to the older spelling beside a ref, then to the component's name."""
    findings = checked(
        tmp_path,
        {
            "triggers/a.yaml": "ref: demo.a\nlabel: A!\ndescription: does\n",
            "triggers/b.yaml": "ref: b\nname: Bee\n",
            "triggers/c.yaml": "ref: demo.c\n",
        },
    )
    assert findings.manifest is not None
    assert [(one.ref, one.label, one.description) for one in findings.manifest.components] == [
        ("demo.a", "A!", "does"),
        ("demo.b", "Bee", ""),
        ("demo.c", "c", ""),
    ]


BROKEN = {
    "pack.yaml": """\
# A pack with many mistakes
ref: net-tools
label: Network tools
name: Net Tools
version: 1.0
descripton: Ping and trace
enabled: "yes"
tags:
  - network
  - 8
config: {}
config: {retries: 3}
dependencies:
  packs:
    - {ref: core, version: ">=1.2,<2"}
    - slack>=2
    - net-tools
  python_version: ">=3.13"
testing:
  discovery: {method: directory, path: tests}
  runners:
    shell: {type: shell, entry_point: tests/run_tests.sh, timeout: 0}
    python: {type: unittest, entry_point: tests/test_action.py}
  min_pass_rate: 90
""",
    "tests/run_tests.sh": "#!/bin/sh\n",
    "tests/test_actions.py": "",
    "actions/ping.yaml": "ref: net-tools.ping\nlabel: Ping\nrunner_type: shell\nentry_point: pnig.sh\n",
    "actions/ping.sh": "",
    "actions/trace.yaml": "ref: nettools.trace\nlabel: Trace\nrunner_type: python\nentry_point: trace.py\n",
    "actions/trace.py": "",
    "actions/again.yml": "ref: ping\nrunner_type: shell\nentry_point: ping.sh\n",
    "actions/sweep.yaml": "ref: net-tools.sweep\nrunner_type: orquesta\nentry_point: workflows/sweep.yaml\n",
    "sensors/watch.yaml": "ref: net-tools.watch\n\trunner_type: python\n",
    "triggers/down.yaml": "ref: net-tools.down\nlabel: Host down\n",
    "rules/alert.yaml": "ref: net-tools.alert\ntrigger_ref: net-tools.dwon\naction_ref: slack.post message\n",
    "workflows/list.yaml": "- ping\n- trace\n",
}

EXPECTED = [
    "manifest.ref_differs pack.yaml:2:6",
    "manifest.legacy_conflict pack.yaml:4:1",
    'manifest.invalid_version pack.yaml:5:10 → "1.0.0"',
    "manifest.unknown_key pack.yaml:6:1 → description",
    "manifest.invalid_field pack.yaml:7:10 → true",
    "manifest.invalid_field pack.yaml:10:5",
    "metadata.duplicate_key pack.yaml:12:1",
    "dependency.invalid_ref pack.yaml:16:7 → slack@>=2",
    "dependency.itself pack.yaml:17:7",
    "dependency.python_version pack.yaml:18:19",
    "testing.unknown_runner pack.yaml:22:19 → script",
    "testing.invalid_timeout pack.yaml:22:68",
    "testing.entry_point pack.yaml:23:43 → tests/test_actions.py",
    "testing.invalid_pass_rate pack.yaml:24:18 → 0.9",
    "component.duplicate_ref actions/ping.yaml:1:6",
    "action.entrypoint actions/ping.yaml:4:14 → ping.sh",
    "action.workflow_missing actions/sweep.yaml:3:14",
    "component.ref_pack_mismatch actions/trace.yaml:1:6 → net-tools.trace",
    "reference.missing_local_target rules/alert.yaml:2:14 → net-tools.down",
    "rule.invalid_reference rules/alert.yaml:3:13",
    "metadata.invalid_yaml sensors/watch.yaml:2:1",
    "component.not_object workflows/list.yaml:1:1",
]


def test_messages_are_about_what_was_written(tmp_path: Path) -> None:
    """Nothing is quoted that nobody wrote, and nothing suggested that is there already."""
    rule = "ref: demo.r\ntrigger_ref: core.x\naction_ref: [core.y]\n"
    (tmp_path / "actions").mkdir()
    (tmp_path / "actions/gone.sh").symlink_to("nowhere")
    action = "ref: demo.a\nrunner_type: shell\nentry_point: gone.sh\n"
    first, second = checked(tmp_path, {"actions/a.yaml": action, "rules/r.yaml": rule}).problems
    assert (first.code, first.suggestion) == ("action.entrypoint", None)
    assert second.message.startswith("This does not name an action;")


def test_a_realistic_broken_pack(tmp_path: Path) -> None:
    """All problems of a whole pack come at once, in order, with places and suggestions, and the ref is known."""
    findings = checked(tmp_path, BROKEN)
    assert places(findings) == EXPECTED
    assert (findings.manifest, findings.ref, findings.version) == (None, "net-tools", None)
    assert check(tmp_path, name="demo", runtime=Runtime(python="3.11.7")) == findings


def test_problems_read_as_file_line_column_message(tmp_path: Path) -> None:
    """As text a problem begins with where it is, and ends with what was meant."""
    lines = [str(problem) for problem in checked(tmp_path, BROKEN).problems]
    assert lines[2].startswith("pack.yaml:5:10: YAML reads the version 1.0 as a number; quote it")
    assert lines[2].endswith("(did you mean '\"1.0.0\"'?)")
