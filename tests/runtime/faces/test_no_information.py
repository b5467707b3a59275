"""Parts of a face without information: found, said, and kept or filled; and ordinary faces left alone."""

from collections.abc import Callable, Iterator
from dataclasses import replace
from itertools import cycle
from typing import Any

import cv2
import numpy as np
import pytest
from numpy.typing import ArrayLike, NDArray

from runtime import Restorer, RestoreSettings, preset
from runtime.faces.align import AlignedFace, align, inverted
from runtime.faces.detect import open_detector
from runtime.faces.face import Face
from runtime.faces.no_information import Missing, fill_missing, find_missing, keep_missing
from runtime.faces.regions import crop_landmarks, region_masks
from runtime.settings.presets import PRESETS

Pixels = NDArray[np.uint8]
PATIENT = RestoreSettings(budget=600)
CHEEK = (244, 124)
"""A place in the middle of a cheek of the portrait."""
INK = (20, 25, 90)
FILL = replace(PATIENT, fill_missing=True)


@pytest.fixture(scope="module")
def aligned(portrait: Pixels) -> AlignedFace:
    (face,) = open_detector().detect(portrait)
    return align(portrait, face, 256)


@pytest.fixture(scope="module")
def noisy(portrait: Pixels) -> Pixels:
    """The portrait with so much noise that there is something to restore."""
    noise = np.random.default_rng(0).normal(0, 12, portrait.shape)
    return np.asarray(np.clip(np.rint(portrait + noise), 0, 255), np.uint8)


@pytest.fixture(scope="module")
def default() -> Iterator[Restorer]:
    with Restorer.open(threads=1) as opened:
        yield opened


def inked(photo: Pixels, width: int = 15) -> Pixels:
    return cv2.ellipse(photo.copy(), CHEEK, (width, round(0.7 * width)), 20, 0, 360, INK, -1)


def barred(photo: Pixels) -> Pixels:
    return cv2.rectangle(photo.copy(), (180, 85), (275, 108), (0, 0, 0), -1)


def blown_out(photo: Pixels) -> Pixels:
    y, x = np.mgrid[: photo.shape[0], : photo.shape[1]]
    light = 350 * np.exp(-(((x - 215) / 22) ** 2) - ((y - 75) / 16) ** 2)
    return np.clip(photo + light[..., None], 0, 255).astype(np.uint8)


def scanned_ink(photo: Pixels) -> Pixels:
    noise = np.random.default_rng(0).normal(0, 3, photo.shape)
    return np.clip(inked(photo) + noise, 0, 255).astype(np.uint8)


def missing_in(photo: Pixels, aligned: AlignedFace, size: int = 256) -> Missing | None:
    return find_missing(align(photo, aligned.face, size))


@pytest.mark.parametrize(
    ("spoil", "region", "cause"),
    [
        (inked, "cheek", "covered"),
        (scanned_ink, "cheek", "covered"),
        (barred, "eye", "covered"),
        (blown_out, "forehead", "too-bright"),
    ],
)
def test_what_is_covered_or_blown_out_is_found_and_named(
    portrait: Pixels, aligned: AlignedFace, spoil: Callable[[Pixels], Pixels], region: str, cause: str
) -> None:
    found = missing_in(spoil(portrait), aligned)
    assert found is not None
    assert region in found.regions
    assert found.cause == cause
    assert 0.015 < found.share < 0.3
    assert found.hole.min() >= 0
    assert found.hole.max() == 1


@pytest.mark.parametrize("size", [64, 256, 512])
def test_the_hole_covers_the_ink_at_every_crop_size(
    portrait: Pixels, aligned: AlignedFace, size: int
) -> None:
    found = missing_in(inked(portrait, 20), aligned, size)
    assert found is not None
    changed = np.abs(
        align(inked(portrait, 20), aligned.face, size).crop - align(portrait, aligned.face, size).crop
    )
    ink = changed.max(axis=2) > 0.1
    assert found.hole[ink].min() > 0.75
    assert (found.hole > 0.5).sum() < 3 * ink.sum() + 0.01 * size**2


