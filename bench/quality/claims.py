"""The claims about the model and its controls, each with the measured figure."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

import numpy as np

from bench.claims import Claim
from portraits.degradations import MIXED, UNDEGRADED

JPEG = ("jpeg-light", "jpeg-medium", "jpeg-heavy", "mixed-light")
NOISE = ("noise-light", "noise-medium", "noise-heavy")
BLUR = ("blur-light", "blur-medium", "blur-heavy")
LITTLE = ("nearly-clean", "jpeg-light", "mixed-light")

PROMISES = (
    ("early-digital", JPEG, "PSNR gained over the input, dB", "input", "psnr", 0.2),
    ("early-digital", JPEG, "eyes and lips no worse than standard's, dB", "standard", "features_psnr", -0.1),
    ("early-digital", JPEG, "more of the skin's texture than the input", "input", "texture", 0.0),
    ("ai-generated", LITTLE, "PSNR gained over the input, dB", "input", "psnr", 0.0),
    ("ai-generated", LITTLE, "eyes and lips: PSNR gained, dB", "input", "features_psnr", 0.0),
    ("film-scan", BLUR, "PSNR gained over the input, dB", "input", "psnr", 1.0),
    ("low-light", NOISE, "PSNR gained over the input, dB", "input", "psnr", 2.0),
    ("low-light", NOISE, "as much of the skin's texture as standard", "standard", "texture", -0.01),
)
"""What presets promise: the preset, the degradations that it is for, the words, what it is compared with, the
measure, and the least gain."""

LEAST_LOST = 0.02
"""Minimum increase of the blur effect for a recovered share to be meaningful."""

Means = Mapping[str, Mapping[str, Mapping[str, float]]]
"""By degradation, method (`input`, `classic`, the other presets, numbers of passes, `truth`) and measure."""


@dataclass(frozen=True)
class Measured:
    """All measurements that the claims refer to."""

    first: Means
    """`input` and `classic`, over all portraits."""
    controlled: Means
    """Every method, over the portraits that all of them restored; the `truth` is among them."""
    model: Mapping[str, Mapping[str, float]]
    """As `training_range.measure` returns it."""


def claims(measured: Measured) -> tuple[Claim, ...]:
    """Compare the measurements with the claims."""
    model = measured.model
    gains = {name: model["restored"][name] - model["degraded"][name] for name in ("psnr", "ssim")}
    everywhere = tuple(measured.first)
    damaged = [name for name in everywhere if name not in ("nearly-clean", UNDEGRADED)]
    mixed = _mean(measured.first, MIXED)
    undegraded = measured.controlled.get(UNDEGRADED, {}).get("standard", {}).get("psnr")
    return (
        Claim("classic over the training ranges: PSNR gained, dB", 1.0, (gains["psnr"], "")),
        Claim("classic over the training ranges: SSIM gained", 0.05, (gains["ssim"], "")),
        *(
            Claim(
                f"classic is not under its input by more, {where} portraits, dB",
                -0.1,
                _least(_gains(measured.first, names, "classic", "input", "psnr")),
            )
            for where, names in (("damaged", damaged), ("nearly clean", ("nearly-clean",)))
        ),
        Claim(
            "an undegraded portrait comes back from standard, dB",
            40,
            None if undegraded is None else (undegraded, ""),
        ),
        *_promises(measured.controlled),
        Claim("classic on mixed damage: PSNR gained, dB", 0.9, _gain(mixed, "classic")),
        *_passes(measured.controlled, damaged),
    )


def _passes(means: Means, damaged: Iterable[str]) -> Iterable[Claim]:
    """Yield the claims about the passes of `standard`; none for a package that takes a single pass."""
    damaged, mixed = tuple(damaged), _mean(means, MIXED)
    share = share_back(mixed, "standard") if mixed else None
    sharper = _gains(means, damaged, "1 pass", "standard", "blur")
    nearer = [
        gain
        for region in ("skin", "hair")
        for gain in _gains({"mixed": mixed}, ("mixed",), "1 pass", "standard", f"{region}_statistics")
    ]
    return (
        Claim("standard on mixed damage: PSNR gained, dB", 0.3, _gain(mixed, "standard")),
        Claim(
            "standard on mixed damage: share of the lost sharpness back",
            0.5,
            None if share is None else (share, ""),
        ),
        Claim("standard is sharper than one pass: blur effect less", 0, _least(sharper)),
        Claim("its texture on mixed damage is nearer to the truth's, octaves", 0, _least(nearer)),
        Claim(
            "two passes are not under one by more, dB",
            -0.1,
            _least(_gains(means, damaged, "2 passes", "1 pass", "psnr")),
        ),
    )


def share_back(values: Mapping[str, Mapping[str, float]], method: str) -> float | None:
    """Return the share of the lost sharpness, by blur effect, that was recovered.

    None if almost nothing was lost, as with noise, which counts as sharpness.

    values  by method, `input` and `truth` among them, and measure
    """
    lost = values["input"]["blur"] - values["truth"]["blur"]
    return (values["input"]["blur"] - values[method]["blur"]) / lost if lost > LEAST_LOST else None


def _mean(means: Means, names: Iterable[str]) -> dict[str, dict[str, float]]:
    """Return the mean of some degradations by method and measure; empty where one was not measured."""
    if not all(name in means for name in names):
        return {}
    these = [means[name] for name in names]
    return {
        method: {key: float(np.mean([each[method][key] for each in these])) for key in values}
        for method, values in these[0].items()
    }


def _gain(mixed: Mapping[str, Mapping[str, float]], method: str) -> tuple[float, str] | None:
    return (mixed[method]["psnr"] - mixed["input"]["psnr"], "") if mixed else None


def _promises(means: Means) -> Iterable[Claim]:
    """Yield the claims about what presets are for."""
    for preset, where, words, over, measure, wanted in PROMISES:
        found = _least(_gains(means, where, preset, over, measure))
        yield Claim(f"{preset}: {words} ({', '.join(where)})", wanted, found)
    grain = _least(_gains(means, NOISE, "input", "film-scan", "blur"))
    yield Claim(f"film-scan keeps grain: fall of the blur effect ({', '.join(NOISE)})", -0.02, grain)


def _gains(
    means: Means, names: Iterable[str], method: str, over: str, measure: str
) -> Iterable[tuple[float, str]]:
    for name in names:
        here = means.get(name, {})
        if method in here and over in here:
            yield here[method][measure] - here[over][measure], name


def _least(found: Iterable[tuple[float, str]]) -> tuple[float, str] | None:
    return min(found, default=None)
