"""What a user looks at to choose: the numbered faces, and one photo with every preset."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image

from runtime import Restorer, RestoreSettings, preset
from runtime.chosen_faces import choose_faces
from runtime.faces.face import Face
from runtime.restore import main
from runtime.settings.config_file import Config
from runtime.settings.presets import PRESETS
from runtime.settings.resolved import ResolvedSettings
from runtime.sheets.numbered_faces import LEFT_ALONE, RESTORED, SIDE, face_table, write_face_sheet
from runtime.sheets.paper import FACE, LABEL, MARGIN
from runtime.sheets.presets import IN_A_ROW, MAX_FACES, candidates, faces_to_show, write_presets_sheet

Pixels = NDArray[np.uint8]
COLOURS = {"yellow": (255, 255, 0), "orange": (255, 165, 0)}


def face(left: float, top: float, width: float, score: float = 0.9) -> Face:
    return Face((left, top, left + width, top + 1.3 * width), np.zeros((5, 2), np.float32), score)


def drawn(path: Path, photo: Pixels | NDArray[np.uint16], faces: list[Face]) -> Pixels:
    write_face_sheet(path, photo, faces)
    return np.asarray(Image.open(path))


def test_the_table_lists_each_face_with_what_is_known_of_it() -> None:
    table = face_table([face(181.4, 58, 90, 0.934), face(10, 400, 20)], RestoreSettings())
    assert table[0].split() == ["face", "left", "top", "width", "height", "score", "remarks"]
    assert [line.split() for line in table[1:]] == [
        ["0", "181", "58", "90", "117", "0.93"],
        ["1", "10", "400", "20", "26", "0.90", "tiny-face"],
    ]


def test_boxes_lie_where_the_faces_are(tmp_path: Path) -> None:
    photo = np.full((900, 1200, 3), 100, np.uint8)
    sheet = drawn(tmp_path / "faces.png", photo, [face(200, 300, 400), face(900, 40, 20)])
    assert sheet.shape == photo.shape
    for (x, y), colour in (((200, 500), RESTORED), ((600, 500), RESTORED), ((900, 55), LEFT_ALONE)):
        assert tuple(sheet[y, x]) == COLOURS[colour]
    assert np.array_equal(sheet[330:780, 230:570], photo[330:780, 230:570])
    assert sheet[250:290, 200:230].min() == 0  # the ground of the number, above the box


@pytest.mark.parametrize("shape", [(40, 60), (30, 9000), (5000, 4000)])
@pytest.mark.parametrize("dtype", [np.uint8, np.uint16])
def test_the_sheet_has_a_useful_size_for_any_photo(
    tmp_path: Path, shape: tuple[int, int], dtype: type[np.uint8 | np.uint16]
) -> None:
    photo = np.full((*shape, 3), np.iinfo(dtype).max // 2, dtype)
    sheet = drawn(tmp_path / "faces.png", photo, [face(0, 0, 20), face(shape[1] - 20, shape[0] - 26, 20)])
    assert SIDE[0] <= max(sheet.shape) <= SIDE[1]
    assert sheet[sheet.shape[0] // 2, sheet.shape[1] // 2].tolist() == [127] * 3


def test_every_preset_is_compared_as_it_is() -> None:
    own = PRESETS | {"mine": {"latent_step_decay": 0.03, "upscale": 2}}
    resolved = ResolvedSettings(RestoreSettings(template="ffhq", budget=1))
    compared = candidates(Config(presets=own), resolved, (0, 1))
    assert list(compared) == list(own)
    common = {"template": "ffhq", "face": (0, 1), "budget": np.inf}
    assert compared["classic"] == ResolvedSettings(preset("classic", **common))
    assert compared["mine"] == ResolvedSettings(RestoreSettings(latent_step_decay=0.03, **common))


def test_settings_that_are_no_preset_are_compared_too() -> None:
    base = RestoreSettings(latent_step_decay=0.05)
    resolved = ResolvedSettings(base, {0: preset("classic"), 1: None, 9: base})
    asked = candidates(Config(), resolved, (0, 1))["as asked"]
    assert asked.settings.latent_step_decay == 0.05
    assert asked.by_face == {0: preset("classic", face=(0, 1), budget=np.inf), 1: None}


def test_the_largest_of_the_chosen_faces_are_shown() -> None:
    crowd = [face(100 * i, 0, 100 - i) for i in range(9)] + [face(0, 0, 20)]
    assert faces_to_show(choose_faces(tuple(crowd), RestoreSettings(), {}).settings) == tuple(
        range(MAX_FACES)
    )
    chosen = choose_faces(tuple(crowd), RestoreSettings(face=(8, 3, 9)), {3: None})
    assert faces_to_show(chosen.settings) == (8,)
    assert faces_to_show([]) == ()


def test_the_sheet_shows_the_photo_beside_each_way_to_restore_it(
    restorer: Restorer, blurred: Pixels, tmp_path: Path
) -> None:
    found = restorer.detect(blurred)
    nothing = ResolvedSettings(RestoreSettings(face_mask_weights={"face": 0}))
    compared = [("nothing", nothing), ("classic", ResolvedSettings(preset("classic")))]
    write_presets_sheet(tmp_path / "presets.png", restorer, blurred, found, compared)
    sheet = np.asarray(Image.open(tmp_path / "presets.png")).astype(int)
    assert sheet.shape[1] == MARGIN + 3 * (FACE + MARGIN)
    before, same, after = (
        sheet[-2 * MARGIN - FACE : -2 * MARGIN, left : left + FACE]
        for left in range(MARGIN, sheet.shape[1], FACE + MARGIN)
    )
    assert before.std() > 30
    assert np.array_equal(before, same)
    assert np.abs(before - after).mean() > 1


def test_more_presets_than_fit_go_below_each_other(
    restorer: Restorer, portrait: Pixels, tmp_path: Path
) -> None:
    found = restorer.detect(portrait)
    classic = ResolvedSettings(replace(preset("classic"), face_mask_weights={"eye": 1.5, "lip": 0.5}))
    sizes = []
    for count in (IN_A_ROW - 1, IN_A_ROW):
        compared = [(f"no. {i}\n" * 30, classic) for i in range(count)]
        write_presets_sheet(tmp_path / "presets.png", restorer, portrait, found, compared)
        sizes.append(Image.open(tmp_path / "presets.png").size)
    assert sizes[0][0] == sizes[1][0] == MARGIN + IN_A_ROW * (FACE + MARGIN)
    assert sizes[1][1] == 2 * sizes[0][1] > 4 * (FACE + LABEL)


def test_packages_are_compared_side_by_side(
    tiny_package: Path,
    half_package: Path,
    blurred_file: Path,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    sheet = tmp_path / "packages.png"
    words = [str(blurred_file), "--model", str(tiny_package), "--compare-packages", str(sheet)]
    assert main([*words, str(tiny_package), str(half_package), str(tiny_package)]) == 0
    with Image.open(sheet) as image:
        assert image.width == MARGIN + 4 * (FACE + MARGIN)
        pixels = np.asarray(image).astype(int)
    photo, tiny, half, again = (
        pixels[-2 * MARGIN - FACE : -2 * MARGIN, left : left + FACE]
        for left in range(MARGIN, pixels.shape[1], FACE + MARGIN)
    )
    assert np.array_equal(tiny, again)
    assert np.abs(tiny - half).mean() < 1 < np.abs(tiny - photo).mean()
    capsys.readouterr()
    assert main([*words, str(tiny_package)]) == 2
    assert "exists" in capsys.readouterr().err
    assert main([str(blurred_file), "--compare-packages", str(sheet)]) == 2
    assert "name the packages to compare after the sheet" in capsys.readouterr().err
    assert main([*words, "--overwrite", "no-such-package"]) == 2
    assert capsys.readouterr().err.count("\n") == 1
