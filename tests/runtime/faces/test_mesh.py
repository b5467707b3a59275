import json
from dataclasses import replace
from pathlib import Path

import cv2
import numpy as np
import pytest
from numpy.typing import NDArray

from runtime.faces.align import AlignedFace, align, inverted, joined
from runtime.faces.face import Face
from runtime.faces.head import head_shape
from runtime.faces.iris import IrisNetwork
from runtime.faces.mesh import CLOSED, FaceMesh
from runtime.faces.mesh_network import MeshNetwork, misplaced, placed
from runtime.faces.regions import region_masks_of, region_weights
from runtime.pixels import Matrix

LANDMARKS = np.array([(203.2, 101.7), (247.0, 104.5), (223.3, 125.1), (203.4, 142.3), (241.3, 144.4)])
"""Of the astronaut, by a detector, in pixels of her photo."""
MARKED = {
    "eye": (
        ((192, 101), (197, 97), (203, 96), (208, 98), (211, 103), (205, 104), (197, 103)),
        ((237, 104), (242, 100), (248, 99), (254, 102), (259, 105), (251, 106), (242, 106)),
    ),
    "brow": (
        ((190, 90), (197, 88.5), (206, 90), (214, 93), (206, 91.5), (197, 90.5)),
        ((238, 94), (247, 92), (257, 93), (263, 97), (256, 95.5), (247, 94.5)),
    ),
    "lip": (
        (
            *((202, 139.5), (212, 140), (222, 141), (234, 141), (245, 139)),
            *((240, 146), (234, 151), (224, 154), (214, 152), (207, 146)),
        ),
    ),
}
"""Her eyes, brows and lips, marked by hand."""


@pytest.fixture(scope="module")
def network() -> MeshNetwork:
    return MeshNetwork(threads=1)


@pytest.fixture(scope="module")
def photo(portrait: NDArray[np.uint8]) -> NDArray[np.uint8]:
    return portrait[:256, 96:352]


SHIFT = np.array([[1, 0, -96], [0, 1, 0]], float)


def meshed(network: MeshNetwork, photo: NDArray[np.uint8], landmarks: NDArray[np.float64]) -> AlignedFace:
    """Her face, cut out as the detector sees it, with its mesh."""
    found = network.find(photo, landmarks)
    assert found is not None
    face = placed(Face((0, 0, 1, 1), landmarks.astype(np.float32), 1.0), found)
    aligned = align(photo, face, 256)
    return replace(aligned, mesh=found.moved(inverted(aligned.to_photo)))


def moved(points: object, matrix: Matrix) -> NDArray[np.float64]:
    return np.asarray(points, float) @ matrix[:, :2].T + matrix[:, 2]


def share_inside(mask: NDArray[np.float32], outlines: list[NDArray[np.float64]]) -> float:
    """The share of the outlines' area that lies inside a mask."""
    fine = 4
    large = cv2.resize(mask, None, fx=fine, fy=fine, interpolation=cv2.INTER_LINEAR)
    area = np.zeros(large.shape, np.uint8)
    for outline in outlines:
        cv2.fillPoly(area, [np.rint((outline + 0.5) * fine - 0.5).astype(np.int32)], 1)
    return float((large[area > 0] > 0.5).mean())


def marked_inside(aligned: AlignedFace, to_photo: Matrix) -> dict[str, float]:
    masks = region_masks_of(aligned)
    to_crop = joined(inverted(aligned.to_photo), to_photo)
    return {
        region: share_inside(masks[region], [moved(outline, to_crop) for outline in outlines])
        for region, outlines in MARKED.items()
    }


def turned(angle: float, scale: float) -> Matrix:
    c, s = scale * np.cos(np.deg2rad(angle)), scale * np.sin(np.deg2rad(angle))
    turn = np.array([[c, -s], [s, c]])
    return np.column_stack([turn, (160, 160) - turn @ np.array([128, 120])])


def test_eyes_brows_and_lips_lie_inside_their_masks_however_the_photo_is_turned_and_scaled(network, photo):
    rng = np.random.default_rng(1)
    for angle in (0, *rng.uniform(-180, 180, 7)):
        view = turned(angle, np.exp(rng.uniform(np.log(0.6), np.log(1.3))))
        there = cv2.warpAffine(photo, view, (320, 320), flags=cv2.INTER_AREA, borderMode=cv2.BORDER_REFLECT)
        seen = moved(LANDMARKS, joined(view, SHIFT)) + rng.normal(0, 2, (5, 2))
        inside = marked_inside(meshed(network, there, seen), joined(view, SHIFT))
        assert min(inside.values()) > 0.9, (angle, inside)


