"""What people ask about webhooks: make, change, try and silence endpoints, and have events sent once more."""

from __future__ import annotations

import secrets
import time
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from difflib import get_close_matches
from ipaddress import ip_address
from typing import TYPE_CHECKING, Any, Final
from urllib.parse import urlsplit

from packd.domain.addresses import refusal
from packd.domain.breaker import WELL, rested
from packd.domain.event_data import WebhookEndpointDisabled, WebhookEndpointEnabled, WebhookTest
from packd.domain.failures import Code, Failure
from packd.domain.masking import masked_url
from packd.flow.endpoints import ROTATION_S
from packd.notify import signature
from packd.notify.tls import BadCertificate, Tls, context
from packd.registry import outbox, queries, redelivery

if TYPE_CHECKING:
    from collections.abc import Mapping

    from sqlalchemy import Connection

    from packd.flow.clock import Clock
    from packd.flow.dispatch import Dispatcher
    from packd.registry.registry import Registry, Writer
    from packd.registry.rows import Delivery, Endpoint

Expect = Callable[["Endpoint"], None]  # raises when the endpoint is not as somebody thinks it is

_UNWANTED: Final = ("removed",)  # states of endpoints that are not there for anybody


@dataclass(frozen=True, kw_only=True)
class Kept:
    """An endpoint, with its secret where that is to be shown: once, to whoever had it made."""

    endpoint: Endpoint
    secret: str | None = field(default=None, repr=False)  # None: it was given, or is not new
    trial: int | None = None  # the delivery of the `webhook.test`


def _anything(_: Endpoint) -> None:
    """However it is."""


class Webhooks:
    """Every method raises Failure: NOT_FOUND, CONFLICT for a state that does not allow it, BAD_REQUEST for a value.

    `expect` is asked in the transaction of the change, so that nobody comes between.
    """

    def __init__(
        self,
        *,
        registry: Registry,
        dispatcher: Dispatcher,
        clock: Clock,
        random: Callable[[int], bytes] = secrets.token_bytes,
    ) -> None:
        self._registry = registry
        self._dispatcher = dispatcher
        self._clock = clock
        self._random = random

    # --- endpoints ---------------------------------------------------------------------------------------------------

    def create(self, wanted: Endpoint, *, scheme: signature.Scheme = "v1") -> Kept:
        """A new endpoint, which is tried with a `webhook.test`; an empty secret is made here and shown once."""
        made = None if wanted.secret else signature.new_secret(scheme, self._random)
        endpoint = replace(wanted, secret=made or wanted.secret)
        _check(endpoint)
        with self._registry.write() as tx:
            known = queries.endpoint(tx.connection, endpoint.name)
            if known is not None and known.state not in _UNWANTED:
                raise Failure(Code.CONFLICT, f"there is an endpoint '{endpoint.name}' already: choose another name")
            outbox.save_endpoint(tx.connection, endpoint)
            redelivery.forget_previous_secret(tx.connection, endpoint.name)
            trial = self._try(tx, endpoint.name)
            kept = Kept(endpoint=_there(tx.connection, endpoint.name), secret=made, trial=trial)
        self._dispatcher.wake()
        return kept

    def change(self, name: str, changes: Mapping[str, Any], *, expect: Expect = _anything) -> Endpoint:
        """Other values for some of its fields; a secret is changed by `rotate`. A URL as it is shown, masked, stays what it is."""
        with self._registry.write() as tx:
            known = _ours(tx.connection, name)
            expect(known)
            changed = replace(known, **changes)
            if changed.url == masked_url(known.url):
                changed = replace(changed, url=known.url)
            _check(changed)
            outbox.save_endpoint(tx.connection, changed)
            endpoint = _there(tx.connection, name)
        self._dispatcher.wake()
        return endpoint

    def remove(self, name: str, *, expect: Expect = _anything) -> None:
        """It gets nothing any more. What it was not told stays in the registry until the events are forgotten."""
        with self._registry.write() as tx:
            expect(_ours(tx.connection, name))
            outbox.set_endpoint_state(tx.connection, [name], state="removed", reason="it was removed")
        self._dispatcher.wake()

    def rotate(self, name: str, *, secret: str | None = None, scheme: signature.Scheme | None = None) -> Kept:
        """Another secret from now on; the one before it signs as well for a day, so that receivers can follow."""
        with self._registry.write() as tx:
            known = _ours(tx.connection, name)
            made = None if secret else signature.new_secret(scheme or scheme_of(known), self._random)
            fresh = secret or made or ""
            _decodes(fresh)
            if fresh == known.secret:
                raise Failure(Code.CONFLICT, f"that is the secret of '{name}' already")
            redelivery.set_secret(tx.connection, known, fresh, previous_until_s=self._clock.now() + ROTATION_S)
            kept = Kept(endpoint=_there(tx.connection, name), secret=made)
        self._dispatcher.wake()
        return kept

    def enable(self, name: str, *, actor: str) -> Endpoint:
        """It gets its events again, the held ones first."""
        with self._registry.write() as tx:
            known = _there(tx.connection, name)
            if known.state == "disabled":
                outbox.set_endpoint_state(tx.connection, [name], state="enabled", reason=None)
                redelivery.set_health(tx.connection, name, WELL)
                outbox.end_pause(tx.connection, name)
                redelivery.release(tx.connection, name)
                self._say(tx, WebhookEndpointEnabled(endpoint=name, actor=actor))
            endpoint = _there(tx.connection, name)
        self._dispatcher.wake()
        return endpoint

    def disable(self, name: str, *, actor: str) -> Endpoint:
        """It gets nothing until it is enabled; its events are held."""
        with self._registry.write() as tx:
            known = _there(tx.connection, name)
            if known.state == "enabled":
                reason = f"disabled by {actor}"
                outbox.set_endpoint_state(tx.connection, [name], state="disabled", reason=reason)
                self._say(tx, WebhookEndpointDisabled(endpoint=name, last_error=reason, actor=actor))
            endpoint = _there(tx.connection, name)
        self._dispatcher.wake()
        return endpoint

    def test(self, name: str, *, wait_s: float) -> Delivery:
        """Send it a `webhook.test` and wait for what comes of the first attempt, but no longer than `wait_s`."""
        with self._registry.write() as tx:
            known = _there(tx.connection, name)
            if known.state != "enabled":
                raise Failure(Code.CONFLICT, f"'{name}' is disabled: `packd webhook enable {name}` first")
            redelivery.set_health(tx.connection, name, rested(known.health, self._clock.now()))
            trial = self._try(tx, name)
        self._dispatcher.wake()
        return self.attempted(trial, wait_s=wait_s)

    def attempted(self, delivery_id: int, *, wait_s: float) -> Delivery:
        """The delivery once it was attempted, or as it is after `wait_s`."""
        deadline = time.monotonic() + wait_s
        seen = self._dispatcher.wait_settled(-1, 0)
        while True:
            with self._registry.read() as connection:
                delivery = _delivery(connection, delivery_id)
            left = deadline - time.monotonic()
            if delivery.attempts or delivery.state != "pending" or left <= 0:
                return delivery
            seen = self._dispatcher.wait_settled(seen, left)

    # --- once more ---------------------------------------------------------------------------------------------------

    def resend(self, delivery_id: int) -> Delivery:
        """One delivery leaves again, with the same bytes and the same id."""
        with self._registry.write() as tx:
            known = _delivery(tx.connection, delivery_id)
            _there(tx.connection, known.endpoint)
            redelivery.send_again(tx.connection, [delivery_id])
            delivery = _delivery(tx.connection, delivery_id)
        self._dispatcher.wake()
        return delivery

    def recover(self, name: str, *, since: str) -> int:
        """Everything since that moment (as it is stored: RFC 3339 in UTC) that has not arrived leaves again; returns how many that are."""
        with self._registry.write() as tx:
            _there(tx.connection, name)
            count = redelivery.send_undelivered(tx.connection, name, since=since)
        self._dispatcher.wake()
        return count

    def replay(self, name: str, *, since: str) -> int:
        """Everything since that moment that it asks for, delivered or not, and also from before it was there."""
        with self._registry.write() as tx:
            _there(tx.connection, name)
            count = tx.tell_again(name, since=since)
        self._dispatcher.wake()
        return count

    # --- parts -------------------------------------------------------------------------------------------------------

    def _try(self, tx: Writer, name: str) -> int:
        event = self._say(tx, WebhookTest(endpoint=name))
        choice = queries.DeliveryChoice(endpoint=name, event_id=event)
        return queries.delivery_page(tx.connection, choice, offset=0, limit=1)[0].id

    def _say(self, tx: Writer, said: WebhookTest | WebhookEndpointEnabled | WebhookEndpointDisabled) -> str:
        return tx.emit(said, correlation_id=self._clock.new_id("chg")).id


