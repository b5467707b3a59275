"""The plugin: each preset is a filter. photobooth-app makes the class from the name of this module."""

import logging
import threading

import numpy as np
from photobooth.plugins import hookimpl
from photobooth.plugins.base_plugin import BaseFilter
from PIL import Image

from gpen_edge_photobooth.config import PRESETS, GpenEdgeConfig
from runtime import Restorer, preset

logger = logging.getLogger(__name__)


class GpenEdge(BaseFilter[GpenEdgeConfig]):
    """Restores the faces of a booth's photos with one restorer, which stays open."""

    def __init__(self) -> None:
        super().__init__()
        self._config: GpenEdgeConfig = GpenEdgeConfig()
        self._restorer: Restorer | None = None
        self._turn = threading.Lock()

    @hookimpl
    def start(self) -> None:
        """Open the networks while the booth starts, so that the first photo is not slower."""
        threading.Thread(target=self._warm, name="gpen-edge", daemon=True).start()

    @hookimpl
    def stop(self) -> None:
        """Release the networks."""
        with self._turn:
            if self._restorer is not None:
                self._restorer.close()
            self._restorer = None

    @hookimpl
    def mp_avail_filter(self) -> list[str]:
        """Return all filters."""
        return [self.unify(name) for name in PRESETS]

    @hookimpl
    def mp_userselectable_filter(self) -> list[str]:
        """Return the filters that guests choose from."""
        if not self._config.add_userselectable_filter:
            return []
        return [self.unify(name) for name in self._config.userselectable_filter]

    @hookimpl
    def mp_filter_pipeline_step(
        self, image: Image.Image, plugin_filter: str, preview: bool
    ) -> Image.Image | None:
        """Return the restored image; None if the filter is another plugin's."""
        name = self.deunify(plugin_filter)
        if name not in PRESETS:
            return None
        try:
            return self._restored(image, name)
        except Exception as error:  # the guest's photo comes before everything
            logger.error(f"face restoration passed a photo on unchanged: {error}")
            return image

    def _restored(self, image: Image.Image, name: str) -> Image.Image:
        alpha = image.getchannel("A") if image.mode in ("RGBA", "LA") else None
        pixels = np.asarray(image.convert("RGB"))
        settings = preset(name, strength=self._config.strength)
        with self._turn:
            restored = Image.fromarray(self._opened().restore(pixels, settings).photo)
        if alpha is not None:
            restored.putalpha(alpha)
        restored.info.update(image.info)  # resolution and colour profile
        return restored

    def _warm(self) -> None:
        try:
            with self._turn:
                self._opened()
        except Exception as error:  # the first photo tries again, and is passed on if that fails too
            logger.error(f"face restoration cannot start: {error}")

    def _opened(self) -> Restorer:
        if self._restorer is None:
            self._restorer = Restorer.open(threads=self._config.threads or None)
        return self._restorer