def test_marked_contours_of_ten_portraits_lie_inside_the_masks_of_their_meshes_but_not_of_five_points():
    data = json.loads((Path(__file__).parents[2] / "data" / "face-contours.json").read_text("utf-8"))
    by = {"mesh": [], "landmarks": []}
    crop = np.zeros((512, 512, 3), np.float32)
    for portrait in data["portraits"]:
        face = Face((0, 0, 512, 512), np.array(portrait["landmarks"], np.float32), 1.0)
        five = AlignedFace(face, crop, np.eye(2, 3))
        for name, aligned in (
            ("mesh", replace(five, mesh=FaceMesh(np.array(portrait["mesh"])))),
            ("landmarks", five),
        ):
            masks = region_masks_of(aligned)
            by[name] += [
                (region, share_inside(masks[region], [np.array(outline) for outline in portrait[region]]))
                for region in ("eye", "brow", "lip")
                if portrait[region]
            ]
    assert all(share > 0.9 for region, share in by["mesh"] if region != "brow")
    for region, least in (("eye", 0.97), ("brow", 0.93), ("lip", 0.99)):
        mesh, five = (np.mean([s for r, s in by[name] if r == region]) for name in ("mesh", "landmarks"))
        assert mesh > least
        assert mesh > five or five > 0.99


def test_masks_of_a_mesh_divide_every_pixel(network, photo):
    aligned = meshed(network, photo, moved(LANDMARKS, SHIFT))
    total = np.sum(list(region_masks_of(aligned).values()), axis=0)
    np.testing.assert_allclose(total, 1, atol=1e-5)
    assert np.array_equal(region_weights(aligned, {}), np.ones((256, 256)))
    kept = region_weights(aligned, {"lip": 0})
    assert (kept == 0).sum() > 300
    assert (kept == 1).mean() > 0.9


def test_a_mesh_is_found_where_the_detector_is_off_and_corrects_the_alignment(network, photo):
    there = moved(LANDMARKS, SHIFT)
    middle = there.mean(axis=0)
    c, s = np.cos(np.deg2rad(20)), np.sin(np.deg2rad(20))
    askew = (there - middle) @ np.array([[c, s], [-s, c]]) + middle + (4, -3)
    found = network.find(photo, askew)
    face = placed(Face((0, 0, 1, 1), askew.astype(np.float32), 1.0), found)
    assert misplaced(there, askew) > 0.12
    assert misplaced(there, face.landmarks.astype(float)) < 0.06


def test_a_well_placed_face_keeps_the_detectors_landmarks(network, photo):
    face = Face((0, 0, 1, 1), moved(LANDMARKS, SHIFT).astype(np.float32), 1.0)
    assert placed(face, network.find(photo, face.landmarks)) is face
    assert placed(face, None) is face


@pytest.mark.parametrize(
    "light", [(0.12, 1, 1), (0.2, 1, 0.2), (1, 0.12, 0.12), (0.12, 0.2, 1), (0.12, 0.12, 0.12)]
)
def test_a_mesh_is_found_in_any_light_where_it_is_in_daylight(network, photo, light):
    there = moved(LANDMARKS, SHIFT)
    daylight = network.find(photo, there).points
    noise = np.random.default_rng(0).normal(0, 1, photo.shape)
    lit = np.rint(np.clip(photo * np.array(light) + noise, 0, 255)).astype(np.uint8)
    away = np.hypot(*(network.find(lit, there).points - daylight)[:, :2].T)
    assert away.mean() < 0.03 * np.hypot(*(there[0] - there[4]))


def test_no_mesh_is_found_where_there_is_no_face(network, photo):
    plain = np.full_like(photo, 120)
    assert network.find(plain, moved(LANDMARKS, SHIFT)) is None
    assert network.find(photo, np.full((5, 2), 9.0)) is None
    assert network.find(photo, moved(LANDMARKS, SHIFT) * 0.3 + 150) is None


def test_pose_and_lids_are_read_off_the_mesh(network, photo):
    there = moved(LANDMARKS, SHIFT)
    mesh = network.find(photo, there)
    assert abs(mesh.yaw) < 10
    assert min(mesh.openings) > 1.3 * CLOSED
    c, s = np.cos(0.7), np.sin(0.7)
    points = mesh.points - mesh.points.mean(axis=0)
    turned_right = FaceMesh(points @ np.array([[c, 0, s], [0, 1, 0], [-s, 0, c]]))
    assert abs(turned_right.yaw - mesh.yaw) == pytest.approx(40, abs=3)
    flat = mesh.points.copy()
    flat[:, 1] = flat[:, 1].mean() + 0.3 * (flat[:, 1] - flat[:, 1].mean())
    assert max(FaceMesh(flat).openings) < min(mesh.openings)


def test_the_head_that_is_pasted_contains_the_face_of_the_mesh(network, photo):
    aligned = meshed(network, photo, moved(LANDMARKS, SHIFT))
    masks = region_masks_of(aligned)
    face = masks["cheek"] + masks["forehead"] + masks["nose"] + masks["lip"] + masks["eye"] > 0.9
    assert head_shape(aligned)[face].min() > 0.9
    assert head_shape(aligned)[:8, :8].max() < 0.1


def test_irises_are_found(network, photo):
    aligned = meshed(network, photo, moved(LANDMARKS, SHIFT))
    centres, radius = IrisNetwork(threads=1).find(aligned.crop, aligned.mesh)
    on_photo = moved(moved(centres, aligned.to_photo), np.array([[1, 0, 96], [0, 1, 0]], float))
    np.testing.assert_allclose(on_photo, [(203, 101), (247, 103)], atol=1.5)
    assert 3 < radius * aligned.scale < 5