def test_ordinary_faces_hold_information_everywhere(portrait: Pixels, aligned: AlignedFace) -> None:
    noise = np.random.default_rng(0).normal(0, 15, portrait.shape)
    _, jpeg = cv2.imencode(".jpg", portrait, [cv2.IMWRITE_JPEG_QUALITY, 15])
    for photo in (
        portrait,
        portrait // 4,
        cv2.GaussianBlur(portrait, (0, 0), 4),
        np.clip(portrait + noise, 0, 255).astype(np.uint8),
        np.asarray(cv2.imdecode(jpeg, cv2.IMREAD_COLOR), np.uint8),
    ):
        assert missing_in(photo, aligned) is None


@pytest.mark.parametrize("colour", [(0, 0, 0), (255, 255, 255), (90, 140, 60)])
def test_what_reaches_in_from_outside_is_not_missing(
    portrait: Pixels, aligned: AlignedFace, colour: tuple[int, int, int]
) -> None:
    """A background, a hat or crushed hair, sharply bordered and of one colour."""
    around = cv2.rectangle(portrait.copy(), (0, 0), (185, 511), colour, -1)
    hat = cv2.rectangle(portrait.copy(), (100, 0), (330, 66), colour, -1)
    for photo in (around, hat):
        assert missing_in(photo, aligned) is None


def test_glare_and_highlights_are_not_missing(portrait: Pixels, aligned: AlignedFace) -> None:
    glare = cv2.fillPoly(
        portrait.copy(), [np.array([(190, 100), (202, 100), (196, 108), (188, 108)])], (255,) * 3
    )
    spot = cv2.GaussianBlur(
        cv2.ellipse(portrait.copy(), (225, 78), (8, 5), 0, 0, 360, (255,) * 3, -1), (0, 0), 2
    )
    for photo in (glare, spot):
        assert missing_in(photo, aligned) is None


def overexposed(photo: Pixels) -> Pixels:
    return np.clip(photo * 1.9, 0, 255).astype(np.uint8)


def in_sunglasses(photo: Pixels) -> Pixels:
    worn = photo.copy()
    for x in (199, 246):
        cv2.ellipse(worn, (x, 99), (20, 15), 0, 0, 360, (12, 12, 14), -1)
    cv2.rectangle(worn, (215, 92), (230, 95), (12, 12, 14), -1)
    return cv2.GaussianBlur(worn, (0, 0), 0.7)


def masked(photo: Pixels) -> Pixels:
    outline = np.array([(180, 124), (223, 115), (266, 124), (260, 173), (223, 193), (188, 173)])
    return cv2.fillPoly(photo.copy(), [outline], (150, 190, 220))


def pleated(
    photo: Pixels, colour: tuple[int, int, int] = (150, 190, 220), folds: int = 4, sigma: float = 0
) -> Pixels:
    """A mask with soft folds, shaded towards its sides, in a photo with noise."""
    outline = np.array([(180, 124), (223, 115), (266, 124), (260, 173), (223, 193), (188, 173)])
    cloth = cv2.fillPoly(np.zeros(photo.shape[:2], np.float32), [outline], 1)
    y, x = np.mgrid[: photo.shape[0], : photo.shape[1]]
    light = 1 - 0.2 * np.abs(x - 223) / 50
    for fold in range(folds):
        light *= 1 - 0.15 * np.exp(-((y - 120 - 70 * (fold + 1) / (folds + 1)) ** 2) / 2)
    cover = cv2.GaussianBlur(cloth, (0, 0), 0.7)[..., None]
    noise = np.random.default_rng(0).normal(0, sigma, photo.shape)
    worn = photo * (1 - cover) + cover * light[..., None] * np.array(colour) + noise
    return np.rint(np.clip(worn, 0, 255)).astype(np.uint8)


