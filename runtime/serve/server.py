"""Both listeners in one process, and the clock by which everything is deleted."""

import asyncio
import socket
import time
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext, suppress
from typing import Any

import uvicorn
from starlette.types import ASGIApp
from uvicorn.protocols.http.h11_impl import H11Protocol

from base.text import cause_of, one_line
from runtime.serve.errors import ServeError
from runtime.serve.http.app import kiosk_app, phone_app
from runtime.serve.http.guard import ANY_ADDRESS
from runtime.serve.http.kiosk import Kiosk
from runtime.serve.kiosk_config import Phones
from runtime.serve.notify import notify, watchdog_seconds

_MOST_CONNECTIONS = 400
"""Of one listener, so that phones cannot keep the kiosk's own page from being reached."""
FIRST_REQUEST = 10.0
"""Seconds within which the first request of a connection must have come."""
_TICK = 1.0
_BACKLOG = 256


class _Protocol(H11Protocol):
    """Closes connections that are too many, or over which no request comes."""

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        """Take a connection."""
        super().connection_made(transport)
        if len(self.connections) > _MOST_CONNECTIONS:
            transport.close()
        self.loop.call_later(FIRST_REQUEST, self._close_if_silent)

    def _close_if_silent(self) -> None:
        if self.cycle is None and not self.transport.is_closing():
            self.transport.close()


class _Server(uvicorn.Server):
    """A server that leaves signals to `Ending`."""

    @contextmanager
    def capture_signals(self) -> Iterator[None]:
        with nullcontext():
            yield


def listen(host: str, port: int) -> socket.socket:
    """Return a socket that listens. Raises ServeError."""
    try:
        family = socket.AF_INET6 if ":" in host else socket.AF_INET
        return socket.create_server((host, port), family=family, backlog=_BACKLOG)
    except (OSError, OverflowError) as error:
        raise ServeError(
            f"cannot listen on {one_line(host)}, port {port}: {cause_of(error)}; give another --port"
        ) from error


def address_of(listener: socket.socket) -> str:
    """Return the address of a listener as it stands in a URL."""
    host, port = listener.getsockname()[:2]
    return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"


def names_of(host: str) -> frozenset[str]:
    """Return the names, as in a Host header, under which a listener on this address may be asked for."""
    if host in ("0.0.0.0", "::"):
        return frozenset({ANY_ADDRESS})
    return frozenset({f"[{host}]" if ":" in host else host.lower()})


def own_address() -> str:
    """Return this machine's address in its network; nothing is sent for that."""
    with suppress(OSError), socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
        probe.connect(("10.255.255.255", 9))
        return str(probe.getsockname()[0])
    return "127.0.0.1"


def phone_url(phones: Phones, port: int) -> str:
    """Return the address under which phones reach the kiosk."""
    host, _ = phones.address
    if host in ("0.0.0.0", "::"):
        host = own_address()
    return phones.url.rstrip("/") or f"http://{f'[{host}]' if ':' in host else host}:{port}"


class KioskServer:
    """The listeners of a kiosk: its own, and perhaps one for phones."""

    def __init__(self, kiosk: Kiosk, listeners: list[socket.socket]) -> None:
        apps: list[ASGIApp] = [kiosk_app(kiosk), phone_app(kiosk)]
        self._kiosk, self._listeners = kiosk, listeners
        self._servers = [_Server(_config(app)) for app, _ in zip(apps, listeners, strict=False)]

    def run(self) -> None:
        """Serve until stopped."""
        asyncio.run(self._run())

    def stop(self) -> None:
        """End, from any thread or signal handler."""
        for server in self._servers:
            server.should_exit = True

    async def _run(self) -> None:
        clock = asyncio.create_task(_tick(self._kiosk))
        notify("READY=1")
        try:
            pairs = zip(self._servers, self._listeners, strict=True)
            await asyncio.gather(*(server.serve(sockets=[listener]) for server, listener in pairs))
        finally:
            notify("STOPPING=1")
            clock.cancel()


async def _tick(kiosk: Kiosk) -> None:
    """Delete what is past its time, and show systemd that the server is alive, while it is."""
    every, last = watchdog_seconds(), 0.0
    loop = asyncio.get_running_loop()
    while True:
        try:
            await asyncio.to_thread(kiosk.desk.tick)
            await asyncio.to_thread(kiosk.media.delete_scans, time.time() - kiosk.config.minutes * 60)
        except Exception as error:  # a full disk, for example: the next second tries again
            kiosk.log("not-deleted", f"customers' files could not be deleted: {cause_of(error)}")
        if every and loop.time() - last >= every and kiosk.health().state == "ok":
            notify("WATCHDOG=1")
            last = loop.time()
        await asyncio.sleep(_TICK if every is None else min(_TICK, every))


def _config(app: ASGIApp) -> uvicorn.Config:
    options: dict[str, Any] = {
        "http": _Protocol,
        "ws": "none",
        "lifespan": "off",
        "log_config": None,
        "access_log": False,
        "server_header": False,
        "date_header": False,
        "proxy_headers": False,
        "limit_concurrency": _MOST_CONNECTIONS,
        "timeout_keep_alive": 15,
        "timeout_graceful_shutdown": 2,
        "backlog": _BACKLOG,
    }
    return uvicorn.Config(app, **options)
