"""Measure whether restored portraits still show the same person, with and without a bound."""

import math
from collections.abc import Callable, Iterable, Sequence
from dataclasses import asdict, dataclass
from itertools import combinations
from pathlib import Path
from typing import Any

import cv2
import numpy as np

from base.errors import PhotoError
from base.setting import Range, option
from base.text import one_line
from bench.benchmark import Benchmark, Tick, model
from bench.report import Measure, Report, Table, table
from portraits.damage import Portrait
from portraits.degradations import Degradation, degrade, named
from portraits.likeness import ground, psnr
from portraits.reading import load_portraits, pictures_in
from runtime.chosen_faces import LIKE
from runtime.faces.close_up import cut_close_up
from runtime.faces.face import Face
from runtime.faces.recognise import ANOTHER, Descriptor, distance
from runtime.pixels import Pixels, eight_bit
from runtime.restorer import Restorer
from runtime.settings.settings import SAME_PERSON, RestoreSettings

DAMAGES = ("mixed-light", "mixed-medium", "mixed-heavy", "training-range", "noise-heavy", "blur-heavy")
AWAY = 0.05
"""How much further from the truth than the photo a restored face may be."""
KEPT = 0.8
"""Share of the gain in PSNR that the bound must leave."""
TONES = ("lightest third", "middle third", "darkest third")


@dataclass(frozen=True)
class IdentitySettings:
    """What is restored and measured."""

    portraits: Path = option(None, "Folder of square, aligned portraits.", "PORTRAITS", nargs=None)
    package: str | None = model()
    first: int = option(0, "Number of the first portrait, by name.", range=Range(0))
    limit: int | None = option(None, "Largest number of portraits.", range=Range(1))
    bound: float = option(SAME_PERSON, "The bound of --same-person.", range=Range(0, 1))
    categories: tuple[str, ...] = option(DAMAGES, "Measure these degradations: NAME[,NAME].")
    size: int = option(
        512, "Side to which the portraits are resized before they are damaged.", range=Range(1)
    )


@dataclass(frozen=True)
class Case:
    """One portrait with one kind of damage."""

    damage: str
    portrait: int
    tone: float
    """Individual typology angle of the skin in degrees: the lighter the skin, the larger."""
    before: float
    """Distance of the photo to the truth."""
    free: float
    """Distance of the restoration to the truth."""
    held: float
    """And with the bound."""
    moved: float
    """Distance of the restoration to the photo."""
    moved_held: float
    limit: float
    share: float
    unknown: bool
    gain: float
    """Of the restoration, in dB PSNR."""
    gain_held: float

    @property
    def falsely(self) -> bool:
        """Whether the bound stopped the face although its full restoration would be nearer to the truth."""
        return self.share < 1 and self.free < self.before


def steps(settings: IdentitySettings) -> int:
    """Return how many steps `measure` reports. Raises PhotoError and SettingsError."""
    taken = pictures_in(settings.portraits)[settings.first :][: settings.limit]
    return len(taken) * len(named(settings.categories))


def measure(settings: IdentitySettings, tick: Tick) -> Report:
    """Restore each damaged portrait freely and within the bound, and measure both against the truth.

    Raises PhotoError if there are no portraits, SettingsError, PackageError and BackendError.
    """
    truths = load_portraits(
        settings.portraits, first=settings.first, limit=settings.limit, size=settings.size
    )
    cases: list[Case] = []
    own: list[Descriptor] = []
    with Restorer.open(settings.package) as restorer:
        for i, truth in enumerate(truths):
            found = restorer.detect(truth)[:1]
            if found:
                own += _describe(restorer, found[0], truth)
            for damage in named(settings.categories):
                if found:
                    cases.append(_case(restorer, truth, damage, settings.first + i, settings.bound, found))
                tick()
        name = restorer.package.manifest.name
    if not cases:
        raise PhotoError(f"no face was found in the portraits in {one_line(settings.portraits)}")
    return _report(settings, name, cases, own)


def _describe(restorer: Restorer, face: Face, *photos: Pixels) -> list[Descriptor]:
    return [*restorer.recogniser.describe([cut_close_up(photo, face.landmarks) for photo in photos])]


def _case(
    restorer: Restorer,
    truth: Portrait,
    damage: Degradation,
    number: int,
    bound: float,
    found: tuple[Face, ...],
) -> Case:
    """Measure one portrait; its face is where it is found in the truth."""
    photo = degrade(truth, damage, number)
    free = restorer.restore(photo, RestoreSettings(budget=math.inf), found=found).photo
    result = restorer.restore(photo, RestoreSettings(same_person=bound, budget=math.inf), found=found)
    identity = result.faces[0].identity
    assert identity
    assert identity.limit is not None
    true, before, after, held = _describe(restorer, found[0], truth, photo, free, result.photo)
    inside = ground(len(truth)).inside
    start, end, kept = (psnr(eight_bit(p[inside]), truth[inside]) for p in (photo, free, result.photo))
    return Case(
        damage.name,
        number,
        tone_of(truth),
        distance(before, true),
        distance(after, true),
        distance(held, true),
        distance(after, before),
        distance(held, before),
        identity.limit,
        identity.share,
        identity.distance is None,
        end - start,
        kept - start,
    )


