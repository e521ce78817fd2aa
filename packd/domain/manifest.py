"""What a pack says of itself, after reading: plain values that every later stage trusts."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, Literal

RunnerType = Literal["script", "unittest", "pytest", "node", "jest", "tap", "command"]
ResultFormat = Literal["simple", "json", "junit-xml", "tap"]
DiscoveryMethod = Literal["directory", "manifest", "executable"]
OnFailure = Literal["block", "warn", "ignore"]
ComponentKind = Literal[
    "action",
    "sensor",
    "trigger",
    "rule",
    "workflow",
    "policy",
    "queue",
    "runtime",
    "permission_set",
    "cache",
    "dashboard",
]


@dataclass(frozen=True, kw_only=True)
class Need:
    """Another pack that must be active for this one to be."""

    ref: str
    range: str = "*"  # a semantic-version SimpleSpec, e.g. ">=1.2,<2" or "^1.2"; "*" takes any version

    def __str__(self) -> str:
        return self.ref if self.range == "*" else f"{self.ref} {self.range}"


@dataclass(frozen=True, kw_only=True)
class Suite:
    """One set of tests, run as one process."""

    name: str  # unique within the pack
    runner_type: RunnerType
    entry_point: str | None = None  # file or folder inside the pack; None for `command`
    command: str | None = None  # a shell command line, for `command` and the executable method
    timeout_s: float | None = None  # None takes the daemon's default
    result_format: ResultFormat | None = None  # None: what the runner type yields best
    result_path: str | None = None  # where the pack writes its own report, inside the pack
    requirements: str | None = None  # a requirements file inside the pack, for this suite only
    config: str | None = None  # the runner's own configuration file, inside the pack
    env: tuple[tuple[str, str], ...] = ()  # extra environment variables
    network: bool = False  # asks for the network; honoured only where the daemon allows it


@dataclass(frozen=True, kw_only=True)
class Testing:
    """The `testing:` section."""

    __test__ = False  # the manifest's own word; keeps pytest from collecting it

    enabled: bool = True
    method: DiscoveryMethod = "directory"
    path: str = "tests"  # where `directory` looks, inside the pack
    suites: tuple[Suite, ...] = ()  # declared by `runners`, `discovery.tests` or `discovery.command`
    parallel: bool = False  # all suites at once, each in a copy of its own; otherwise one after another
    min_pass_rate: float = 1.0  # 0..1
    on_failure: OnFailure = "block"
    result_format: ResultFormat | None = None  # for suites found by convention
    result_path: str | None = None


@dataclass(frozen=True, kw_only=True)
class Component:
    """One action, sensor, workflow, … of a revision."""

    kind: ComponentKind
    ref: str  # full: "<pack>.<name>"
    label: str
    description: str = ""
    path: str  # its metadata file inside the pack
    runner_type: str | None = None  # actions and sensors
    entry_point: str | None = None  # path inside the pack, actions and sensors


@dataclass(frozen=True, kw_only=True)
class Manifest:
    """A pack.yaml and its components, read and checked."""

    ref: str
    version: str  # SemVer, the author's label; the digest is the identity
    label: str = ""
    description: str = ""
    enabled: bool = True
    needs: tuple[Need, ...] = ()  # other packs
    python_version: str | None = None  # a version range for the interpreter that runs the tests
    nodejs_version: str | None = None
    python_dependencies: tuple[str, ...] = ()  # packages from an index, as in a requirements file, one each
    testing: Testing | None = None
    components: tuple[Component, ...] = ()
    fields: dict[str, Any] = field(default_factory=dict)  # everything pack.yaml says, known or not, to be shown

    def component_counts(self) -> dict[str, int]:
        """Plural kind → number, e.g. {"actions": 3, "workflows": 1}; kinds without members are absent."""
        counts: dict[str, int] = {}
        for component in self.components:
            kinds = plural(component.kind)
            counts[kinds] = counts.get(kinds, 0) + 1
        return counts


def plural(kind: str) -> str:
    """A kind of component as the key of a count: "actions", "policies"."""
    return f"{kind[:-1]}ies" if kind.endswith("cy") else f"{kind}s"