def scheme_of(endpoint: Endpoint) -> signature.Scheme:
    """How it is signed for this endpoint, as its secret says."""
    return "v1a" if signature.public_key(endpoint.secret) else "v1"


def _there(connection: Connection, name: str) -> Endpoint:
    endpoint = queries.endpoint(connection, name)
    if endpoint is not None and endpoint.state not in _UNWANTED:
        return endpoint
    near = get_close_matches(name, [one.name for one in queries.all_endpoints(connection)], n=1)
    hint = f"did you mean '{near[0]}'?" if near else "`packd webhook list` shows what there is"
    raise Failure(Code.NOT_FOUND, f"there is no endpoint '{name}'; {hint}")


def _ours(connection: Connection, name: str) -> Endpoint:
    """Only what was made by the API may be changed by it: the file would win at the next start."""
    endpoint = _there(connection, name)
    if endpoint.origin == "config":
        raise Failure(Code.CONFLICT, f"'{name}' is set in the configuration file: change it there")
    return endpoint


def _delivery(connection: Connection, delivery_id: int) -> Delivery:
    delivery = queries.delivery(connection, delivery_id)
    if delivery is None:
        raise Failure(
            Code.NOT_FOUND, f"there is no delivery {delivery_id}; `packd webhook deliveries` shows which are kept"
        )
    return delivery


def _check(endpoint: Endpoint) -> None:
    """What can be known before anything is sent. Where a name leads is found out at each attempt."""
    _decodes(endpoint.secret)
    host = urlsplit(endpoint.url).hostname or ""
    refused = refusal(host, allow_private=endpoint.allow_private) if _is_address(host) else None
    if refused:
        raise Failure(Code.BAD_REQUEST, f"the URL can't be used: {refused}")
    if endpoint.tls:
        try:
            context(Tls(**endpoint.tls))
        except BadCertificate as wrong:
            raise Failure(Code.BAD_REQUEST, str(wrong)) from None


def _decodes(secret: str) -> None:
    try:
        signature.decode(secret)
    except signature.BadSecretError as wrong:
        raise Failure(Code.BAD_REQUEST, str(wrong)) from None


def _is_address(host: str) -> bool:
    try:
        ip_address(host.partition("%")[0])
    except ValueError:
        return False
    return True
