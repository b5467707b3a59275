import numpy as np
import pytest
import skimage.data
from PIL import Image

from base.errors import PhotoError
from runtime.faces.align import align
from runtime.faces.face import Face
from runtime.faces.regions import REGIONS, crop_landmarks
from runtime.sheets.paper import FACE, LABEL, MARGIN, MAX_FACES
from runtime.sheets.regions import COLOURS, write_masks_sheet

POINTS = np.array(
    [(203.2, 101.7), (247.0, 104.5), (223.3, 125.1), (203.4, 142.3), (241.3, 144.4)], np.float32
)


@pytest.fixture(scope="module")
def astronaut():
    return align(skimage.data.astronaut(), Face((181.5, 58.2, 269.9, 177.8), POINTS, 0.93), 256)


def drawn(path, faces):
    write_masks_sheet(path, {f"face {i}": face for i, face in enumerate(faces)})
    return np.asarray(Image.open(path))


def test_every_region_has_a_colour_of_its_own():
    assert tuple(COLOURS) == REGIONS
    assert len(set(COLOURS.values())) == len(REGIONS)


def test_the_sheet_names_every_colour(tmp_path, astronaut):
    legend = drawn(tmp_path / "masks.png", [astronaut])[: MARGIN + LABEL].reshape(-1, 3)
    assert set(COLOURS.values()) <= set(map(tuple, legend.tolist()))


def test_each_face_has_its_crop_its_regions_and_its_edges(tmp_path, astronaut):
    sheet = drawn(tmp_path / "masks.png", [astronaut]).astype(int)
    crop, regions, edges = (
        sheet[-MARGIN - FACE : -MARGIN, left : left + FACE]
        for left in range(MARGIN, sheet.shape[1], FACE + MARGIN)
    )
    (x, y) = ((crop_landmarks(astronaut)[0] + 0.5) * FACE / 256).astype(int)
    assert regions[y, x].tolist() == [255, 0, 0]  # the landmark's dot
    tint = regions[y, x + 8] - crop[y, x + 8]
    assert tint[2] > tint[0]  # eyes are blue
    assert np.ptp(edges, axis=2).max() == 0
    assert edges.min() == 0
    assert edges.max() == 255


def test_the_sheet_grows_with_the_faces_up_to_a_limit(tmp_path, astronaut):
    small = align(skimage.data.astronaut(), astronaut.face, 64)
    heights = [len(drawn(tmp_path / "masks.png", [small] * n)) for n in (0, 1, MAX_FACES + 1)]
    row = FACE + LABEL + MARGIN
    assert np.diff(heights).tolist() == [row, row * (MAX_FACES - 1)]


def test_a_sheet_that_cannot_be_written_is_an_error_that_says_so(tmp_path, astronaut):
    with pytest.raises(PhotoError, match="cannot write"):
        write_masks_sheet(tmp_path / "nowhere" / "masks.png", {"face 0": astronaut})
