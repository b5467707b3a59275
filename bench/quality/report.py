"""The tables of `python -m bench quality`."""

from collections.abc import Iterable, Mapping
from dataclasses import asdict
from typing import Any

import msgspec
import numpy as np

from bench.measure import Measure
from bench.quality import claims, training_range
from bench.quality.claims import Measured
from bench.report import Report, Row, Table
from engines.package import Manifest
from portraits.degradations import TEXTURE
from portraits.likeness import TITLES
from runtime.settings.presets import PRESETS

CONTROLLED = tuple(name for name in PRESETS if name != "classic")
PERFECT = 90.0
"""dB of PSNR from which pictures are the same."""


def quality_report(
    package: Manifest, measured: Measured, by_passes: Mapping[int, str], conditions: Mapping[str, Any]
) -> Report:
    """Return the report of a package.

    by_passes   the methods that differ in passes only, by their passes
    conditions  what was measured: `portraits`, `first`, `degradations`, `controlled_every`
    """
    judged = claims.claims(measured)
    held = [claim.holds for claim in judged if claim.holds is not None]
    model = measured.model
    gain = model["restored"]["psnr"] - model["degraded"]["psnr"]
    same = {"package": package.name} | {key: conditions[key] for key in ("portraits", "first")}
    return Report(
        name="quality",
        title=f"Quality of {package.name}: {conditions['portraits']} portraits, PSNR in dB by degradation",
        headings=("degraded by", "input", "classic", *(f"{name} − classic" for name in CONTROLLED)),
        rows=tuple(_by_degradation(measured)),
        summary=f"Classic gains {gain:+.2f} dB over the training ranges; "
        f"{sum(held)} of {len(held)} claims hold.",
        figures={
            **same,
            "loop": package.loop_kind,
            "passes": by_passes,
            "degradations": msgspec.to_builtins(conditions["degradations"]),
            "controlled_every": conditions["controlled_every"],
            "model": model,
            "by_degradation": measured.first,
            "controlled": measured.controlled,
            "share_of_lost_sharpness": _shares(measured),
            "blends": measured.blends,
            "claims": [asdict(claim) | {"holds": claim.holds} for claim in judged],
        },
        measures=tuple(
            Measure(f"{name}: {method}", values["psnr"], "dB", more_is_better=True)
            for name, methods in measured.controlled.items()
            for method, values in methods.items()
            if method not in ("input", "truth")
        ),
        conditions=same,
        more=(
            Table(
                "Claims, each with its least figure",
                ("claim", "wanted", "measured", "holds"),
                tuple(claims.row(claim) for claim in judged),
            ),
            *_passes_tables(package, measured, by_passes),
            Table(
                f"Whole crops, {training_range.SEEDS} random degradations of each over the training ranges",
                ("crops", "PSNR, dB", "SSIM", "blur effect"),
                tuple(
                    (
                        f"restored by {name}" if name not in ("degraded", "truth") else name,
                        *(_figure(key, values[key]) for key in ("psnr", "ssim", "blur")),
                    )
                    for name, values in ((n.replace("restored", "classic"), v) for n, v in model.items())
                ),
            ),
            Table(
                "Every measure, means over " + ", ".join(_texture(measured)),
                ("measure", "input", "classic", *CONTROLLED, "truth"),
                tuple(_by_measure(measured)),
            ),
            *(
                Table(
                    f"{title}: means over the portraits that every preset restored",
                    ("degraded by", "input", "classic", *CONTROLLED),
                    tuple(_of_measure(measured, key, ("input", "classic", *CONTROLLED))),
                    shown=False,
                )
                for key, title in TITLES.items()
            ),
            Table(
                "Cored hand-back over a plain blend with the same κ, PSNR in dB",
                ("degraded by", *CONTROLLED),
                tuple(_of_blends(measured)),
                shown=False,
            ),
        ),
    )


def _passes_tables(package: Manifest, measured: Measured, by_passes: Mapping[int, str]) -> Iterable[Table]:
    """Yield the figures by passes; a package whose latent is held takes one."""
    columns = ("input", "classic", *by_passes.values(), "truth")
    headings = ("degraded by", "input", "classic", *(_times(n) for n in by_passes), "truth")
    of = f"by passes of standard, {package.loop_kind}"
    yield Table(
        f"Blur effect, and the share of the lost sharpness that is back, {of}",
        headings,
        tuple(_blur(measured, columns)),
    )
    yield Table(f"PSNR, dB, {of}", headings[:-1], tuple(_of_measure(measured, "psnr", columns[:-1])))
    yield Table(
        f"Texture statistics of skin / hair, octaves from the truth's, {of}",
        headings[:-1],
        tuple(
            (name, *(_skin_and_hair(methods[method]) for method in columns[:-1]))
            for name, methods in measured.controlled.items()
        ),
    )


def _times(passes: int) -> str:
    return "1 pass" if passes == 1 else f"{passes} passes"


def _blur(measured: Measured, columns: Row) -> Iterable[Row]:
    for name, methods in measured.controlled.items():
        shares = {
            method: claims.share_back(methods, method)
            for method in columns
            if method not in ("input", "truth")
        }
        yield (
            name,
            *(
                f"{methods[method]['blur']:.3f}"
                + (f" ({share:.0%})" if (share := shares.get(method)) is not None else "")
                for method in columns
            ),
        )


def _shares(measured: Measured) -> dict[str, dict[str, float | None]]:
    return {
        name: {
            method: claims.share_back(methods, method)
            for method in methods
            if method not in ("input", "truth")
        }
        for name, methods in measured.controlled.items()
    }


def _skin_and_hair(values: Mapping[str, float]) -> str:
    return f"{values['skin_statistics']:.2f} / {values['hair_statistics']:.2f}"


def _by_degradation(measured: Measured) -> Iterable[Row]:
    for name, methods in measured.first.items():
        together = measured.controlled[name]
        gains = (together[preset]["psnr"] - together["classic"]["psnr"] for preset in CONTROLLED)
        yield (
            name,
            *(_figure("psnr", methods[method]["psnr"]) for method in ("input", "classic")),
            *(f"{gain:+.2f}" for gain in gains),
        )


def _texture(measured: Measured) -> list[str]:
    """Return the degradations that the controls are judged by, or what else was measured."""
    return [name for name in measured.controlled if name in TEXTURE] or list(measured.controlled)


def _by_measure(measured: Measured) -> Iterable[Row]:
    names = _texture(measured)
    for key, title in TITLES.items():
        cells = (
            _figure(key, float(np.mean([measured.controlled[name][method][key] for name in names])))
            for method in ("input", "classic", *CONTROLLED, "truth")
        )
        yield title, *cells


def _of_measure(measured: Measured, key: str, columns: Row) -> Iterable[Row]:
    for name, methods in measured.controlled.items():
        yield name, *(_figure(key, methods[method][key]) for method in columns)


def _of_blends(measured: Measured) -> Iterable[Row]:
    for name, presets in measured.blends.items():
        cells = (
            f"{presets[preset]['cored'] - presets[preset]['plain']:+.3f}" if preset in presets else "—"
            for preset in CONTROLLED
        )
        yield name, *cells


def _figure(key: str, value: float) -> str:
    if "psnr" in key:
        return "—" if value >= PERFECT else f"{value:.2f}"
    return f"{value:.3f}"
