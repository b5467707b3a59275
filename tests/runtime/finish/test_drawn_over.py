from dataclasses import replace

import cv2
import numpy as np
import pytest
from numpy.typing import NDArray

from runtime.face_work import SeenFace
from runtime.faces.align import AlignedFace, align, cut_out, inverted
from runtime.faces.face import Face
from runtime.faces.mesh import LEFT_EYE, RIGHT_EYE, FaceMesh
from runtime.faces.mesh_network import MeshNetwork
from runtime.finish.drawn_over import closed_lids, find_covered
from runtime.pixels import Crop
from runtime.restorer import Restorer
from runtime.settings.settings import RestoreSettings

LANDMARKS = np.array([(203.2, 101.7), (247.0, 104.5), (223.3, 125.1), (203.4, 142.3), (241.3, 144.4)])
NONE = np.zeros(3, np.float32)


@pytest.fixture(scope="module")
def photo(portrait: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """Twice as large, so that a crop is sharp."""
    return cv2.resize(portrait, None, fx=2, fy=2, interpolation=cv2.INTER_CUBIC)[:512, 192:704]


@pytest.fixture(scope="module")
def bare(photo: NDArray[np.uint8]) -> AlignedFace:
    landmarks = (2 * LANDMARKS - (192, 0)).astype(np.float32)
    aligned = align(photo, Face((0, 0, 1, 1), landmarks, 1.0), 256)
    mesh = MeshNetwork(threads=1).find(photo, landmarks)
    assert mesh is not None
    return replace(aligned, mesh=mesh.moved(inverted(aligned.to_photo)))


def thing(kind: str) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """Something to hold before a crop of 256 pixels: its colours, 0 to 1, and its coverage, finely drawn."""
    fine = 4
    colour = np.zeros((256 * fine, 256 * fine, 3), np.float32)
    cover = np.zeros((256 * fine, 256 * fine), np.float32)

    def draw(paint, *colours):
        for picture, value in ((colour, colours[0]), (cover, 1.0)):
            paint(picture, value)

    if kind == "microphone":
        draw(lambda p, c: cv2.line(p, (540, 840), (600, 1023), c, 110), (0.1, 0.1, 0.12))
        draw(lambda p, c: cv2.circle(p, (520, 770), 100, c, -1), (0.25, 0.25, 0.27))
        for x in range(420, 630, 12):
            cv2.line(colour, (x, 670), (x, 870), (0.4, 0.4, 0.42), 4)
        colour *= cover[..., None]
    elif kind == "fingers":
        for k in range(4):
            start, end = (360, 640 + 72 * k), (760, 600 + 72 * k)
            draw(lambda p, c, a=start, b=end: cv2.line(p, a, b, c, 62), (0.62, 0.42, 0.34))
            draw(lambda p, c, a=start, b=end: cv2.line(p, a, b, c, 34), (0.82, 0.6, 0.5))
    elif kind == "food":
        for y, value in ((690, (0.8, 0.5, 0.2)), (740, (0.25, 0.55, 0.2)), (780, (0.4, 0.2, 0.12))):
            draw(lambda p, c, y=y: cv2.ellipse(p, (520, y), (190, 34), 0, 0, 360, c, -1), value)
    elif kind == "strands":
        for x in range(380, 640, 22):
            draw(lambda p, c, x=x: cv2.line(p, (x, 300), (x - 60, 900), c, 8), (0.12, 0.09, 0.07))
    else:  # rims
        for x in (400, 625):
            draw(lambda p, c, x=x: cv2.ellipse(p, (x, 480), (92, 72), 0, 0, 360, c, 14), (0.1, 0.08, 0.08))
    size = (256, 256)
    return cv2.resize(colour, size, interpolation=cv2.INTER_AREA), cv2.resize(
        cover, size, interpolation=cv2.INTER_AREA
    )


def held(crop: NDArray[np.float32], kind: str) -> tuple[NDArray[np.float32], NDArray[np.bool_]]:
    colour, cover = thing(kind)
    return crop * (1 - cover[..., None]) + colour, cover > 0.5


def damaged(crop: NDArray[np.float32], damage: str) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """A crop after damage, and its noise."""
    if damage == "blur":
        return cv2.GaussianBlur(crop, (0, 0), 1.5), NONE
    if damage == "noise":
        noise = np.random.default_rng(0).normal(0, 6 / 255, crop.shape).astype(np.float32)
        return np.clip(crop + noise, 0, 1), np.full(3, 6 / 255, np.float32)
    return crop, NONE


@pytest.mark.parametrize("damage", ["none", "noise", "blur"])
@pytest.mark.parametrize("kind", ["microphone", "fingers", "food", "strands", "rims"])
def test_what_a_network_draws_over_is_kept(bare: AlignedFace, kind: str, damage: str) -> None:
    if (kind, damage) == ("strands", "blur"):
        pytest.skip("blurred hairs cannot be told from blurred skin")
    crop, there = held(bare.crop, kind)
    crop, noise = damaged(crop, damage)
    covered = find_covered(replace(bare, crop=crop), bare.crop, noise)
    assert covered is not None
    drawn_over = np.abs(cv2.GaussianBlur(crop - bare.crop, (0, 0), 1)).max(axis=2) > 12 / 255
    kept = covered.area > 0.99
    assert kept[there & drawn_over].mean() > (0.85 if kind == "strands" else 0.97)
    if kind in ("microphone", "food"):
        far = cv2.dilate(there.astype(np.uint8), np.ones((25, 25), np.uint8)) == 0
        assert (covered.area[far] == 0).mean() > 0.97


@pytest.mark.parametrize("damage", ["none", "noise", "blur"])
def test_the_removal_of_damage_is_not_taken_for_a_cover(bare: AlignedFace, damage: str) -> None:
    crop, noise = damaged(bare.crop, damage)
    moved = cv2.warpAffine(
        bare.crop, np.array([[1, 0, 0.7], [0, 1, -0.5]]), (256, 256), borderMode=cv2.BORDER_REFLECT
    )
    for restored in (bare.crop, np.clip(bare.crop + 0.03, 0, 1), moved):
        assert find_covered(replace(bare, crop=crop), restored, noise) is None


def test_where_information_is_missing_anyway_nothing_is_reported_again(bare: AlignedFace) -> None:
    crop, there = held(bare.crop, "microphone")
    known = cv2.dilate(there.astype(np.float32), np.ones((9, 9)))
    assert find_covered(replace(bare, crop=crop), bare.crop, NONE, known) is None


def test_another_face_is_no_cover(bare: AlignedFace) -> None:
    other = np.random.default_rng(0).uniform(0, 1, (16, 16, 3)).astype(np.float32)
    drawn = cv2.resize(other, (256, 256), interpolation=cv2.INTER_CUBIC)
    assert find_covered(bare, np.clip(drawn, 0, 1), NONE) is None


def test_closed_eyes_that_the_network_opens_are_kept(bare: AlignedFace) -> None:
    assert bare.mesh is not None
    points, asleep = bare.mesh.points.copy(), bare.crop.copy()
    for outline in (LEFT_EYE, RIGHT_EYE):
        eye = np.rint(points[list(outline), :2]).astype(np.int32)
        cv2.fillPoly(asleep, [eye], asleep[140, 90].tolist())
        middle = points[list(outline), 1].mean()
        points[list(outline), 1] = middle + 0.2 * (points[list(outline), 1] - middle)
    closed = replace(bare, crop=cv2.GaussianBlur(asleep, (0, 0), 0.6), mesh=FaceMesh(points))
    lids = closed_lids(closed, 256)
    assert lids.any()
    assert not closed_lids(bare, 256).any()
    covered = find_covered(closed, bare.crop, NONE)
    assert covered is not None
    assert covered.opened
    assert covered.area[lids].min() > 0.99
    assert find_covered(closed, closed.crop, NONE) is None


def test_a_microphone_stays_in_the_photo_and_is_reported_like_the_turn_of_the_head(
    photo: NDArray[np.uint8], bare: AlignedFace, monkeypatch: pytest.MonkeyPatch
) -> None:
    colour, cover = thing("microphone")
    to_photo, size = bare.to_photo, photo.shape[1::-1]
    mask, paint = (cv2.warpAffine(picture, to_photo, size) for picture in (cover, colour))
    before = np.rint(photo * (1 - mask[..., None]) + 255 * paint).astype(np.uint8)

    def bare_face(seen: SeenFace, made: Crop) -> tuple[Crop, Crop, float]:
        own = cut_out(photo, seen.aligned.to_photo, len(made))
        return own, own, 0.0

    monkeypatch.setattr(SeenFace, "in_own_tone", bare_face)
    monkeypatch.setattr("runtime.face_work.find_missing", lambda *_: None)  # it may see the thing itself
    monkeypatch.setattr(FaceMesh, "yaw", property(lambda self: -50.0))
    with Restorer.open(threads=1) as restorer:
        result = restorer.restore(before, RestoreSettings(budget=600))
    (face,) = result.faces
    (warning,) = [each for each in face.warnings if each.code == "covered"]
    assert "the photo's own pixels were kept there" in warning.sentence
    assert "turned by about 50°" in next(w.sentence for w in face.warnings if w.code == "turned-away")
    well_inside = cv2.erode((mask > 0.99).astype(np.uint8), np.ones((3, 3), np.uint8)) > 0
    assert np.abs(result.photo.astype(int) - before)[well_inside].max() <= 3
