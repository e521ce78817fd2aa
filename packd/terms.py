"""What the settings mean to each room, as plain values: rooms never see the settings themselves."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from packd.config import in_force
from packd.domain.cron import Cron
from packd.domain.cron import parse as parse_cron
from packd.domain.deliveries import Rules
from packd.domain.retention import Terms
from packd.flow.fetching import FetchTerms
from packd.flow.policy import Policy
from packd.flow.sweep import Ages
from packd.registry.rows import Endpoint
from packd.sources.catalogue import Indexes, IndexSite
from packd.testrun.interpreters import Interpreters, node_version, python_path
from packd.testrun.ladder import Footing, suite_user
from packd.testrun.limits import Limits as RunLimits
from packd.validate.findings import Runtime

if TYPE_CHECKING:
    from collections.abc import Collection

    from packd.config import Settings, Webhook

_MIB: Final = 1024 * 1024
_DAY_S: Final = 86_400.0


def shown_settings(started: Settings, loaded: Settings, waiting: Collection[str] = ()) -> list[dict[str, Any]]:
    """What is in force, where `loaded` was read after `started` and the keys in `waiting` need a restart."""
    return [setting._asdict() for setting in in_force(started, loaded, waiting)]


def configured_endpoints(settings: Settings) -> list[Endpoint]:
    """The endpoints of the configuration file, as the registry keeps them."""
    return [_endpoint(webhook) for webhook in settings.webhooks]


def delivery_rules(settings: Settings) -> Rules:
    """How often a webhook is tried, and when an endpoint is given up."""
    return Rules(
        schedule=settings.delivery.schedule_s,
        jitter=settings.delivery.jitter,
        disable_after_s=settings.delivery.disable_after_days * _DAY_S,
    )


def fetch_terms(settings: Settings) -> FetchTerms:
    """What fetching packs and indexes keeps to."""
    return FetchTerms(
        timeout_s=settings.sources.timeout_s,
        max_bytes=settings.limits.bytes_mb * _MIB,
        max_files=settings.limits.files,
        allow_private=settings.sources.allow_private,
        allow=tuple(one for one in settings.sources.allow if "://" in one),
    )


def pack_indexes(settings: Settings) -> Indexes:
    """The configured indexes, with the copies of them that are kept."""
    sites = [
        IndexSite(name=index.called(), url=index.address(), priority=index.priority)
        for index in settings.sources.indexes
    ]
    return Indexes(sites, cache=settings.state_dir / "indexes")


def readable_roots(settings: Settings) -> tuple[Path, ...]:
    """The folders of which everybody who may register may have content read."""
    return tuple(Path(one) for one in settings.sources.allow if "://" not in one)


def footing(settings: Settings) -> Footing:
    """What the rungs of the isolation ladder stand on. Raises NoRung when there is no user `tests.user`."""
    return Footing(
        folder=settings.state_dir / "sandbox",
        someone=suite_user(settings.tests.user),
        hidden=(settings.state_dir, settings.packs_dir),
        state=settings.state_dir,
        python=python_path(settings.tests.python),
        must_become=settings.tests.user is not None,
    )


def policy_of(settings: Settings, interpreters: Interpreters) -> Policy:
    """The choices that decide about packs."""
    limits = settings.tests.limits
    return Policy(
        tests_required=settings.tests.required,
        suite_timeout_s=settings.tests.timeout_s,
        run_limits=RunLimits(
            memory_mb=limits.memory_mb,
            processes=limits.processes,
            disk_mb=limits.disk_mb,
            output_kb=limits.output_kb,
            cpu_s=limits.cpu_s,
        ),
        allow_network=settings.tests.network == "allow",
        runtime=Runtime(python=interpreters.default.version, node=node_version(), other_pythons=interpreters.versions),
    )


def revalidation_moment(settings: Settings) -> Cron | None:
    """When packs in use are tested again."""
    return parse_cron(settings.tests.revalidate) if settings.tests.revalidate else None


def retention_terms(settings: Settings) -> Terms:
    """Which content stays."""
    kept = settings.retention
    return Terms(revisions=kept.revisions, failed_hours=kept.failed_hours, pinned=kept.pinned)


def retention_ages(settings: Settings) -> Ages:
    """How long what is told and reported stays."""
    return Ages(events_days=settings.retention.events_days, reports_days=settings.retention.reports_days)


def _endpoint(webhook: Webhook) -> Endpoint:
    return Endpoint(
        name=webhook.name,
        url=str(webhook.url),
        secret=webhook.signing_secret(),
        types=webhook.types,
        packs=webhook.packs,
        ordering=webhook.ordering,
        state="enabled",
        state_reason=None,
        origin="config",
        allow_private=webhook.allow_private,
        timeout_s=webhook.timeout_s,
        headers=tuple((name, value.get_secret_value()) for name, value in webhook.headers.items()),
        format=webhook.format,
        rate=webhook.rate,
        tls=webhook.certificates(),
    )
