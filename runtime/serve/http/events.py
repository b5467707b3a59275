"""Server-sent events: the status of a visit, at once and after each change."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import suppress

import msgspec

from runtime.serve.visits.desk import Desk
from runtime.serve.visits.visit import Visit

ALIVE = 10.0
"""Seconds without a change after which an event shows that the connection is alive."""
PAUSE = 0.1
"""Least seconds between two events."""


async def events_of(desk: Desk, visit: Visit) -> AsyncIterator[bytes]:
    """Yield the events of a visit until it ends."""
    loop, changed = asyncio.get_running_loop(), asyncio.Event()

    def watcher() -> None:
        with suppress(RuntimeError):  # the loop has been closed
            loop.call_soon_threadsafe(changed.set)

    desk.watch(visit, watcher)
    try:
        while not visit.is_gone:
            changed.clear()
            yield b"event: status\ndata: " + msgspec.json.encode(desk.status(visit)) + b"\n\n"
            await asyncio.sleep(PAUSE)
            while not changed.is_set() and not visit.is_gone:
                try:
                    await asyncio.wait_for(changed.wait(), ALIVE)
                except (TimeoutError, asyncio.TimeoutError):
                    yield b"event: alive\ndata: {}\n\n"
        yield b"event: deleted\ndata: {}\n\n"
    finally:
        desk.unwatch(visit, watcher)