Y, X = (axis.astype(np.float32) for axis in np.mgrid[:512, :512])
CLOTH = cv2.fillPoly(
    np.zeros((512, 512), np.float32),
    [np.array([(180, 124), (223, 115), (266, 124), (260, 173), (223, 193), (188, 173)])],
    1,
)
LENSES = cv2.GaussianBlur(
    cv2.ellipse(
        cv2.ellipse(np.zeros((512, 512), np.float32), (200, 101), (20, 16), 0, 0, 360, 1, -1),
        *((247, 103), (20, 16), 0, 0, 360, 1, -1),
    ),
    (0, 0),
    0.7,
)
BAR = cv2.rectangle(np.zeros((512, 512), np.float32), (178, 86), (270, 114), 1, -1)
BALL = cv2.circle(np.zeros((512, 512), np.float32), (223, 160), 17, 1, -1, cv2.LINE_AA)
BITE = cv2.ellipse(np.zeros((512, 512), np.float32), (223, 155), (30, 13), 0, 0, 360, 1, -1, cv2.LINE_AA)
GLASS = cv2.fillPoly(
    np.zeros((512, 512), np.float32), [np.array([(204, 148), (242, 148), (238, 195), (208, 195)])], 1
)
OVAL = cv2.ellipse(np.zeros((512, 512), np.float32), (223, 122), (50, 72), 0, 0, 360, 1, -1)


def laid(photo: Pixels, share: NDArray[np.float32], what: ArrayLike) -> Pixels:
    """Return the photo under something, which shows where its share is 1."""
    mixed = photo * (1 - share[..., None]) + share[..., None] * np.asarray(what)
    return np.rint(np.clip(mixed, 0, 255)).astype(np.uint8)


def two(where: NDArray[Any], first: ArrayLike, second: ArrayLike) -> NDArray[np.float32]:
    """Return one colour where a pattern is true, or another."""
    return np.where(where[..., None], np.asarray(first, np.float32), np.asarray(second, np.float32))


