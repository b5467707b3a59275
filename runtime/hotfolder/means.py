"""What a hot folder is worked on with."""

from dataclasses import dataclass

from runtime.hotfolder.engine import Engine
from runtime.hotfolder.folders import Folders
from runtime.hotfolder.journal import Journal
from runtime.hotfolder.log import Log
from runtime.hotfolder.rules import Forces, Rules
from runtime.hotfolder.status import Status


@dataclass(frozen=True)
class Means:
    """Opened and closed by whoever runs the station."""

    folders: Folders
    journal: Journal
    rules: Rules
    forces: Forces
    engine: Engine
    status: Status
    log: Log
