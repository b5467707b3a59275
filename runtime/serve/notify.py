"""Notify systemd that the server is ready and alive (sd_notify); without systemd, do nothing."""

import os
import socket
from contextlib import suppress


def notify(state: str) -> None:
    """Send a state such as `READY=1` to systemd, if it started this process."""
    address = os.environ.get("NOTIFY_SOCKET")
    if not address:
        return
    if address.startswith("@"):  # an abstract socket
        address = "\0" + address[1:]
    with suppress(OSError), socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as sender:
        sender.sendto(state.encode(), address)


def watchdog_seconds() -> float | None:
    """Return the interval of systemd's watchdog; None if it is off."""
    microseconds = os.environ.get("WATCHDOG_USEC", "")
    owner = os.environ.get("WATCHDOG_PID")
    if not microseconds.isdecimal() or (owner and owner != str(os.getpid())):
        return None
    return int(microseconds) / 1e6 / 3
