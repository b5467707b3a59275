"""What the routes work with."""

import asyncio
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import partial
from typing import TypeVar, cast

from anyio import CapacityLimiter
from starlette.requests import Request

from runtime.hotfolder.log import Log
from runtime.serve.drive_thread import in_own_thread
from runtime.serve.health import HealthCheck
from runtime.serve.http.limits import Limits
from runtime.serve.http.page_files import PageFiles
from runtime.serve.kiosk_config import KioskConfig
from runtime.serve.media import Media
from runtime.serve.printing.printer import Printer
from runtime.serve.visits.desk import Desk
from runtime.serve.visits.visit import Visit

Found = TypeVar("Found")


@dataclass(frozen=True)
class Kiosk:
    """The parts of a running server."""

    config: KioskConfig
    desk: Desk
    health: HealthCheck
    media: Media
    printer: Printer | None
    log: Log
    limits: Limits = field(default_factory=Limits)
    pages: PageFiles = field(default_factory=PageFiles)
    password: str | None = None
    """Of the admin page; None if that is off."""
    hosts: frozenset[str] = frozenset()
    """Further names by which the kiosk's own page may be asked for."""
    media_threads: CapacityLimiter = field(default_factory=lambda: CapacityLimiter(8))
    """For reading sticks and cards: a broken one may block each of them for minutes, but no other request."""

    async def on_media(self, work: Callable[..., Found], *arguments: object) -> Found:
        """Call a method of `media` that reads a stick or a card."""
        async with self.media_threads:
            return await asyncio.wrap_future(in_own_thread(partial(work, *arguments)))


def kiosk_of(request: Request) -> Kiosk:
    """Return the server that a request came to."""
    return cast(Kiosk, request.app.state.kiosk)


def visit_of(request: Request) -> Visit:
    """Return the visit that a request is about. Raises KioskError."""
    return kiosk_of(request).desk.visit(request.path_params["visit"])
