"""What a hot folder is worked on with."""

from dataclasses import dataclass

from runtime.hotfolder.folders import Folders
from runtime.hotfolder.journal import Journal
from runtime.hotfolder.log import Log
from runtime.hotfolder.rules import Forces, Rules
from runtime.hotfolder.status import Status
from runtime.warm_restorer import WarmRestorer


@dataclass(frozen=True)
class Means:
    """Opened and closed by whoever runs the station."""

    folders: Folders
    journal: Journal
    rules: Rules
    forces: Forces
    engine: WarmRestorer
    status: Status
    log: Log