def tone_of(portrait: Portrait) -> float:
    """Return the individual typology angle of a portrait's skin, in degrees.

    A. Chardon, I. Cretois and C. Hourseau, "Skin colour typology and suntanning pathways", 1991. It depends
    on the light of the photo too.
    """
    where = ground(len(portrait))
    lab = cv2.cvtColor(portrait[where.inside].astype(np.float32) / 255, cv2.COLOR_RGB2LAB)
    lightness, _, yellow = np.median(lab[where.skin > 0.5], axis=0)
    return math.degrees(math.atan2(lightness - 50, yellow))


def _report(
    settings: IdentitySettings, package: str, cases: Sequence[Case], own: Sequence[Descriptor]
) -> Report:
    names = dict.fromkeys(case.damage for case in cases)
    by_damage = {name: [case for case in cases if case.damage == name] for name in names}
    ordered = sorted({(case.tone, case.portrait) for case in cases}, reverse=True)
    third = {number: 3 * i // len(ordered) for i, (_, number) in enumerate(ordered)}
    by_tone = {name: [c for c in cases if third[c.portrait] == i] for i, name in enumerate(TONES)}
    by_tone = {name: group for name, group in by_tone.items() if group}
    bound = f"--same-person {settings.bound:g}"
    apart = [distance(*pair) for pair in combinations(own, 2)]
    worst = max(case.held - case.before for case in cases)
    beyond = sum(case.moved_held > case.limit + 1e-3 for case in cases)
    least = min(_kept(group) for group in by_damage.values())
    return Report(
        name="identity",
        tables=(
            _cases_table(f"Identity: portraits restored by {package}, freely and with {bound}", by_damage),
            _cases_table("By skin tone, over all damage", by_tone),
            _pairs(apart),
        ),
        summary=f"With {bound} no face moves away from the truth by more than {worst:.3f} (bar: {AWAY:g}), "
        f"every kind of damage keeps {least:.0%} or more of its gain (bar: {KEPT:.0%}), and {beyond} faces "
        "are beyond their bound.",
        figures={"cases": [_rounded(case) for case in cases]},
        measures=(
            Measure("furthest from the truth", worst, ""),
            Measure("least gain kept", least, "", more_is_better=True),
        ),
        conditions={
            "package": package,
            "bound": settings.bound,
            "damages": list(by_damage),
            "size": settings.size,
        },
        failed=worst > AWAY or least < KEPT or beyond > 0,
    )


def _cases_table(title: str, groups: dict[str, list[Case]]) -> Table:
    def mean(values: Callable[[Case], float]) -> Callable[[str], str]:
        return lambda name: f"{np.mean([values(case) for case in groups[name]]):.3f}"

    def most(values: Callable[[Case], float]) -> Callable[[str], str]:
        return lambda name: f"{max(values(case) for case in groups[name]):+.3f}"

    def share(values: Callable[[Case], bool]) -> Callable[[str], str]:
        return lambda name: f"{np.mean([values(case) for case in groups[name]]):.0%}"

    return table(
        title,
        groups,
        {
            "": str,
            "photo to truth": mean(lambda case: case.before),
            "restored": mean(lambda case: case.free),
            "with the bound": mean(lambda case: case.held),
            "away, most": most(lambda case: case.free - case.before),
            "with the bound, most": most(lambda case: case.held - case.before),
            "gain kept": lambda name: f"{_kept(groups[name]):.0%}",
            "stopped": share(lambda case: case.share < 1),
            "though nearer": share(lambda case: case.falsely),
            "unknown": share(lambda case: case.unknown),
        },
    )


def _rounded(case: Case) -> dict[str, Any]:
    return {
        name: round(value, 3) if isinstance(value, float) else value for name, value in asdict(case).items()
    }


def _kept(cases: Iterable[Case]) -> float:
    """Return the share of the gain in PSNR that the bound leaves; 1 if there is hardly any."""
    cases = list(cases)
    gain = float(np.mean([case.gain for case in cases]))
    return float(np.mean([case.gain_held for case in cases])) / gain if gain > 0.05 else 1.0


def _pairs(apart: Sequence[float]) -> Table:
    """Return how often two people pass for one."""
    rows = {"pairs": str(len(apart))}
    if apart:
        rows |= {
            "median distance": f"{np.median(apart):.3f}",
            "least": f"{min(apart):.3f}",
            f"under {ANOTHER:g}": f"{np.mean(np.array(apart) < ANOTHER):.2%}",
            f"under {LIKE:g}, the limit of person=FILE": f"{np.mean(np.array(apart) < LIKE):.2%}",
        }
    return table("Undamaged portraits of different people", rows, {"": str, "value": lambda name: rows[name]})


BENCHMARK = Benchmark(IdentitySettings, steps, measure)
