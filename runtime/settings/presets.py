"""The presets: named settings that go well together.

None of them degrades a crop before the network sees it. The original scripts do, with a scale of 0.5 to 1.
With a model that removes noise itself, that costs up to 5.2 dB on a good photo and gains at most 0.3 dB
(`bench/results/notes.md`).
"""

from typing import Any

from base.errors import SettingsError
from base.near_names import unknown
from runtime.settings.settings import SETTINGS, RestoreSettings

PRESETS: dict[str, dict[str, Any]] = {
    "standard": {},
    "classic": {"latent_step_decay": 1.0, "iterations": 1, "eyes": "never"},
    "early-digital": {
        "latent_step_decay": 0.04,
        "face_mask_weights": {"eye": 1.3, "lip": 1.3, "cheek": 1.0, "forehead": 0.8, "other": 0.7},
    },
    "ai-generated": {"latent_step_decay": 0.02, "face_mask_weights": {"eye": 1.5, "ear": 1.5}},
    "film-scan": {
        "latent_step_decay": 0.05,
        "grain": True,
        "soften_scratches": True,
    },
    "low-light": {
        "latent_step_decay": 0.07,
        "face_mask_weights": {"edge": 0.7},
        "desaturate_fringes": True,
        "multiscale_blend": True,
        "clamp_ringing": True,
    },
}
"""The changes of each preset to the defaults."""

PURPOSES = {
    "standard": "most photos",
    "classic": "a single pass at full strength, exactly as published; it does not adapt to unusual light",
    "early-digital": "small JPEGs of early cameras: lighter, eyes and lips stronger",
    "ai-generated": "faces that need little: the smallest steps, eyes and ears stronger",
    "film-scan": "scanned prints and film: light, grain kept, scratches softened",
    "low-light": "dark, noisy snapshots: light along edges, purple fringes and ringing removed",
}
"""What each preset is for."""

IN_THE_REST = {
    "standard": "noise and JPEG blocks go, nearly as far as the network takes them away",
    "classic": "the network's result as it is",
    "early-digital": "JPEG blocks and halos go by half, like everything but eyes, lips and cheeks",
    "ai-generated": "a light touch: half of what the network would do",
    "film-scan": "grain kept in full; blotches and JPEG blocks go; long scratches softened",
    "low-light": "noise goes, colour specks with it; a tenth of the finer structure stays as it was",
}
"""What each preset does around the faces, with the scope `photo`."""


def preset(name: str, **changes: Any) -> RestoreSettings:
    """Return a preset's settings with changes on top. Raises SettingsError for an unknown name or value."""
    if name not in PRESETS:
        raise SettingsError(unknown("preset", name, PRESETS))
    for change in changes:
        if change not in SETTINGS:
            raise SettingsError(unknown("setting", change, SETTINGS))
    return RestoreSettings(**(PRESETS[name] | changes))
