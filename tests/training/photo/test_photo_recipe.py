"""The recipe of the photo network."""

from pathlib import Path

import cv2
import numpy as np
import pytest
import torch
from skimage.data import astronaut

from base.errors import PhotoError
from export.photo.exporter import load_photo_network
from training.photo.damage import damaged, jpeg
from training.photo.packing import pack_photos
from training.photo.patches import EDGE, draw_patches, load_crops
from training.photo.train import train


@pytest.fixture(scope="module")
def pack(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("photos")
    cv2.imwrite(str(folder / "astronaut.png"), astronaut()[..., ::-1])
    assert pack_photos([folder / "astronaut.png"], folder / "pack") > 0
    return folder / "pack"


@pytest.mark.parametrize(("quality", "halved"), [(30, True), (60, False), (90, True)])
def test_jpeg_is_that_of_the_usual_library(quality: int, halved: bool) -> None:
    photo = np.asarray(astronaut()[:256, :256])
    factor = cv2.IMWRITE_JPEG_SAMPLING_FACTOR_420 if halved else cv2.IMWRITE_JPEG_SAMPLING_FACTOR_444
    options = [cv2.IMWRITE_JPEG_QUALITY, quality, cv2.IMWRITE_JPEG_SAMPLING_FACTOR, factor]
    data = cv2.imencode(".jpg", photo[..., ::-1], options)[1]
    expected = cv2.imdecode(data, cv2.IMREAD_COLOR)[..., ::-1].astype(np.float32)
    levels = torch.from_numpy(photo.transpose(2, 0, 1)[None].astype(np.float32))
    result = jpeg(levels, torch.tensor([float(quality)]), halved=halved)[0].permute(1, 2, 0).numpy()
    lost, apart = np.abs(expected - photo).mean(), np.abs(expected - result).mean()
    assert apart < 0.35 * lost


def test_patches_and_their_damage(pack: Path) -> None:
    torch.manual_seed(0)
    crops = load_crops(pack, torch.device("cpu"))
    assert crops.shape[1:] == (3, EDGE, EDGE)
    clean = draw_patches(crops, 48, 32)
    shown = damaged(clean)
    assert shown.shape == clean.shape == (48, 3, 32, 32)
    levels = shown * 255
    assert torch.allclose(levels, levels.round(), atol=1e-3)
    wrong = (shown - clean).square().mean(dim=(1, 2, 3)).sqrt() * 255
    assert (wrong < 1).any()
    assert 10 < wrong.max() < 60


def test_training_writes_weights_that_can_be_exported(pack: Path, tmp_path: Path) -> None:
    file = train(pack, tmp_path, 1e-4, batch=2, device="cpu")
    assert load_photo_network(file).overlap == 20
    assert (tmp_path / "log.csv").read_text().startswith("seconds,steps,")


def test_what_is_no_pack_is_refused(tmp_path: Path) -> None:
    with pytest.raises(PhotoError, match="no crops"):
        load_crops(tmp_path, torch.device("cpu"))
    cv2.imwrite(str(tmp_path / "small.jpg"), np.zeros((20, 20, 3), np.uint8))
    with pytest.raises(PhotoError, match="is not a crop"):
        load_crops(tmp_path, torch.device("cpu"))
    with pytest.raises(PhotoError, match="is not a photo of at least"):
        pack_photos([tmp_path / "small.jpg"], tmp_path / "pack")
