"""Devices that this process has lost.

After an illegal memory access and similar errors, CUDA refuses all further work to a process, even a new
context: the process has to be started again.
"""

from base.errors import DeviceLostError

_LOST: dict[str, DeviceLostError] = {}
"""The errors to raise, by device."""


def mark_as_lost(device: str, reason: str) -> DeviceLostError:
    """Note that a device is lost to this process; return the error to raise."""
    error = DeviceLostError(
        f"{device} was lost ({reason}), and only a new process can use it: start again; if that does not "
        "help, check its driver, or use --device cpu"
    )
    return _LOST.setdefault(device, error)


def check_not_lost(device: str) -> None:
    """Raise DeviceLostError if this process has lost a device."""
    if device in _LOST:
        raise DeviceLostError(str(_LOST[device]))
