"""The `testing:` section: which suites there are and what decides. Pure."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any, Final, cast, get_args

from packd.domain.manifest import DiscoveryMethod, OnFailure, ResultFormat, Suite, Testing
from packd.validate.convention import LOOKED_FOR, suites_by_convention
from packd.validate.fields import inside, shown
from packd.validate.suites import (
    NAME_RULE,
    RESULT_FORMATS,
    RUNNER_TYPES,
    Surroundings,
    checked_command,
    checked_path,
    checked_timeout,
    is_name,
    meant_runner,
    runner_suite,
)

if TYPE_CHECKING:
    from collections.abc import Iterable

    from packd.validate.fields import Section
    from packd.validate.findings import Files, NoTests

_KEYS: Final = (
    "enabled",
    "discovery",
    "runners",
    "result_format",
    "result_path",
    "min_pass_rate",
    "on_failure",
    "parallel",
)
_DISCOVERY_KEYS: Final = ("method", "path", "tests", "command", "timeout")
_ENTRY_KEYS: Final = ("name", "runner", "command", "timeout", "entry_point")
_METHODS: Final[tuple[str, ...]] = get_args(DiscoveryMethod)
_ON_FAILURE: Final[tuple[str, ...]] = get_args(OnFailure)


def testing(manifest: Section, files: Files) -> Testing | None:
    """The section as a value; None when there is none or nothing can be made of it."""
    section = manifest.section("testing", "testing.invalid_field")
    if section is None:
        return None
    section.unknown(_KEYS, "testing.unknown_key", "testing")
    discovery = section.section("discovery") or section.below({}, "discovery")
    discovery.unknown(_DISCOVERY_KEYS, "testing.unknown_key", "discovery")
    told = len(section.problems)
    around = Surroundings(files=files, path=_path(discovery), enabled=section.flag("enabled", default=True))
    method = discovery.choice("method", _METHODS, "testing.unknown_method") or "directory"
    runners = section.section("runners")
    understood = len(section.problems) == told
    rate = _min_pass_rate(section)
    return Testing(
        enabled=around.enabled,
        method=cast("DiscoveryMethod", method),
        path=around.path or ".",
        suites=_suites(discovery, method, runners, around, understood=understood),
        parallel=section.flag("parallel", default=False),
        min_pass_rate=rate,
        on_failure=cast(
            "OnFailure", section.choice("on_failure", _ON_FAILURE, "testing.unknown_on_failure") or "block"
        ),
        result_format=cast(
            "ResultFormat | None", section.choice("result_format", RESULT_FORMATS, "testing.unknown_result_format")
        ),
        result_path=checked_path(section, "result_path"),
    )


def no_tests(manifest: Section, testing: Testing | None) -> NoTests | None:
    """Why no suite would be run even if the section `testing` had some; a section that can't be read says nothing of it."""
    if "testing" not in manifest:
        return "missing"
    return "disabled" if testing is not None and not testing.enabled else None


def _path(discovery: Section) -> str:
    """Where `directory` looks; "" is the pack's own folder."""
    path = inside(discovery.text("path") or "tests")
    if path is None:
        message = f"The path {shown(discovery.value['path'])!r} does not stay inside the pack; give a path from its top"
        discovery.complain("testing.invalid_path", message, "path")
    return "" if path == "." else path or "tests"


def _min_pass_rate(section: Section) -> float:
    rate = section.number("min_pass_rate")
    if rate is None:
        return 1.0
    if 0 <= rate <= 1:
        return float(rate)
    message = "min_pass_rate is a share between 0.0 and 1.0 (1.0: every test must pass)"
    meant = f"{rate / 100:g}" if 1 < rate <= 100 else None
    section.complain("testing.invalid_pass_rate", message, "min_pass_rate", suggestion=meant)
    return 1.0


def _suites(
    discovery: Section, method: str, runners: Section | None, around: Surroundings, *, understood: bool
) -> tuple[Suite, ...]:
    """`understood`: what says where suites are has no mistake, so that finding none is one by itself."""
    declared = _of_runners(runners, around) if runners else {}
    if method == "manifest":
        return tuple(_of_manifest(discovery, declared, runners, around))
    if method == "executable":
        return tuple(_of_executable(discovery, runners))
    if runners is not None and runners.value:
        return tuple(declared.values())
    return _of_directory(discovery, around, understood=understood)


def _of_runners(runners: Section, around: Surroundings) -> dict[str, Suite]:
    suites = {}
    for name in runners.value:
        if not is_name(name):
            runners.complain("testing.invalid_name", f"A runner needs a name {NAME_RULE}", name, key=True)
        one = runners.section(name)
        if one is None:
            if runners.value[name] is None:
                runners.complain("testing.invalid_field", f"The runner {shown(name)!r} is empty; give it a type", name)
            continue
        suite = runner_suite(one, name, around)
        if suite is not None:
            suites[name] = suite
    return suites