def in_blocks(photo: Pixels, side: int) -> Pixels:
    small = cv2.resize(photo, (512 // side, 512 // side), interpolation=cv2.INTER_AREA)
    blocks = np.repeat(np.repeat(small, side, 0), side, 1)
    return cv2.copyMakeBorder(blocks, 0, 512 - len(blocks), 0, 512 - len(blocks), cv2.BORDER_REPLICATE)


PATTERNED: dict[str, tuple[NDArray[np.float32], Callable[[Pixels], ArrayLike]]] = {
    "striped mask": (CLOTH, lambda _: two((X + Y) % 12 < 6, (30, 40, 150), (235, 235, 230))),
    "checked mask": (CLOTH, lambda _: two((X % 16 < 8) ^ (Y % 16 < 8), (20, 20, 22), (225, 60, 60))),
    "dotted mask": (
        CLOTH,
        lambda _: two(np.hypot(X % 14 - 7, Y % 14 - 7) < 4, (250, 250, 250), (180, 60, 120)),
    ),
    "lace": (
        CLOTH,
        lambda face: (
            two(np.hypot(X % 6 - 3, Y % 6 - 3) < 2, 0, 235)
            + two(np.hypot(X % 6 - 3, Y % 6 - 3) < 2, 1, 0) * face
        ),
    ),
    "graded lenses": (
        LENSES * np.clip(1.1 - (Y - 85) / 45, 0.3, 0.95),
        lambda _: (40, 32, 28),
    ),
    "tinted lenses": (0.75 * LENSES, lambda _: (120, 60, 25)),
    "mirrored lenses": (LENSES, lambda _: two(Y < 103, (150, 190, 240), (90, 80, 60)) + (Y - 100)[..., None]),
    "mosaic of the eyes": (BAR, lambda face: in_blocks(face, 8)),
    "mosaic of the face": (OVAL, lambda face: in_blocks(face, 11)),
    "blurred eyes": (BAR, lambda face: cv2.GaussianBlur(face, (0, 0), 7)),
    "blurred face": (OVAL, lambda face: cv2.GaussianBlur(face, (0, 0), 9)),
    "soft black bar": (cv2.GaussianBlur(BAR, (0, 0), 3), lambda _: (0, 0, 0)),
    "soft white bar": (cv2.GaussianBlur(BAR, (0, 0), 3), lambda _: (255, 255, 255)),
    "microphone": (
        BALL,
        lambda _: 90 - 4 * np.hypot(X - 214, Y - 154)[..., None] + 25 * (X % 3 < 1)[..., None],
    ),
    "sandwich": (BITE, lambda _: two(np.abs(Y - 154) < 4, (90, 150, 60), (205, 145, 80))),
    "drink": (GLASS, lambda _: (190, 110, 35) - 0.6 * np.abs(X - 223)[..., None]),
}
"""Where each thing lies, and what it shows over a face."""


def worn(photo: Pixels, name: str) -> Pixels:
    share, what = PATTERNED[name]
    return laid(photo, share, what(photo))


@pytest.mark.parametrize(
    ("name", "damage"),
    [
        *((name, "none") for name in PATTERNED),
        *zip(PATTERNED, cycle(["noise", "soft", "jpeg"]), strict=False),
    ],
)
def test_covers_of_any_pattern_are_found(
    portrait: Pixels, aligned: AlignedFace, name: str, damage: str
) -> None:
    photo = worn(portrait, name)
    if damage == "noise":
        photo = np.clip(photo + np.random.default_rng(0).normal(0, 6, photo.shape), 0, 255).astype(np.uint8)
    elif damage == "soft":
        photo = cv2.GaussianBlur(photo, (0, 0), 0.8)
    elif damage == "jpeg":
        stored = cv2.imencode(".jpg", photo, [cv2.IMWRITE_JPEG_QUALITY, 70])[1]
        photo = np.asarray(cv2.imdecode(stored, cv2.IMREAD_COLOR), np.uint8)
    found = missing_in(photo, aligned)
    assert found is not None
    assert found.cause == "covered"
    inside = cv2.erode(np.repeat(PATTERNED[name][0][..., None], 3, axis=2), np.ones((9, 9)))
    cover = align((255 * (inside > 0.2)).astype(np.uint8), aligned.face, 256).crop[..., 0] > 0.99
    assert (found.hole[cover] > 0.99).mean() > 0.95


@pytest.mark.parametrize(
    "outline",
    [[(120, 150), (330, 154), (335, 300), (115, 300)], [(222, 40), (330, 40), (330, 260), (222, 260)]],
    ids=["lower", "side"],
)
def test_what_covers_half_of_a_face_and_more_around_it_is_found(
    portrait: Pixels, aligned: AlignedFace, outline: list[tuple[int, int]]
) -> None:
    sheet = cv2.fillPoly(np.zeros((512, 512), np.float32), [np.array(outline)], 1)
    grain = np.random.default_rng(0).normal(0, 4, (512, 512, 1))
    found = missing_in(laid(portrait, sheet, 112 + grain), aligned)
    assert found is not None
    inside = cv2.erode(np.repeat(sheet[..., None], 3, axis=2), np.ones((9, 9)))
    cover = align((255 * inside).astype(np.uint8), aligned.face, 256).crop[..., 0] > 0.99
    middle = np.s_[60:225, 50:206]  # what the network for covers looks at, without its border
    assert (found.hole[middle][cover[middle]] > 0.99).mean() > 0.95


@pytest.mark.parametrize("colour", [(238, 238, 236), (150, 190, 220), (24, 24, 27)])
@pytest.mark.parametrize(("folds", "sigma"), [(3, 0), (4, 3), (5, 0)])
@pytest.mark.parametrize("soft", [0, 2])
def test_a_pleated_mask_is_found_whole(
    portrait: Pixels,
    aligned: AlignedFace,
    colour: tuple[int, int, int],
    folds: int,
    sigma: float,
    soft: float,
) -> None:
    photo = pleated(portrait, colour, folds, sigma)
    if soft:
        photo = cv2.GaussianBlur(photo, (0, 0), soft)
    found = missing_in(photo, aligned)
    assert found is not None
    assert found.cause == "covered"
    inside = cv2.rectangle(np.zeros_like(photo), (192, 126), (254, 170), (255,) * 3, -1)
    cloth = align(inside, aligned.face, 256).crop[..., 0] > 0.99
    assert (keep_missing(np.full((256, 256), 0.04, np.float32), found)[cloth] > 0.99).all()


def bearded(photo: Pixels) -> Pixels:
    """A full beard of single hairs, through which the lips are seen."""
    grown, random = photo.copy(), np.random.default_rng(0)
    for _ in range(1500):
        x, y = random.integers(182, 265), random.integers(135, 190)
        if ((x - 223) / 18) ** 2 + ((y - 151) / 6) ** 2 > 1:
            shade = int(random.integers(15, 90))
            end = (int(x + random.integers(-3, 4)), int(y + random.integers(3, 9)))
            cv2.line(grown, (int(x), int(y)), end, (shade, shade * 3 // 4, shade // 2), 1)
    return grown


def open_mouthed(photo: Pixels) -> Pixels:
    wide = cv2.ellipse(photo.copy(), (223, 152), (17, 12), 0, 0, 360, (165, 80, 80), -1)
    cv2.ellipse(wide, (223, 152), (13, 9), 0, 0, 360, (50, 15, 20), -1)
    cv2.ellipse(wide, (223, 146), (10, 3), 0, 0, 360, (225, 220, 205), -1)
    return cv2.GaussianBlur(wide, (0, 0), 1)


def moustached(photo: Pixels) -> Pixels:
    area = cv2.ellipse(np.zeros((512, 512), np.float32), (223, 139), (20, 6), 0, 0, 360, 0.9, -1)
    hair = 40 + 15 * np.random.default_rng(0).normal(0, 1, (512, 512, 1))
    return laid(photo, cv2.GaussianBlur(area, (0, 0), 1.2), hair)


def spectacled(photo: Pixels) -> Pixels:
    for x, y in ((200, 101), (247, 103)):
        photo = cv2.ellipse(photo.copy(), (x, y), (19, 15), 0, 0, 360, (40, 30, 25), 2, cv2.LINE_AA)
    return cv2.line(photo, (219, 98), (228, 98), (40, 30, 25), 2, cv2.LINE_AA)


def half_in_shadow(photo: Pixels) -> Pixels:
    return laid(photo, (X > 215).astype(np.float32), 0.35 * photo)


def hollow_eyed(photo: Pixels) -> Pixels:
    """Light from above leaves the eyes in deep shadow."""
    sockets = np.zeros((512, 512), np.float32)
    for middle in ((200, 98), (247, 100)):
        cv2.ellipse(sockets, middle, (20, 14), 0, 0, 360, 1, -1)
    return laid(photo, cv2.GaussianBlur(sockets, (0, 0), 1.5), 0.3 * photo)


def fringed(photo: Pixels) -> Pixels:
    """Hair over the forehead as far as the brows."""
    grown, random = photo.copy(), np.random.default_rng(0)
    for x in random.integers(178, 270, 500).tolist():
        shade = int(random.integers(25, 90))
        end = (x + int(random.integers(-4, 5)), int(random.integers(80, 96)))
        cv2.line(grown, (x, 50), end, (shade, shade * 3 // 4, shade // 2), 1, cv2.LINE_AA)
    return grown


@pytest.mark.parametrize(
    "change", [bearded, open_mouthed, moustached, spectacled, half_in_shadow, hollow_eyed, fringed]
)
@pytest.mark.parametrize("soft", [0, 1.5, 4])
def test_hair_spectacles_smiles_and_shadows_are_no_covers(
    portrait: Pixels, aligned: AlignedFace, change: Callable[[Pixels], Pixels], soft: float
) -> None:
    photo = change(portrait)
    assert missing_in(cv2.GaussianBlur(photo, (0, 0), soft) if soft else photo, aligned) is None


@pytest.mark.parametrize(
    ("cover", "name"),
    [
        ("checked mask", "standard"),
        ("graded lenses", "film-scan"),
        ("mirrored lenses", "classic"),
        ("mosaic of the eyes", "low-light"),
        ("blurred eyes", "standard"),
        ("soft black bar", "ai-generated"),
    ],
)
def test_what_is_covered_by_a_pattern_keeps_its_pixels(
    default: Restorer, noisy: Pixels, cover: str, name: str
) -> None:
    photo = worn(noisy, cover)
    result = default.restore(photo, preset(name, budget=600), found=default.detect(noisy))
    assert "missing-information" in [warning.code for warning in result.faces[0].warnings]
    inside = cv2.erode(PATTERNED[cover][0], np.ones((5, 5))) > 0.2
    changed = np.abs(result.photo.astype(int) - photo).max(axis=2)
    assert (changed[inside] > 0).mean() < 0.005  # no more than some pixels at the border
    assert changed.max() > 1


@pytest.mark.parametrize("sigma", [5, 20])
def test_a_small_thing_in_noise_keeps_its_pixels_bit_for_bit(
    default: Restorer, portrait: Pixels, sigma: float
) -> None:
    ball = cv2.circle(np.zeros((512, 512), np.float32), (223, 160), 6, 1, -1, cv2.LINE_AA)
    foam = 90 - 4 * np.hypot(X - 217, Y - 155)[..., None] + 25 * (X % 3 < 1)[..., None]
    noise = np.random.default_rng(0).normal(0, sigma, portrait.shape)
    photo = np.clip(np.rint(laid(portrait, ball, foam) + noise), 0, 255).astype(np.uint8)
    result = default.restore(photo, PATIENT, found=default.detect(portrait))
    assert "missing-information" in [warning.code for warning in result.faces[0].warnings]
    assert np.array_equal(result.photo[ball > 0], photo[ball > 0])
    assert not np.array_equal(result.photo, photo)


def test_a_striped_scarf_does_not_turn_the_face_above_it_to_wax(default: Restorer, portrait: Pixels) -> None:
    outline = np.array([(172, 136), (223, 128), (274, 136), (282, 215), (164, 215)])
    scarf = cv2.GaussianBlur(cv2.fillPoly(np.zeros((512, 512), np.float32), [outline], 1), (0, 0), 0.7)
    wave = np.sin((X + Y) / 1.5)[..., None]
    photo = laid(portrait, scarf, np.array([120, 40, 50]) + 25 * wave)
    found = default.detect(portrait)
    bare, covered = (default.restore(picture, PATIENT, found=found) for picture in (portrait, photo))
    assert "missing-information" in [warning.code for warning in covered.faces[0].warnings]
    upper = np.s_[60:118, 185:262]
    plain = np.abs(bare.photo[upper].astype(int) - portrait[upper]).mean()
    changed = np.abs(covered.photo[upper].astype(int) - photo[upper]).mean()
    assert changed < plain + 0.5
    inside = cv2.erode(scarf, np.ones((9, 9))) > 0.99
    inside[190:] = False
    assert np.abs(covered.photo[inside].astype(int) - photo[inside]).max() <= 1


COVERS = {"ink": inked, "over-exposure": overexposed, "sunglasses": in_sunglasses}


@pytest.mark.parametrize(
    ("cover", "name"), [("ink", "standard"), ("over-exposure", "standard"), ("sunglasses", "classic")]
)
def test_what_is_covered_or_blown_out_keeps_its_pixels_bit_for_bit(
    default: Restorer, portrait: Pixels, cover: str, name: str
) -> None:
    blurred = np.asarray(cv2.GaussianBlur(portrait, (0, 0), 1.5))
    photo = COVERS[cover](blurred)
    found = default.detect(portrait)
    result = default.restore(photo, preset(name, budget=600), found=found)
    (face,) = result.faces
    (warning,) = [w for w in face.warnings if w.code == "missing-information"]
    assert warning.sentence.endswith("it was left as it is")
    flat = cv2.dilate(photo, np.ones((3, 3))) == cv2.erode(photo, np.ones((3, 3)))
    covered = flat.all(axis=2) & (photo != blurred).any(axis=2) & near_face(photo, found[0])
    assert covered.sum() > 100
    assert np.array_equal(result.photo[covered], photo[covered])
    assert not np.array_equal(result.photo, photo)


@pytest.mark.parametrize(
    ("light", "name"),
    [((1.0, 0.12, 0.12), "standard"), ((0.15, 0.2, 1.0), "film-scan"), ((0.15, 0.15, 0.15), "low-light")],
)
def test_what_is_covered_in_strange_light_keeps_its_pixels_bit_for_bit(
    default: Restorer, noisy: Pixels, light: tuple[float, ...], name: str
) -> None:
    photo = np.rint(noisy * np.array(light)).astype(np.uint8)
    found = default.detect(noisy)
    (left, y0), (right, y1) = np.rint(found[0].landmarks[:2]).astype(int).tolist()
    bar = np.s_[min(y0, y1) - 14 : max(y0, y1) + 15, left - 20 : right + 21]
    photo[bar] = (120, 130, 110)
    result = default.restore(photo, preset(name, budget=600), found=found)
    assert "missing-information" in [warning.code for warning in result.faces[0].warnings]
    assert np.array_equal(result.photo[bar], photo[bar])
    assert not np.array_equal(result.photo, photo)


def near_face(photo: Pixels, face: Face) -> NDArray[np.bool_]:
    """Where eyes, nose and mouth lie, and a little around them."""
    (x0, y0), (x1, y1) = face.landmarks.min(axis=0) - 8, face.landmarks.max(axis=0) + 8
    y, x = np.mgrid[: photo.shape[0], : photo.shape[1]]
    return np.asarray((x >= x0) & (x <= x1) & (y >= y0) & (y <= y1))


def test_a_cover_is_found_down_to_its_end_below_the_chin(portrait: Pixels, aligned: AlignedFace) -> None:
    photo = masked(portrait)
    found = missing_in(photo, aligned)
    assert found is not None
    mask = np.all(photo == (150, 190, 220), axis=2).astype(np.float32)
    worn = cv2.warpAffine(mask, inverted(aligned.to_photo), (256, 256)) > 0.99
    assert np.flatnonzero(worn.any(axis=1))[-1] > 0.95 * 256
    assert found.hole[worn].min() > 0.99


def test_what_is_missing_is_left_to_the_photo_with_a_soft_border(
    portrait: Pixels, aligned: AlignedFace
) -> None:
    found = missing_in(masked(portrait), aligned)
    assert found is not None
    kappa = keep_missing(np.full((256, 256), 0.04, np.float32), found)
    assert (kappa[found.hole == 1] == 1).all()
    assert np.allclose(kappa[found.hole == 0], 0.04, atol=1e-6)
    assert np.abs(np.diff(kappa, axis=0)).max() < 0.5


def test_the_network_gets_the_crop_as_it_is_unless_it_shall_be_filled(
    restorer: Restorer, portrait: Pixels
) -> None:
    photo = inked(portrait, 20)
    kept, filled = (restorer.restore(photo, settings).faces[0] for settings in (PATIENT, FILL))
    assert kept.aligned is not None
    plain = align(photo, kept.face, len(kept.aligned.crop)).crop
    assert np.array_equal(kept.aligned.crop, plain)
    assert kept.loop is not None
    assert filled.loop is not None
    assert not np.array_equal(kept.loop.restored, filled.loop.restored)


def test_no_preset_fills() -> None:
    assert not any(preset(name).fill_missing for name in PRESETS)


def test_filling_ends_where_another_face_begins(portrait: Pixels, aligned: AlignedFace) -> None:
    photo = masked(portrait)
    shift = 0.5 * (aligned.face.landmarks[1] - aligned.face.landmarks[0])
    other = replace(aligned.face, landmarks=(aligned.face.landmarks + 3 * shift).astype(np.float32))
    crop = align(photo, aligned.face, 256)
    alone, beside = find_missing(crop), find_missing(crop, [other])
    assert alone is not None
    assert beside is not None
    assert np.array_equal(alone.hole, beside.hole)
    head = region_masks(crop_landmarks(replace(crop, face=other)), 256)["other"] < 0.4
    assert alone.fillable[head].max() > 0.9
    assert beside.fillable[head].max() == 0
    assert beside.fillable.max() > 0.9


def test_filling_keeps_features_that_are_still_there(portrait: Pixels, aligned: AlignedFace) -> None:
    crop = align(overexposed(portrait), aligned.face, 256).crop
    found = find_missing(replace(aligned, crop=crop))
    assert found is not None
    filled = fill_missing(crop, found)
    masks = region_masks(crop_landmarks(aligned), 256)
    features = sum(masks[name] for name in ("eye", "brow", "nose", "lip")) > 0.5
    dark = features & (crop.min(axis=2) < 0.6)
    assert dark.sum() > 200
    assert np.abs(filled - crop)[dark].max() < 0.05
    assert np.abs(filled - crop).max() > 0.1


def test_a_hole_is_filled_with_the_colours_of_the_face_around_it(
    portrait: Pixels, aligned: AlignedFace
) -> None:
    crop = align(inked(portrait), aligned.face, 256).crop
    found = find_missing(replace(aligned, crop=crop))
    assert found is not None
    filled = fill_missing(crop, found)
    inside, outside = found.fillable > 0.99, found.fillable == 0
    assert np.array_equal(filled[outside], crop[outside])
    assert np.abs(filled - aligned.crop)[inside].mean() < 0.13
    assert np.abs(crop - aligned.crop)[inside].mean() > 0.3
    slope = np.abs(np.diff(filled, axis=0)).max(axis=2)[inside[1:] & inside[:-1]]
    assert slope.max() < 0.04


def test_without_a_hole_nothing_changes() -> None:
    kappa = np.full((256, 256), 0.3, np.float32)
    assert keep_missing(kappa, None) is kappa


@pytest.mark.parametrize(
    ("scale", "settings"),
    [(1, preset("classic", fill_missing=True)), (1, FILL), (2, preset("film-scan", fill_missing=True))],
)
def test_ink_is_gone_where_it_shall_be_filled_and_the_user_is_told(
    restorer: Restorer, portrait: Pixels, scale: int, settings: RestoreSettings
) -> None:
    photo = inked(portrait, 20)
    photo = cv2.resize(photo, None, fx=scale, fy=scale, interpolation=cv2.INTER_CUBIC)
    result = restorer.restore(photo, replace(settings, budget=600))
    (face,) = result.faces
    (warning,) = [w for w in face.warnings if w.code == "missing-information"]
    assert "of the face holds no picture (the cheeks and chin" in warning.sentence
    assert "; covered): it was filled" in warning.sentence
    assert "the result is a guess" in warning.sentence
    assert np.abs(result.photo[scale * CHEEK[1], scale * CHEEK[0]] - np.array(INK)).max() > 60


@pytest.mark.parametrize("settings", [PATIENT, FILL])
def test_ink_under_weight_zero_stays_bit_for_bit(
    restorer: Restorer, portrait: Pixels, settings: RestoreSettings
) -> None:
    photo = inked(portrait, 20)
    assert np.array_equal(
        restorer.restore(photo, replace(settings, face_mask_weights={"face": 0})).photo, photo
    )


def under(photo: Pixels, light: str, sigma: float = 1.5) -> Pixels:
    grey = np.dstack([photo @ np.array([0.299, 0.587, 0.114])] * 3)
    dark, bright = 0.15 * photo, 255 * (grey / 255) ** 0.45
    lit = {"normal": photo, "dark": dark, "bright and grey": bright, "faded": 165 + 0.3 * photo}[light]
    noise = np.random.default_rng(0).normal(0, sigma, photo.shape[:2])[..., None]
    return np.rint(np.clip(lit + noise, 0, 255)).astype(np.uint8)


@pytest.mark.parametrize("light", ["normal", "dark", "bright and grey", "faded"])
@pytest.mark.parametrize("level", [4, 60, 200, 230])
def test_a_bar_of_any_level_is_found_in_any_light(
    portrait: Pixels, aligned: AlignedFace, light: str, level: int
) -> None:
    photo = under(portrait, light)
    assert missing_in(photo, aligned) is None
    cv2.rectangle(photo, (185, 88), (265, 108), (level,) * 3, -1)
    found = missing_in(photo, aligned)
    assert found is not None
    assert "eye" in found.regions
    bar = align(cv2.rectangle(np.zeros_like(photo), (187, 90), (263, 106), (255,) * 3, -1), aligned.face, 256)
    assert found.hole[bar.crop[..., 0] > 0.99].min() == 1


def test_sunglasses_in_a_very_dark_photo_are_found(portrait: Pixels, aligned: AlignedFace) -> None:
    found = missing_in(under(in_sunglasses(portrait), "dark", 0.5), aligned)
    assert found is not None
    assert found.cause == "covered"
