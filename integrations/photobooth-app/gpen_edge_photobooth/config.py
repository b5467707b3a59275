"""The plugin's configuration, from which photobooth-app makes a form."""

from typing import Literal, get_args

from photobooth import CONFIG_PATH
from photobooth.services.config.baseconfig import BaseConfig
from pydantic import Field
from pydantic_settings import SettingsConfigDict

Preset = Literal["standard", "classic", "early-digital", "ai-generated", "film-scan", "low-light"]
PRESETS: tuple[Preset, ...] = get_args(Preset)


class GpenEdgeConfig(BaseConfig):
    """Settings of the plugin."""

    model_config = SettingsConfigDict(
        title="Face restoration (gpen-edge)",
        json_file=f"{CONFIG_PATH}plugin_gpen_edge.json",
        env_prefix="gpen-edge-",
    )

    add_userselectable_filter: bool = Field(
        default=True, description="Offer face restoration to guests, as filters of the gallery."
    )
    userselectable_filter: list[Preset] = Field(
        default=["standard", "low-light"],
        description="The presets that guests can choose from. The admin configuration offers all of them.",
    )
    strength: float = Field(
        default=1.0, ge=0, le=1, description="How much is restored, from 0 (the photo) to 1."
    )
    threads: int = Field(
        default=0, ge=0, le=256, description="CPU threads for the networks; 0 is one per core."
    )
