"""A customer of the kiosk, and the two links that a customer's phone may have."""

from collections.abc import Callable
from dataclasses import dataclass, field
from math import inf

from runtime.serve.errors import KioskError
from runtime.serve.visits.studio import Found
from runtime.serve.wire import Choice, ErrorAbout, PrintAbout, ResultAbout, VisitState


@dataclass(eq=False)
class Visit:
    """A customer. Changed only by the desk, under its lock."""

    id: str
    """The digest of its token, which is known to the customer alone."""
    began: float
    """Seconds since the machine was started, as `ends`."""
    ends: float
    wall_ends: float = inf
    """The time of day at which it ends too, if it began before the machine was started."""
    state: VisitState = "empty"
    number: int = 0
    """Counts photos."""
    attempts: int = 0
    found: Found | None = None
    error: ErrorAbout | None = None
    choice: Choice | None = None
    result: ResultAbout | None = None
    results: int = 0
    """Counts results."""
    stage: str | None = None
    done: int = 0
    total: int = 0
    prints: tuple[PrintAbout, ...] = ()
    copies: int = 0
    take: "Take | None" = None
    phone: "Phone | None" = None
    is_gone: bool = False
    is_deleted: bool = False
    """The customer has asked for everything to be deleted at once."""
    watchers: list[Callable[[], None]] = field(default_factory=list)
    """Called after each change, in any thread."""

    def check_here(self) -> None:
        """Raise KioskError (`not-found`) if the visit has ended."""
        if self.is_gone:
            raise KioskError("not-found", "this visit has ended: start again")

    def check_ready(self) -> None:
        """Raise KioskError (`wrong-state`) unless the photo is prepared."""
        if self.state != "ready":
            raise KioskError("wrong-state", f"the photo is {self.state}: wait until it is ready")

    def changed(self) -> None:
        """Tell everybody who watches."""
        for watcher in list(self.watchers):
            watcher()


@dataclass(frozen=True)
class Take:
    """A result that may be taken home; its times are like those of a visit."""

    id: str
    visit: str
    ends: float
    about: ResultAbout
    token: str | None = None
    wall_ends: float = inf


@dataclass(eq=False)
class Phone:
    """A code with which a phone may upload one photo."""

    id: str
    token: str
    visit: Visit
    ends: float
    used: bool = False
