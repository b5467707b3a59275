"""A hot folder in the same process: it shares the restorer with the page, and takes turns with it."""

import threading
from collections.abc import Iterator
from contextlib import closing, contextmanager

from base.command_line import needs_extra
from base.text import cause_of, one_line
from runtime.commands.options import RunOptions
from runtime.hotfolder.folders import holding
from runtime.hotfolder.log import Log
from runtime.hotfolder.preset_folders import preset_by_folder
from runtime.hotfolder.rules import Rules
from runtime.hotfolder.status import Status
from runtime.serve.kiosk_config import KioskConfig
from runtime.serve.shared_restorer import SharedRestorer
from runtime.settings.resolved import resolve_settings

AGAIN = 30.0
"""Seconds after which a hot folder that could not be used is tried again."""

_ENDING = 8.0
"""Seconds that the hot folder has to finish its present photo: with a drive that does not answer it never
would."""


@contextmanager
def watching(config: KioskConfig, wanted: RunOptions, shared: SharedRestorer, log: Log) -> Iterator[None]:
    """Watch the hot folder of kiosk.toml, if it has one, until the block ends. Raises GpenEdgeError.

    If the folders fail later, the page goes on, and they are tried again.
    """
    settings = config.hot_folder
    if settings is None:
        yield
        return
    with needs_extra("watch", "[hot_folder]"):
        from runtime.hotfolder.journal import Journal
        from runtime.hotfolder.resources import Resources
        from runtime.hotfolder.watcher import Watcher

    rules = Rules(max_megapixels=config.max_megapixels, strip_metadata=config.strip_metadata)
    presets = {name: resolve_settings(wanted.config, {}, name) for name in wanted.config.presets}
    settings_for = preset_by_folder(
        presets, presets[settings.preset], lambda folder, sentence: log("folder-name", sentence)
    )
    with holding(settings.photos, settings.output, rules.originals):
        pass  # so that an error ends the start
    ended, present = threading.Event(), list[Watcher]()

    def watch() -> None:
        with (
            holding(settings.photos, settings.output, rules.originals) as folders,
            closing(Journal(folders.state / "journal.sqlite")) as journal,
        ):
            watcher = Watcher(Resources(folders, journal, rules, settings_for, shared, Status(), log))
            present[:] = [watcher]
            if not ended.is_set():
                watcher.run()

    def run() -> None:
        while not ended.is_set():
            try:
                watch()
            except Exception as error:  # whatever it is, the folder is tried again
                if shared.lost:  # the server ends, and the next one goes on
                    return
                log("hot-folder", f"the hot folder is tried again in {AGAIN:g} s: {cause_of(error)}")
                ended.wait(AGAIN)

    thread = threading.Thread(target=run, name="kiosk-hot-folder", daemon=True)
    thread.start()
    log("watching", f"watching {one_line(settings.photos)}, results go to {one_line(settings.output)}")
    try:
        yield
    finally:
        ended.set()
        for watcher in present:
            watcher.stop()
        thread.join(_ENDING)
        if thread.is_alive():
            did_not = f"the hot folder did not end within {_ENDING:g} s"
            log("hot-folder", f"{did_not}; an unfinished photo will be restored at the next start")
