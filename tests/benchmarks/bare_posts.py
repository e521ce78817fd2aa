"""The same bytes, posted by aiohttp and nothing else: `python bare_posts.py`, in a process of its own.

No database, no signature, no order, no log. It reads one JSON object a line and answers each when it is done:
{"urls": […], "bodies": […], "at_once": n}     every body to every URL, n at a time; when it began
{"urls": […], "bodies": […], "every_s": s}     one body after the other, each to all URLs; {id: when it began}
"""

from __future__ import annotations

import asyncio
import json
import sys
import time
from typing import Any

import aiohttp

_HEADERS = {"Content-Type": "application/json"}
_KEEP_ALIVE_S = 4.0  # as packd: between two bursts both sides lose their connections, or neither does


async def post(session: aiohttp.ClientSession, url: str, identity: str, body: bytes) -> None:
    async with session.post(url, data=body, headers={**_HEADERS, "webhook-id": identity}) as response:
        await response.read()
        assert response.status == 204


async def burst(session: aiohttp.ClientSession, asked: dict[str, Any]) -> float:
    work = iter([(url, str(n), body.encode()) for n, body in enumerate(asked["bodies"]) for url in asked["urls"]])
    began = time.monotonic()

    async def worker() -> None:
        for url, identity, body in work:
            await post(session, url, identity, body)

    await asyncio.gather(*(worker() for _ in range(asked["at_once"])))
    return began


async def paced(session: aiohttp.ClientSession, asked: dict[str, Any]) -> dict[str, float]:
    at, tasks = {}, []
    following = time.monotonic()
    for n, body in enumerate(asked["bodies"]):
        at[str(n)] = time.monotonic()
        tasks += [asyncio.create_task(post(session, url, str(n), body.encode())) for url in asked["urls"]]
        following += asked["every_s"]
        await asyncio.sleep(max(0.0, following - time.monotonic()))
    await asyncio.gather(*tasks)
    return at


async def main() -> None:
    async with aiohttp.ClientSession(
        connector=aiohttp.TCPConnector(limit=0, keepalive_timeout=_KEEP_ALIVE_S)
    ) as session:
        while line := await asyncio.to_thread(sys.stdin.readline):
            asked = json.loads(line)
            answer = await (paced(session, asked) if "every_s" in asked else burst(session, asked))
            print(json.dumps(answer), flush=True)


if __name__ == "__main__":
    asyncio.run(main())
