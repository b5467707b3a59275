"""Try the plugin with the real photobooth-app: python try_with_booth.py PORTRAIT, where both are installed.

It sends a photo through the booth's own pipeline with each filter, and exits with an error if a filter is
missing, changes nothing in a portrait, or changes pixels far from the face.
"""

import os
import sys
import tempfile
from pathlib import Path

import numpy as np


def main(portrait: Path) -> None:
    """Run the trial in an empty folder, where photobooth-app makes its own."""
    os.chdir(tempfile.mkdtemp(prefix="booth-"))
    from photobooth.plugins import pm
    from photobooth.services.config.groups.actions import SingleImageProcessing
    from photobooth.services.mediaprocessing.processes import process_image_inner
    from photobooth.services.mediaprocessing.steps.image import (
        PluginFilters,
        get_plugin_avail_filters,
        get_plugin_userselectable_filters,
    )
    from PIL import Image

    plugin = pm.get_plugin("gpen_edge_photobooth.gpen_edge")
    assert plugin is not None, "photobooth-app has not found the plugin"
    ours = [name for name, _ in get_plugin_avail_filters() if name.startswith("GpenEdge.")]
    assert len(ours) == 6, ours
    assert ("GpenEdge.standard", "GpenEdge.standard") in get_plugin_userselectable_filters()
    before = np.asarray(Image.open(portrait).convert("RGB")).astype(int)
    for name in ours:
        config = SingleImageProcessing(image_filter=PluginFilters(name))
        after = np.asarray(process_image_inner(portrait, config, preview=False)).astype(int)
        changed = np.abs(after - before).max(axis=2)
        assert changed.max() > 3, f"{name} changes nothing"
        assert changed[-20:].max() == 0, f"{name} touches what lies far from the face"
        sys.stdout.write(f"{name}: {np.mean(changed > 0):.0%} of the pixels changed\n")
    other = SingleImageProcessing(image_filter=PluginFilters("FilterPilgram2.aden"))
    assert (
        np.abs(np.asarray(process_image_inner(portrait, other, preview=False)).astype(int) - before).max() > 3
    )
    pm.hook.stop()
    sys.stdout.write(f"photobooth-app has the filters {', '.join(ours)}\n")


if __name__ == "__main__":
    main(Path(sys.argv[1]).resolve())
