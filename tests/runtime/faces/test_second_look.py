"""What is looked at again, and what becomes of it; stand-ins for the networks see what a test needs."""

import numpy as np
import pytest

from runtime.faces.align import TEMPLATES
from runtime.faces.second_look import Trust, moved, second_look, turn_of

TRUST = Trust(turn=20, score=0.75)
PHOTO = np.zeros((600, 800, 3), np.uint8)


def row(turn=0.0, score=0.9, side=120.0, middle=(400, 300)):
    """Return a face with exact landmarks that some degrees of clockwise turn make upright."""
    points = (TEMPLATES["published"] - 0.5) * 2 * side
    c, s = np.cos(np.radians(-turn)), np.sin(np.radians(-turn))
    points = points @ np.array([[c, s], [-s, c]]) + middle
    x, y = middle
    box = (x - side / 2, y - side / 2, x + side / 2, y + side / 2)
    return np.array([*box, *points.ravel(), score], np.float32)


def seeing(score, turn=0.0, side=100.0):
    """Return a network that always sees one face in the middle of the piece."""
    return lambda piece: row(turn, score, side, (159.5, 159.5))[None]


def nothing(piece):
    return np.empty((0, 15), np.float32)


def never(piece):
    raise AssertionError("the network was asked")


@pytest.mark.parametrize("degrees", [-170, -90, -20, 0, 45, 135])
def test_the_turn_of_a_face_follows_from_its_landmarks(degrees):
    assert turn_of(row(degrees)) == pytest.approx(degrees, abs=0.01)


@pytest.mark.parametrize("degrees", [-19, 0, 10])
def test_an_upright_face_is_left_as_it_is_without_a_look(degrees):
    first = row(degrees)
    assert second_look(PHOTO, first, never, TRUST) is first


@pytest.mark.parametrize("degrees", [-170, -90, 21, 60, 140])
def test_a_look_that_agrees_changes_nothing(degrees):
    first = row(degrees)
    assert second_look(PHOTO, first, seeing(0.9), TRUST) is first


@pytest.mark.parametrize("degrees", [-90, 60, 180])
def test_a_look_that_agrees_replaces_landmarks_that_fit_no_face(degrees):
    first = row(degrees)
    left, right = first[4:8].reshape(2, 2)
    first[8:10] += 0.5 * (right - left)  # the nose beside the cheek
    second = second_look(PHOTO, first, seeing(0.9), TRUST)
    assert turn_of(second) == pytest.approx(degrees, abs=0.1)
    np.testing.assert_allclose(second[4:14], row(degrees)[4:14], atol=3)


def test_a_turned_face_that_is_not_seen_again_stays():
    first = row(90)
    assert second_look(PHOTO, first, nothing, TRUST) is first


def test_what_is_seen_upright_replaces_a_badly_placed_face():
    first = row(90, side=120)
    second = second_look(PHOTO, first, seeing(0.85, side=70), TRUST)
    assert turn_of(second) == pytest.approx(90, abs=0.1)
    assert second[2] - second[0] == pytest.approx(120 * 70 / 100, rel=0.01)
    np.testing.assert_allclose((second[:2] + second[2:4]) / 2, (400, 300), atol=1.5)


def test_an_unsure_second_look_does_not_replace_a_surer_face():
    first = row(90, score=0.9)
    assert second_look(PHOTO, first, seeing(0.6, side=60), TRUST) is first


def test_a_face_found_upside_down_in_the_turned_piece_is_discarded():
    first = row(0, score=0.5)
    assert second_look(PHOTO, first, seeing(0.95, turn=180), TRUST) is first


def test_a_face_beside_the_one_looked_at_is_not_taken_for_it():
    def beside(piece):
        return row(0, 0.99, 80, (60, 159.5))[None]

    first = row(90)
    assert second_look(PHOTO, first, beside, TRUST) is first


def test_landmarks_that_coincide_are_looked_at_again():
    first = row(0, score=0.9)
    first[4:14] = 300
    second = second_look(PHOTO, first, seeing(0.9), TRUST)
    assert turn_of(second) == pytest.approx(0, abs=0.1)
    assert np.ptp(second[4:14]) > 50


def test_a_quarter_turn_moves_the_box_as_the_pixels():
    back = np.array([[0, -1, 800], [1, 0, 0]], np.float64)  # of a photo 800 wide, turned anticlockwise
    np.testing.assert_allclose(moved(row(middle=(100, 250)), back)[:4], (490, 40, 610, 160), atol=1e-3)
