"""`python -m calibration latents`, as a user meets it."""

import json
import shutil
from pathlib import Path

import cv2
import numpy as np
import pytest
from numpy.typing import NDArray

from calibration.__main__ import main
from calibration.latents.gain import TOLERATED
from engines.package import open_package
from portraits.damage import DAMAGES, damaged

Pixels = NDArray[np.uint8]


@pytest.fixture
def package(tiny_package: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(tiny_package, tmp_path / "package"))


@pytest.fixture
def crops(portrait: Pixels, tmp_path: Path) -> Path:
    """Ten different square pictures."""
    folder = tmp_path / "crops"
    folder.mkdir()
    for i in range(10):
        light = np.clip(portrait[:300, 80:380] * (0.6 + 0.06 * i), 0, 255).astype(np.uint8)
        cv2.imwrite(str(folder / f"{i}.png"), np.roll(light, 7 * i, axis=1)[..., ::-1])
    return folder


def calibrate(package: Path, images: Path, *options: str) -> int:
    return main(["latents", str(package), "--images", str(images), "--threads", "1", *options])


def test_what_was_measured_is_written_into_the_package_and_the_graphs_stay(
    package: Path, crops: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    before = open_package(package).manifest
    assert calibrate(package, crops, "--aligned") == 0
    assert "10 portraits\nupdating the latent gains" in capsys.readouterr().out
    manifest = open_package(package).manifest
    assert manifest.graphs == before.graphs
    assert manifest.latents is not None
    assert manifest.latents.portraits == 10
    assert manifest.latents.held == (manifest.latents.gain_of_moving < -TOLERATED)
    assert json.loads((package / "manifest.json").read_text())["schema"] == 2


def test_a_renewed_package_is_measured_and_never_becomes_held(
    renewed_package: Path,
    crops: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    package = Path(shutil.copytree(renewed_package, tmp_path / "renewed"))
    assert calibrate(package, crops, "--aligned") == 0
    measured = open_package(package).manifest.latents
    assert measured is not None
    assert measured.gain_of_moving != 0
    assert f"gain {measured.gain_of_moving:+.2f} dB in the worst case: the loop is renewed" in (
        capsys.readouterr().out
    )
    monkeypatch.setattr("calibration.latents.gain.gain_of_moving", lambda *given: -9.0)
    assert calibrate(package, crops, "--aligned") == 0
    manifest = open_package(package).manifest
    assert manifest.latents is not None
    assert (manifest.loop, manifest.loop_kind, manifest.latents.held) == ("renewed", "renewed", False)
    assert manifest.latents.gain_of_moving == -9


def test_a_gfpgan_package_is_measured_and_its_loop_follows(
    gfpgan_package: Path, crops: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    package = Path(shutil.copytree(gfpgan_package, tmp_path / "gfpgan"))
    assert open_package(package).manifest.loop_kind == "held"  # until it is measured
    assert calibrate(package, crops, "--aligned") == 0
    assert "updating the latent gains" in capsys.readouterr().out
    manifest = open_package(package).manifest
    assert manifest.latents is not None
    assert manifest.latents.portraits == 10
    assert manifest.latents.held == (manifest.latents.gain_of_moving < -TOLERATED)
    assert manifest.loop_kind == ("held" if manifest.latents.held else "moved")


def test_the_same_pictures_give_the_same_bytes_and_others_replace_them(package: Path, crops: Path) -> None:
    def content() -> dict[str, bytes]:
        return {path.name: path.read_bytes() for path in package.iterdir()}

    assert calibrate(package, crops, "--aligned") == 0
    once = content()
    assert calibrate(package, crops, "--aligned") == 0
    assert content() == once
    (crops / "9.png").unlink()
    assert calibrate(package, crops, "--aligned") == 0
    assert len(content()) == len(once)
    assert content()["manifest.json"] != once["manifest.json"]


def test_faces_are_looked_for_in_photos(package: Path, portrait: Pixels, tmp_path: Path) -> None:
    photos = tmp_path / "photos"
    photos.mkdir()
    for i in range(8):
        cv2.imwrite(str(photos / f"{i}.jpg"), np.roll(portrait, 5 * i, axis=0)[:400, ::-1, ::-1])
    assert calibrate(package, photos) == 0
    latents = open_package(package).manifest.latents
    assert latents is not None
    assert latents.portraits == 8


def refused(package: Path, images: Path, capsys: pytest.CaptureFixture[str], *options: str) -> str:
    before = {path.name: path.read_bytes() for path in package.iterdir()}
    assert calibrate(package, images, *options) == 2
    assert {path.name: path.read_bytes() for path in package.iterdir()} == before
    error = capsys.readouterr().err.strip()
    assert error.startswith("error: ")
    assert "\n" not in error
    return error


def test_too_few_portraits_are_refused(
    package: Path, crops: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    for i in range(3):
        (crops / f"{i}.png").unlink()
    assert "holds 7 portraits: 8 or more" in refused(package, crops, capsys, "--aligned")


def test_a_folder_without_faces_is_refused(
    package: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    walls = tmp_path / "walls"
    walls.mkdir()
    for i in range(8):
        noise = np.random.default_rng(i).integers(90, 110, (120, 160, 3), dtype=np.uint8)
        cv2.imwrite(str(walls / f"{i}.png"), noise)
    error = refused(package, walls, capsys)
    assert "no face was found" in error
    assert "--aligned" in error
    assert "is 160×120: aligned crops are square" in refused(package, walls, capsys, "--aligned")


def test_pictures_of_one_colour_are_refused(
    package: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    flat = tmp_path / "flat"
    flat.mkdir()
    for i in range(8):
        cv2.imwrite(str(flat / f"{i}.png"), np.full((64, 64, 3), 20 * i, np.uint8))
    assert "0.png is of one colour" in refused(package, flat, capsys, "--aligned")


def test_damage_goes_from_none_to_strong(portrait: Pixels) -> None:
    crop = portrait[:256, 100:356].astype(np.float32) / 255
    errors = [
        np.mean([np.abs(damaged(crop, damage, np.random.default_rng(s)) - crop).mean() for s in range(6)])
        for damage in DAMAGES
    ]
    assert errors[0] == 0
    assert errors == sorted(errors)


def test_a_folder_that_is_not_there_is_refused(
    package: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert "is not a folder" in refused(package, tmp_path / "none", capsys)


def test_a_package_with_the_statistics_of_older_versions_opens(package: Path) -> None:
    manifest = json.loads((package / "manifest.json").read_text())
    older = {
        "file": "latents-0.npy",
        "sha256": "",
        "pictures": 32,
        "shrinkage": 0.1,
        "quantiles": {"0.99": 2},
    }
    manifest["latents"] = older | {"portraits": 8, "gain_of_moving": -1.5, "held": True}
    (package / "manifest.json").write_text(json.dumps(manifest))
    assert open_package(package).manifest.holds_latent
