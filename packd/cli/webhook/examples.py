"""`packd webhook examples`: what the body of each type of event looks like, made from the models."""

from __future__ import annotations

from typing import Final

import click

from packd.cli.screen import cell, say_json, table
from packd.cli.screen import note as say_note
from packd.domain.failures import Code, Failure

_PLACE: Final = 42  # the endpoint_seq of the example


@click.command("examples")
@click.argument("event_type", metavar="[TYPE]", required=False)
@click.option("--format", "form", type=click.Choice(("standard", "cloudevents")), default="standard")
@click.option("--all", "all_of_them", is_flag=True, help="The bodies of all types, as one JSON object.")
@click.option("--schema", is_flag=True, help="JSON Schema instead of an example.")
@click.option("--json", "as_json", is_flag=True, help="The list of types as JSON; a body is JSON anyway.")
def examples(event_type: str | None, form: str, all_of_them: bool, schema: bool, as_json: bool) -> None:
    """The body of a webhook of this TYPE, or without it the list of types. Needs no daemon.

    \b
    Examples:
      packd webhook examples pack.rolled_back
      packd webhook examples pack.updated --format cloudevents
      packd webhook examples --all > fixtures.json

    Exit status: 0 shown, 1 there is no such type.
    """
    from packd.domain.events import EVENT_TYPES, json_schema

    if event_type is not None and event_type not in EVENT_TYPES:
        raise Failure(Code.NOT_FOUND, f"there is no event type '{event_type}'; `packd webhook examples` lists them")
    if all_of_them or event_type is not None:
        made = {name: json_schema(name) if schema else body(name, form) for name in EVENT_TYPES}
        say_json(made if event_type is None else made[event_type])
        return
    listed = [(name, (model.__doc__ or "").strip()) for name, model in EVENT_TYPES.items()]
    if as_json:
        say_json([{"type": name, "description": means} for name, means in listed])
        return
    table(("TYPE", "MEANS"), [[cell(name, bold=True), cell(means)] for name, means in listed])
    say_note("packd webhook examples TYPE shows the body of one")


def body(event_type: str, form: str) -> object:
    """What an endpoint gets."""
    import json

    from packd.domain.events import example
    from packd.notify.envelope import webhook_body

    text = json.dumps(example(event_type), ensure_ascii=False)
    parsed: object = json.loads(webhook_body(text, _PLACE, form))
    return parsed


COMMANDS: Final = {"examples": examples}
