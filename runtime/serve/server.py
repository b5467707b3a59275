"""Both listeners in one process, and the timer that deletes everything."""

import asyncio
import socket
import struct
from collections.abc import Awaitable, Callable, Coroutine, Iterator, Sequence
from contextlib import contextmanager, suppress
from functools import partial
from typing import Any

import uvicorn
from starlette.types import ASGIApp
from uvicorn.protocols.http.h11_impl import H11Protocol

from base.text import cause_of, one_line
from runtime.hotfolder.log import Log
from runtime.serve.drive_calls import from_own_thread
from runtime.serve.errors import ServeError
from runtime.serve.http.app import kiosk_app, phone_app
from runtime.serve.http.guard import ANY_ADDRESS, is_loopback
from runtime.serve.http.kiosk import Kiosk
from runtime.serve.kiosk_config import Phones
from runtime.serve.notify import notify, watchdog_seconds

_MOST_CONNECTIONS = 400
"""Connections of one listener, so that phones cannot block the kiosk's own page."""
_MOST_OF_ONE = 40
"""Connections of one other machine, so that one phone cannot block the others; browsers open about six."""
FIRST_REQUEST = 10.0
"""Seconds within which each request of a connection must arrive completely."""
STALLED = 60.0
"""Seconds to wait for a client that has stopped reading its response."""
_TICK = 1.0
_BACKLOG = 256


class _Protocol(H11Protocol):
    """Closes surplus connections, and those that send no request or do not read their response. While a
    request is handled, the reader of its body enforces its time limit.
    """

    _waiting: asyncio.TimerHandle | None = None
    """Closes the connection unless a request arrives in time."""
    _stalling: asyncio.TimerHandle | None = None

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        """Take a connection."""
        super().connection_made(transport)
        others = [
            each.client for each in self.connections if isinstance(each, _Protocol) and each is not self
        ]
        if are_too_many(self.client, others):
            transport.close()
        self._wait_for_a_request()

    def data_received(self, data: bytes) -> None:
        """Receive a part of a request."""
        super().data_received(data)
        if self.cycle is not None and not self.cycle.response_complete:
            self._cancel()

    def on_response_complete(self) -> None:
        """Wait for the next request, even if parts of this one are still to come."""
        self._cancel()
        self._wait_for_a_request()
        super().on_response_complete()
        if not self.cycle.response_complete:  # a further request has come already
            self._cancel()

    def pause_writing(self) -> None:
        """Wait for a client that reads its response slowly."""
        super().pause_writing()
        self._stalling = self.loop.call_later(STALLED, self._abort)

    def resume_writing(self) -> None:
        """Continue, since the client has read some of its response."""
        if self._stalling:
            self._stalling.cancel()
        super().resume_writing()

    def connection_lost(self, exc: Exception | None) -> None:
        """Forget a connection."""
        self._cancel()
        super().connection_lost(exc)

    def _abort(self) -> None:
        """Close the connection at once; the system also drops what has not been read."""
        self.transport.get_extra_info("socket").setsockopt(
            socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0)
        )
        self.transport.abort()

    def _wait_for_a_request(self) -> None:
        self._waiting = self.loop.call_later(FIRST_REQUEST, self.transport.close)

    def _cancel(self) -> None:
        if self._waiting:
            self._waiting.cancel()


def are_too_many(client: tuple[str, int] | None, others: Sequence[tuple[str, int] | None]) -> bool:
    """Return whether a listener has too many connections, in all or from one other machine.

    client  address and port of the last one
    others  those of all others
    """
    if len(others) >= _MOST_CONNECTIONS:
        return True
    of_one = [other for other in others if client and other and other[0] == client[0]]
    return len(of_one) >= _MOST_OF_ONE and not is_loopback(client)


class _Server(uvicorn.Server):
    """A server that leaves signals to `Ending`."""

    @contextmanager
    def capture_signals(self) -> Iterator[None]:
        yield


def listen(host: str, port: int) -> socket.socket:
    """Return a socket that listens. Raises ServeError."""
    try:
        family = socket.AF_INET6 if ":" in host else socket.AF_INET
        return socket.create_server((host, port), family=family, backlog=_BACKLOG)
    except (OSError, OverflowError) as error:
        where = f"{one_line(host)}, port {port}"
        raise ServeError(f"cannot listen on {where}: {cause_of(error)}; give another port") from error


def address_of(listener: socket.socket) -> str:
    """Return the address of a listener in the form used in URLs."""
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
        """Serve until stopped. Raises DeviceLostError if only a new process can restore; nothing is deleted
        then."""
        asyncio.run(self._run())
        desk = self._kiosk.desk
        if desk.lost:
            desk.keep()
            raise desk.lost

    def stop(self) -> None:
        """End, from any thread or signal handler."""
        for server in self._servers:
            server.should_exit = True

    async def _run(self) -> None:
        clocks = [asyncio.create_task(each) for each in (_tick(self._kiosk, self.stop), _tidy(self._kiosk))]
        notify("READY=1")
        try:
            pairs = zip(self._servers, self._listeners, strict=True)
            await asyncio.gather(*(server.serve(sockets=[listener]) for server, listener in pairs))
        finally:
            notify("STOPPING=1")
            for clock in clocks:
                clock.cancel()


async def _tick(kiosk: Kiosk, stop: Callable[[], None]) -> None:
    """Delete what has expired, signal to systemd that the server is alive, and stop it if the GPU is lost."""
    every, last = watchdog_seconds(), 0.0
    delete = logging_failure(partial(asyncio.to_thread, kiosk.desk.tick), kiosk.log)
    loop = asyncio.get_running_loop()
    while True:
        if kiosk.desk.lost:
            stop()
        await delete()
        if every and loop.time() - last >= every and kiosk.health().state == "ok":
            notify("WATCHDOG=1")
            last = loop.time()
        await asyncio.sleep(_TICK if every is None else min(_TICK, every))


async def _tidy(kiosk: Kiosk) -> None:
    """Look for scans and delete old ones, for half of the time at most, since a network drive may be slow."""
    tidy = partial(from_own_thread, kiosk.media.tidy, kiosk.config.minutes * 60)
    delete = logging_failure(tidy, kiosk.log)
    loop = asyncio.get_running_loop()
    while True:
        begin = loop.time()
        await delete()
        await asyncio.sleep(max(_TICK, loop.time() - begin))


def logging_failure(
    delete: Callable[[], Awaitable[None]], log: Log
) -> Callable[[], Coroutine[Any, Any, None]]:
    """Return a function that deletes files, and logs a failure when it begins: it is called every second."""
    failure = ""

    async def deleted() -> None:
        nonlocal failure
        before, failure = failure, ""
        try:
            await delete()
        except Exception as error:  # a full disk, for example, or too many threads
            failure = cause_of(error)
            if failure != before:
                log("not-deleted", f"customers' files could not be deleted: {failure}: trying again")

    return deleted


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
