"""The tables of `python -m bench quality`."""

from collections.abc import Callable, Iterable, Mapping
from typing import Any

import msgspec
import numpy as np

from bench.claims import claims_table, figures, held
from bench.quality import training_range
from bench.quality.claims import Measured, claims, share_back
from bench.report import Measure, Report, Table, table
from engines.package import Manifest
from portraits.degradations import TEXTURE
from portraits.likeness import TITLES
from runtime.settings.presets import PRESETS

CONTROLLED = tuple(name for name in PRESETS if name != "classic")
PERFECT = 90.0
"""PSNR in dB above which pictures count as the same."""

Values = Mapping[str, float]
"""By measure."""


def quality_report(
    package: Manifest, measured: Measured, by_passes: Mapping[int, str], conditions: Mapping[str, Any]
) -> Report:
    """Return the report of a package.

    by_passes   the methods that differ only in passes, by their passes
    conditions  what was measured: `portraits`, `first`, `degradations`, `controlled_every`
    """
    judged = claims(measured)
    model = measured.model
    gain = model["restored"]["psnr"] - model["degraded"]["psnr"]
    return Report(
        name="quality",
        tables=(
            _by_degradation(f"Quality of {package.name}: {conditions['portraits']} portraits", measured),
            claims_table("Claims, each with its least figure", judged),
            *_by_passes(package, measured, by_passes),
            _of_whole_crops(model),
            _by_measure(measured),
        ),
        summary=f"Classic gains {gain:+.2f} dB over the training ranges; {held(judged)}.",
        figures={
            "loop": package.loop_kind,
            "passes": by_passes,
            "degradations": msgspec.to_builtins(conditions["degradations"]),
            "controlled_every": conditions["controlled_every"],
            "model": model,
            "by_degradation": measured.first,
            "controlled": measured.controlled,
            "share_of_lost_sharpness": {
                name: {method: share_back(methods, method) for method in _restored(methods)}
                for name, methods in measured.controlled.items()
            },
            "claims": figures(judged),
        },
        measures=tuple(
            Measure(f"{name}: {method}", methods[method]["psnr"], "dB", more_is_better=True)
            for name, methods in measured.controlled.items()
            for method in _restored(methods)
        ),
        conditions={"package": package.name} | {key: conditions[key] for key in ("portraits", "first")},
    )


def _restored(methods: Iterable[str]) -> list[str]:
    return [method for method in methods if method not in ("input", "truth")]


def _by_degradation(title: str, measured: Measured) -> Table:
    def gain(preset: str) -> Callable[[str], str]:
        def cell(name: str) -> str:
            together = measured.controlled[name]
            return f"{together[preset]['psnr'] - together['classic']['psnr']:+.2f}"

        return cell

    return table(
        f"{title}, PSNR in dB by degradation",
        measured.first,
        {
            "degraded by": str,
            "input": lambda name: _figure("psnr", measured.first[name]["input"]),
            "classic": lambda name: _figure("psnr", measured.first[name]["classic"]),
            **{f"{preset} − classic": gain(preset) for preset in CONTROLLED},
        },
    )


def _by_passes(package: Manifest, measured: Measured, by_passes: Mapping[int, str]) -> Iterable[Table]:
    """Yield the figures by number of passes; a package whose latent is held takes one."""
    methods = {"input": "input", "classic": "classic"}
    methods |= {"1 pass" if n == 1 else f"{n} passes": method for n, method in by_passes.items()}
    methods |= {"truth": "truth"}
    of = f"by passes of standard, {package.loop_kind}"

    def by(title: str, cell: Callable[[Mapping[str, Values], str], str]) -> Table:
        def column(method: str) -> Callable[[str], str]:
            return lambda name: cell(measured.controlled[name], method)

        columns = {heading: column(method) for heading, method in methods.items()}
        return table(f"{title}, {of}", measured.controlled, {"degraded by": str, **columns})

    yield by("Blur effect, and the share of the lost sharpness that is back", _sharpness)
    yield by("PSNR, dB", lambda values, method: _figure("psnr", values[method]))
    yield by(
        "Texture statistics of skin / hair, octaves from the truth's",
        lambda values, method: (
            f"{values[method]['skin_statistics']:.2f} / {values[method]['hair_statistics']:.2f}"
        ),
    )


def _sharpness(values: Mapping[str, Values], method: str) -> str:
    share = share_back(values, method) if method in _restored(values) else None
    return f"{values[method]['blur']:.3f}" + ("" if share is None else f" ({share:.0%})")


def _of_whole_crops(model: Mapping[str, Values]) -> Table:
    names = {"degraded": "degraded", "restored": "restored by classic", "truth": "truth"}
    return table(
        f"Whole crops, {training_range.SEEDS} random degradations of each over the training ranges",
        model,
        {
            "crops": lambda name: names.get(name, f"restored by {name}"),
            "PSNR, dB": lambda name: _figure("psnr", model[name]),
            "SSIM": lambda name: _figure("ssim", model[name]),
            "blur effect": lambda name: _figure("blur", model[name]),
        },
    )


def _by_measure(measured: Measured) -> Table:
    """Return means over the degradations that the controls are judged by, or over what else was measured."""
    names = [name for name in measured.controlled if name in TEXTURE] or list(measured.controlled)

    def column(method: str) -> Callable[[str], str]:
        return lambda key: _figure(
            key, {key: float(np.mean([measured.controlled[name][method][key] for name in names]))}
        )

    columns = {method: column(method) for method in ("input", "classic", *CONTROLLED, "truth")}
    title = "Every measure, means over " + ", ".join(names)
    return table(title, TITLES, {"measure": lambda key: TITLES[key], **columns})


def _figure(key: str, values: Values) -> str:
    if "psnr" in key:
        return "—" if values[key] >= PERFECT else f"{values[key]:.2f}"
    return f"{values[key]:.3f}"
