"""Warnings about a face whose restoration may not be trustworthy."""

from collections.abc import Iterable
from dataclasses import dataclass
from math import floor

from base.text import listed
from runtime.faces.face import Face
from runtime.faces.no_information import Cause, Missing
from runtime.faces.recognise import ANOTHER
from runtime.finish.drawn_over import Covered
from runtime.finish.fine_detail import Above
from runtime.finish.legible import WITHOUT_MESH
from runtime.identity import Identity
from runtime.network.loop import LoopResult
from runtime.network.schedule import iterations_for, pass_schedule, progress
from runtime.settings.settings import RestoreSettings

TINY = 24
"""Faces narrower than this many photo pixels hold too little detail to restore."""
INVENTS = 1.1
"""Above this degradation scale the prior starts to invent moles and scars."""
TURNED = 40.0
"""Degrees from which a face counts as turned away; networks have seen few such faces."""
HALFWAY = 0.5
"""Below this progress the latent has hardly moved away from the photo."""


NAMES = {
    "eye": "the eyes",
    "brow": "the brows",
    "nose": "the nose",
    "lip": "the mouth",
    "cheek": "the cheeks and chin",
    "forehead": "the forehead",
}
"""Photographers' names for the regions of the face proper."""


_CAUSES: dict[Cause, str] = {
    "covered": "covered",
    "too-bright": "blown out",
    "covered-and-too-bright": "covered and blown out",
}


@dataclass(frozen=True)
class FaceWarning:
    """A warning about a face, for the user."""

    code: str
    """Short and stable, for programs: `tiny-face`."""
    sentence: str
    """For a photographer."""
    cause: Cause | None = None
    """Of `missing-information`: why."""


def is_tiny(face: Face) -> bool:
    """Return whether a face is too small to restore."""
    return face.width < TINY


def face_warnings(
    face: Face,
    loop: LoopResult | None,
    settings: RestoreSettings,
    *,
    missing: Missing | None = None,
    covered: Covered | None = None,
    yaw: float = 0.0,
    above: Above | None = None,
    far: bool = False,
    made_out: float = 1.0,
    identity: Identity | None = None,
    most_passes: int | None = None,
) -> tuple[FaceWarning, ...]:
    """Return the warnings about a face.

    loop         None for a face that was left alone
    missing      its areas without information, if any
    covered      what lies in front of it, if anything
    yaw          degrees by which it is turned
    above        its detail above the crop's resolution, if the photo is finer
    far          whether the network's colours are far from the photo's
    made_out     how much of the face can be made out
    identity     whether it is still the same person, if that was measured
    most_passes  the largest number of passes
    """
    if loop is None:
        return (_tiny(face),) if is_tiny(face) else ()
    found = []
    if missing is not None:
        found.append(_missing(missing, filled=settings.fill_missing))
    if covered is not None:
        found.append(_CLOSED_EYES if covered.opened else _covered(covered))
    if abs(yaw) >= TURNED:
        found.append(_turned(yaw))
    if above and above.is_much:
        found.append(_LARGER_THAN_MODEL)
    if far:
        found.append(_IMPLAUSIBLE_COLOURS)
    if made_out < 1:
        found.append(_too_blurred(made_out))
    if identity is not None:
        found.extend(_about_identity(identity))
    if settings.degradation_scale > INVENTS:
        found.append(_hallucination(settings.degradation_scale))
    if loop.over_budget:
        found.append(_over_budget(loop, settings))
    elif settings.strength == 1 and progress(settings.latent_step_decay, settings.iterations) < HALFWAY:
        found.append(_slow(settings, most_passes))
    return tuple(found)


def _tiny(face: Face) -> FaceWarning:
    sentence = (
        f"the face is {floor(face.width)} pixels wide, under {TINY}, too few to restore: it was left alone"
    )
    return FaceWarning("tiny-face", sentence)


def _too_blurred(made_out: float) -> FaceWarning:
    share = WITHOUT_MESH * made_out
    done = f"only {share:.0%} of the restoration was applied" if share else "it was left as it is"
    sentence = f"too little of this face can be made out, and the network would invent another: {done}"
    return FaceWarning("too-blurred", sentence)


