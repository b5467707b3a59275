"""Resources shared by the parts of the watcher."""

from dataclasses import dataclass, field

from runtime.hotfolder.clock import Clock
from runtime.hotfolder.disk import Disk
from runtime.hotfolder.folders import Folders
from runtime.hotfolder.journal import Journal
from runtime.hotfolder.log import Log
from runtime.hotfolder.preset_folders import SettingsFor
from runtime.hotfolder.rules import Rules
from runtime.hotfolder.status import Status
from runtime.provenance import Provenance
from runtime.warm_restorer import WarmRestorer


@dataclass(frozen=True)
class Resources:
    """The caller of the watcher opens and closes them."""

    folders: Folders
    journal: Journal
    rules: Rules
    settings_for: SettingsFor
    restorer: WarmRestorer
    status: Status
    log: Log
    clock: Clock = field(default_factory=Clock)
    disk: Disk = field(default_factory=Disk)
    provenance: Provenance | None = None
    """Records the processing in the results; None records nothing."""