def _of_directory(discovery: Section, around: Surroundings, *, understood: bool) -> tuple[Suite, ...]:
    folder = around.files.kind(around.path or ".")
    files = around.files.under(around.path) if folder == "folder" else ()
    suites = suites_by_convention(around.path, files, around.files.source)
    if not suites and around.enabled and understood:
        where = repr(f"{around.path or '.'}/")
        found = f"{where} holds none of them" if folder == "folder" else f"there is no folder {where}"
        message = f"No tests were found: looked for {', '.join(LOOKED_FOR)}, and {found}; add one, or declare runners"
        discovery.complain("testing.no_suites", message, "path")
    return suites


def _of_executable(discovery: Section, runners: Section | None) -> Iterable[Suite]:
    if runners is not None and runners.value:
        message = "runners are not used with the method executable, which runs its command"
        runners.warn("testing.unknown_key", message, key=True)
    command = checked_command(discovery)
    timeout = checked_timeout(discovery)
    if command is not None:
        yield Suite(name="executable", runner_type="command", command=command, timeout_s=timeout)
    elif discovery.value.get("command") is None:
        message = "The method executable needs a command; add a line such as 'command: make test'"
        discovery.missing("testing.missing_command", message, "command")


def _of_manifest(
    discovery: Section, declared: dict[str, Suite], runners: Section | None, around: Surroundings
) -> Iterable[Suite]:
    items = discovery.items("tests")
    if not items:
        if "tests" not in discovery or items is not None:
            message = "The method manifest needs a list of tests, each like {name: …, runner: …, command: …}"
            discovery.missing("testing.no_suites", message, "tests")
        return
    seen: set[str] = set()
    for index, item in enumerate(items):
        if not isinstance(item, dict):
            discovery.complain("testing.invalid_field", "A test is written like {name: …, command: …}", "tests", index)
            continue
        entry = discovery.below(item, "tests", index)
        name = _entry_name(entry, seen)
        suite = _entry_suite(entry, name, declared, runners.value if runners else {}, around)
        if suite is not None:
            yield suite


def _entry_name(entry: Section, seen: set[str]) -> str:
    name = entry.text("name")
    if not name or not name.strip():
        if "name" not in entry or name is not None:
            message = "This test has no name; add 'name: …', under which its report is shown"
            entry.missing("testing.missing_name", message, "name")
        return ""
    if not is_name(name):
        entry.complain("testing.invalid_name", f"A test needs a name {NAME_RULE}", "name")
    elif name in seen:
        entry.complain("testing.duplicate_name", f"Two tests are named {shown(name)!r}; give each its own name", "name")
    seen.add(name)
    return name


def _entry_suite(
    entry: Section, name: str, declared: dict[str, Suite], runners: dict[str, Any], around: Surroundings
) -> Suite | None:
    """A command line, or a runner type with an entry_point, or a runner of `runners` under a name of its own."""
    entry.unknown(_ENTRY_KEYS, "testing.unknown_key", "a test")
    runner = entry.text("runner")
    settings = declared.get(runner or "")
    if "command" in entry:
        return _entry_command(entry, name, runner, settings)
    if settings is not None and "entry_point" not in entry:
        own = checked_timeout(entry)
        return replace(settings, name=name, timeout_s=settings.timeout_s if own is None else own)
    if runner in RUNNER_TYPES or settings is not None:
        own_keys = {key: entry.value[key] for key in ("entry_point", "timeout") if key in entry}
        runner_type = settings.runner_type if settings else runner
        found = runner_suite(entry.below({"type": runner_type, **own_keys}), name, around)
        if found is None or settings is None:
            return found
        return replace(settings, name=name, entry_point=found.entry_point, command=None, timeout_s=found.timeout_s)
    if runner is None and "runner" not in entry:
        message = "This test has no command; add a line such as 'command: make test'"
        entry.missing("testing.missing_command", message, "command")
    elif runner is not None and runner not in runners:  # what is wrong with a declared runner was said there
        message = f"{shown(runner)!r} is neither a runner type ({', '.join(RUNNER_TYPES)}) nor one of runners"
        entry.complain("testing.unknown_runner", message, "runner", suggestion=meant_runner(entry, runner))
    return None


def _entry_command(entry: Section, name: str, runner: str | None, settings: Suite | None) -> Suite | None:
    """With a command `runner` is a label, except that the output of `tap` is read as such."""
    command, timeout = checked_command(entry), checked_timeout(entry)
    if command is None:
        return None
    is_tap = runner == "tap" or (settings is not None and settings.runner_type == "tap")
    base = settings or Suite(name=name, runner_type="command")
    return replace(
        base,
        name=name,
        runner_type="tap" if is_tap else "command",
        command=command,
        entry_point=None,
        timeout_s=base.timeout_s if timeout is None else timeout,
    )