_LARGER_THAN_MODEL = FaceWarning(
    "face-larger-than-model",
    "much of this face is finer than the model's crop: that detail is kept from the photo, denoised but "
    "not restored; restoring it takes a model with larger crops",
)
_IMPLAUSIBLE_COLOURS = FaceWarning(
    "implausible-colours",
    "the network's colours are far from the photo's: check that the package holds trained weights of this "
    "network (--model), converted with the right layout, and expects this --template",
)


_IDENTITY_UNKNOWN = FaceWarning(
    "identity-unknown",
    "the photo shows too little of this face to tell whether it is still the same person: look closely",
)


def _missing(missing: Missing, *, filled: bool) -> FaceWarning:
    """Report in a photographer's words where information is missing, how much, and what was done."""
    where, share = _where(missing.regions), _percent(missing.share)
    done = (
        "it was filled from its surroundings, and the result is a guess" if filled else "it was left as it is"
    )
    sentence = f"{share} of the face holds no picture ({where}; {_CAUSES[missing.cause]}): {done}"
    return FaceWarning("missing-information", sentence, missing.cause)


def _about_identity(identity: Identity) -> Iterable[FaceWarning]:
    if identity.distance is None:
        yield _IDENTITY_UNKNOWN
    elif identity.distance >= ANOTHER:
        sentence = (
            f"the face passes for another person (distance {identity.distance:.2f}): look closely, or stop "
            "earlier with --same-person"
        )
        yield FaceWarning("another-person", sentence)
    if identity.share < 1:
        done = (
            f"only {identity.share:.0%} of the restoration" if identity.share else "none of the restoration"
        )
        sentence = f"{done} was applied to the face, because more would change the person (--same-person)"
        yield FaceWarning("identity-limited", sentence)


def _covered(covered: Covered) -> FaceWarning:
    where, share = _where(covered.regions), _percent(covered.share)
    sentence = (
        f"something lies before {share} of the face ({where}), which the network would have drawn over: the "
        "photo's own pixels were kept there"
    )
    return FaceWarning("covered", sentence)


_CLOSED_EYES = FaceWarning(
    "closed-eyes", "the eyes are closed, and the network would have opened them: they were left as they are"
)


def _turned(yaw: float) -> FaceWarning:
    sentence = (
        f"the face is turned by about {abs(yaw):.0f}°, and the network has seen few such faces: compare the "
        "result with the photo"
    )
    return FaceWarning("turned-away", sentence)


def _where(regions: tuple[str, ...]) -> str:
    return listed(NAMES[region] for region in regions)


def _percent(share: float) -> str:
    return "under 1%" if share < 0.01 else f"{share:.0%}"


def _hallucination(scale: float) -> FaceWarning:
    sentence = (
        f"at degradation scale {scale:g} the network sees so little of the face that it may invent moles "
        f"and scars: use {INVENTS:g} or less, or compare closely"
    )
    return FaceWarning("hallucination-risk", sentence)


def _over_budget(loop: LoopResult, settings: RestoreSettings) -> FaceWarning:
    sentence = (
        f"the time budget of {settings.budget:g} s ended the restoration after {loop.steps} of "
        f"{settings.iterations} iterations: the face is restored less than requested"
    )
    return FaceWarning("budget-exceeded", sentence)


def _slow(settings: RestoreSettings, most_passes: int | None) -> FaceWarning:
    eta = settings.latent_step_decay
    needed = iterations_for(eta, HALFWAY)
    after, before = (pass_schedule(eta, n, most=most_passes) for n in (needed, settings.iterations))
    more = len(after.times) - len(before.times)
    cost = f"at {more} more passes of the network" if more else "and take no longer"
    sentence = (
        f"{settings.iterations} iterations at step {eta:g} go only {progress(eta, settings.iterations):.0%} "
        f"of the way: {needed} would go half of it, {cost} (for a deliberately light result, use --strength)"
    )
    return FaceWarning("slow-convergence", sentence)


def not_parsed() -> FaceWarning:
    """Return the warning for a face in which the face-parsing network found none."""
    sentence = (
        "the face-parsing network finds no plausible face here: the regions follow the face's landmarks "
        "instead, so hair and background are separated only roughly"
    )
    return FaceWarning("not-parsed", sentence)
