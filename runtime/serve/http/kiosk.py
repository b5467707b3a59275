"""What the routes work with."""

from dataclasses import dataclass, field
from typing import cast

from starlette.requests import Request

from runtime.hotfolder.log import Log
from runtime.serve.health import HealthCheck
from runtime.serve.http.limits import Limits
from runtime.serve.http.page_files import PageFiles
from runtime.serve.kiosk_config import KioskConfig
from runtime.serve.media import Media
from runtime.serve.printing.printer import Printer
from runtime.serve.visits.desk import Desk
from runtime.serve.visits.visit import Visit


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


def kiosk_of(request: Request) -> Kiosk:
    """Return the server that a request came to."""
    return cast(Kiosk, request.app.state.kiosk)


def visit_of(request: Request) -> Visit:
    """Return the visit that a request is about. Raises KioskError."""
    return kiosk_of(request).desk.visit(request.path_params["visit"])
