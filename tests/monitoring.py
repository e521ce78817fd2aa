"""What is shipped in `config/` for Prometheus and Grafana, taken apart."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import yaml

CONFIG = Path(__file__).parents[1] / "config"
ALERTS = CONFIG / "prometheus-alerts.yaml"
DASHBOARD = CONFIG / "grafana-dashboard.json"

_VARIABLES = {"$__rate_interval": "5m", "$instance": ".*"}
_MATCHER = re.compile(r"(packd_\w+)\{([^}]*)\}")
_SUFFIX = re.compile(r"_(total|bucket|sum|count|created|info)$")


def alerts() -> list[dict[str, Any]]:
    groups: list[dict[str, Any]] = yaml.safe_load(ALERTS.read_text())["groups"]
    return [rule for group in groups for rule in group["rules"]]


def dashboard() -> dict[str, Any]:
    loaded: dict[str, Any] = json.loads(DASHBOARD.read_text())
    return loaded


def panels() -> list[dict[str, Any]]:
    """Without the titles of rows."""
    return [panel for panel in dashboard()["panels"] if panel["type"] != "row"]


def dashboard_expressions() -> Iterator[str]:
    """As Prometheus gets them: every variable has a value."""
    shown = dashboard()
    asked = [target["expr"] for panel in panels() for target in panel["targets"]]
    for expression in [*asked, *(one["expr"] for one in shown["annotations"]["list"])]:
        yield re.sub(r"\$\w+", lambda found: _VARIABLES.get(found[0], found[0]), expression)


def asked() -> set[str]:
    """Every metric that a panel or an alert asks for, by its family's name."""
    text = " ".join([*dashboard_expressions(), *(rule["expr"] for rule in alerts()), *_listed()])
    return {family(name) for name in re.findall(r"\b(?:packd|process)_[a-z_]+", text)}


def matched() -> Iterator[tuple[str, str, str]]:
    """(metric, label, value) of every label that a panel or an alert wants to have one value."""
    for expression in [*dashboard_expressions(), *(rule["expr"] for rule in alerts())]:
        for metric, inside in _MATCHER.findall(expression):
            for label, value in re.findall(r'(\w+)!?="([^"]*)"', inside):
                yield metric, label, value


def family(name: str) -> str:
    return _SUFFIX.sub("", name)


def _listed() -> list[str]:
    return [str(one.get("definition", "")) for one in dashboard()["templating"]["list"]]
