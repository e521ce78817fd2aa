"""`/docs`: the OpenAPI document as one page of plain HTML, made here: nothing is fetched from anywhere, no script runs."""

from __future__ import annotations

import json
from html import escape
from typing import TYPE_CHECKING, Any, Final

from fastapi import APIRouter, Request
from fastapi.responses import HTMLResponse

from packd.api.documentation.openapi import openapi, operations

if TYPE_CHECKING:
    from collections.abc import Iterator

router = APIRouter(include_in_schema=False)

_HEADERS: Final = {
    "Content-Security-Policy": "default-src 'none'; style-src 'unsafe-inline'; frame-ancestors 'none'; base-uri 'none'",
    "X-Content-Type-Options": "nosniff",
    "Cache-Control": "no-cache",
}
_STYLE: Final = """
:root{color-scheme:light dark;--line:#8884;--soft:#8882}
body{font:15px/1.5 system-ui,sans-serif;max-width:62rem;margin:2rem auto;padding:0 1rem}
code,pre{font:13px/1.45 ui-monospace,monospace}pre{background:var(--soft);padding:.7rem;overflow:auto;border-radius:4px}
details{border:1px solid var(--line);border-radius:4px;margin:.35rem 0}details>*:not(summary){margin-left:1rem;margin-right:1rem}
summary{cursor:pointer;padding:.35rem .6rem}summary b{display:inline-block;min-width:4.2rem}
details details{margin:.35rem 1rem}table{border-collapse:collapse;margin-bottom:.7rem}
td,th{text-align:left;vertical-align:top;padding:.15rem .8rem .15rem 0;border-bottom:1px solid var(--line)}
h2{margin-top:2rem}.said{opacity:.75}nav a{margin-right:.9rem}
"""


@router.get("/docs")
def show_docs(request: Request) -> HTMLResponse:
    """Every path with its parameters, an example of every answer, and every webhook."""
    return HTMLResponse(page(openapi(request.app)), headers=_HEADERS)


def page(document: dict[str, Any]) -> str:
    """The whole page."""
    info = document["info"]
    rooms: dict[str, list[str]] = {}
    for method, path, operation in operations(document):
        rooms.setdefault((operation.get("tags") or ["other"])[0], []).append(_operation(method, path, operation))
    told = [_operation("EVENT", name, item["post"]) for name, item in document["webhooks"].items()]
    rooms["events that are sent"] = told
    links = "".join(f'<a href="#{_anchor(room)}">{escape(room)}</a>' for room in rooms)
    sections = "".join(
        f'<h2 id="{_anchor(room)}">{escape(room)}</h2>{"".join(entries)}' for room, entries in rooms.items()
    )
    return (
        f'<!doctype html><html lang="en"><head><meta charset="utf-8"><title>{escape(info["title"])} API</title>'
        f'<meta name="viewport" content="width=device-width"><style>{_STYLE}</style></head><body>'
        f"<h1>{escape(info['title'])} {escape(info['version'])}</h1>{_paragraphs(info.get('description', ''))}"
        f'<p>For machines: <a href="/openapi.json">/openapi.json</a></p><nav>{links}</nav>{sections}</body></html>'
    )


def _operation(method: str, path: str, operation: dict[str, Any]) -> str:
    said = operation.get("description") or operation.get("summary") or ""
    parts = [
        f"<details><summary><b>{method}</b> <code>{escape(path)}</code> "
        f'<span class="said">{escape(said.partition(chr(10))[0])}</span></summary>',
        _paragraphs(said),
        _parameters(operation.get("parameters", [])),
        *_body(operation.get("requestBody", {})),
        *_answers(operation["responses"]),
        "</details>",
    ]
    return "".join(parts)


def _parameters(parameters: list[dict[str, Any]]) -> str:
    if not parameters:
        return ""
    rows = "".join(
        f"<tr><td><code>{escape(one['name'])}</code></td><td>{escape(one['in'])}</td>"
        f"<td><code>{escape(json.dumps(one.get('example')))}</code></td><td>{escape(one.get('description', ''))}</td></tr>"
        for one in parameters
    )
    return f"<table><tr><th>parameter</th><th>in</th><th>e.g.</th><th></th></tr>{rows}</table>"


def _body(body: dict[str, Any]) -> Iterator[str]:
    for kind, content in body.get("content", {}).items():
        shown = content.get("example")
        yield f"<p>Sent as <code>{escape(kind)}</code>:</p>"
        yield _json(shown if shown is not None else content["schema"])


def _answers(responses: dict[str, Any]) -> Iterator[str]:
    for status, answer in responses.items():
        content = next(iter(answer.get("content", {}).items()), None)
        yield f"<details><summary><b>{escape(status)}</b> {escape(answer['description'])}</summary>"
        if content is not None:
            kind, said = content
            yield f"<p><code>{escape(kind)}</code></p>"
            if "example" in said:
                yield _json(said["example"])
        yield "</details>"


def _json(shown: Any) -> str:
    return f"<pre>{escape(json.dumps(shown, indent=2))}</pre>"


def _paragraphs(text: str) -> str:
    return "".join(f"<p>{escape(part)}</p>" for part in text.split("\n\n") if part.strip())


def _anchor(room: str) -> str:
    return escape(room.replace(" ", "-"), quote=True)
