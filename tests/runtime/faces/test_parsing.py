"""A face-parsing network draws the regions and the paste mask: tried with hand-made networks."""

import json
import shutil
from dataclasses import replace

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper
from PIL import Image

from base.errors import PackageError
from base.files import sha256
from engines.package import Graph, Port, open_package, write_manifest
from runtime import Restorer, RestoreSettings
from runtime.faces.align import TEMPLATES, AlignedFace
from runtime.faces.face import Face
from runtime.faces.parsing import CLASSES, FaceParser, open_parser, parsed_face
from runtime.faces.regions import REGIONS, region_masks, region_weights
from runtime.restore import main
from runtime.sheets.regions import write_masks_sheet

P = 64  # side of the hand-made networks' picture, and of the crops
NAMES = list(CLASSES)
TEMPLATE = TEMPLATES["published"] * P
CLASS_OF = {
    "eye": "left eye",
    "brow": "left brow",
    "nose": "nose",
    "lip": "upper lip",
    "cheek": "skin",
    "forehead": "skin",
    "ear": "left ear",
    "hair": "hair",
    "other": "background",
}


def drawn_face():
    """Classes of a face that looks into the camera, P×P, in the place where every crop has its face."""
    regions = np.argmax(list(region_masks(TEMPLATE, P).values()), axis=0)
    classes = np.array([NAMES.index(CLASS_OF[region]) for region in REGIONS])[regions]
    classes[52:] = np.where(classes[52:] == 0, NAMES.index("clothes"), classes[52:])
    return classes


def scores_of(classes):
    return 5 * np.eye(len(NAMES), dtype=np.float32)[classes].transpose(2, 0, 1)


def face(size=P):
    """A face whose crop is its photo, and grey."""
    landmarks = (TEMPLATES["published"] * size).astype(np.float32)
    crop = np.full((size, size, 3), 0.5, np.float32)
    return AlignedFace(Face((0, 0, size, size), landmarks, 1.0), crop, np.eye(2, 3))


def parsed(classes, size=P):
    return parsed_face(scores_of(classes), face(size))


def constant_network(scores):
    """A network that sees the same in every crop."""
    nodes = [
        helper.make_node("ReduceMean", ["crop"], ["mean"], axes=[1], keepdims=1),
        helper.make_node("Mul", ["mean", "nothing"], ["zero"]),
        helper.make_node("Add", ["zero", "known"], ["scores"]),
    ]
    return nodes, {"nothing": np.zeros(1, np.float32), "known": scores[None]}


def colour_network(colours):
    """A network whose classes are the nearest of 19 colours, RGB in [−1, 1]."""
    weight, bias = 2 * colours[:, :, None, None], -(colours**2).sum(1)
    nodes = [helper.make_node("Conv", ["crop", "weight", "bias"], ["scores"])]
    return nodes, {"weight": weight.astype(np.float32), "bias": bias.astype(np.float32)}


def with_parsing(package, folder, network, classes=19):
    """Copy a package and add a hand-made parsing graph."""
    nodes, constants = network
    ports = Port("crop", "float32", ("batch", 3, P, P)), Port("scores", "float32", ("batch", classes, P, P))
    given, told = (
        [helper.make_tensor_value_info(port.name, TensorProto.FLOAT, port.shape)] for port in ports
    )
    initial = [numpy_helper.from_array(value, name) for name, value in constants.items()]
    graph = helper.make_graph(nodes, "parsing", given, told, initial)
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
    onnx.checker.check_model(model, full_check=True)
    shutil.copytree(package, folder)
    file = folder / "parsing.onnx"
    onnx.save(model, file)
    manifest = open_package(package).manifest
    added = {"parsing": Graph(file.name, sha256(file), ports[:1], ports[1:])}
    write_manifest(folder, replace(manifest, graphs=manifest.graphs | added))
    return folder


@pytest.fixture(scope="module")
def seeing(tiny_package, tmp_path_factory):
    """A package whose network sees the drawn face in every crop."""
    folder = tmp_path_factory.mktemp("seeing") / "package"
    return with_parsing(tiny_package, folder, constant_network(scores_of(drawn_face())))


@pytest.fixture(scope="module")
def blind(tiny_package, tmp_path_factory):
    """A package whose network sees background everywhere."""
    folder = tmp_path_factory.mktemp("blind") / "package"
    return with_parsing(tiny_package, folder, constant_network(scores_of(np.zeros((P, P), int))))


@pytest.mark.parametrize("size", [64, 256, 512, 2048])
def test_the_masks_share_every_pixel_to_the_last_bit(size):
    masks = np.stack(list(parsed(drawn_face(), size).regions.values()))
    assert masks.shape == (len(REGIONS), size, size)
    assert masks.min() == 0
    assert (masks.sum(0) == 1).all()
    assert ((masks > 0) & (masks < 1)).any(axis=(1, 2)).all()


@pytest.mark.parametrize("name", NAMES)
def test_each_class_goes_to_its_region(name):
    classes = drawn_face()
    classes[40:52, :12] = NAMES.index(name)
    assert parsed(classes).regions[CLASSES[name]][46, 5] == 1


def test_skin_is_forehead_above_the_eyes_and_cheek_below():
    classes = drawn_face()
    masks = parsed(classes).regions
    skin = classes == NAMES.index("skin")
    eyes, mouth = (TEMPLATE[rows, 1].mean() for rows in ([0, 1], [3, 4]))
    row = np.broadcast_to(np.arange(P)[:, None], (P, P))
    assert masks["cheek"][skin & (row < eyes - 7)].max() == 0
    assert masks["forehead"][skin & (row > mouth)].max() == 0
    assert masks["forehead"].max() == masks["cheek"].max() == 1


def test_the_eye_takes_its_lids_and_nothing_but_skin():
    classes = np.where(drawn_face() == NAMES.index("left eye"), NAMES.index("skin"), drawn_face())
    x, y = TEMPLATE[0].round().astype(int)
    classes[y, x - 2 : x + 3] = NAMES.index("left eye")
    classes[y - 1, x - 2 : x + 3] = NAMES.index("hair")
    eye = parsed(classes).regions["eye"]
    assert eye[y + 1, x] > eye[y - 1, x] > 0


def test_weights_go_by_the_parsed_regions():
    aligned = replace(face(), parsed=parsed(drawn_face()))
    hair = aligned.parsed.regions["hair"]
    assert (region_weights(aligned, {}) == 1).all()
    rho = region_weights(aligned, {"hair": 0.0, "eye": 1.3})
    assert (rho[hair == 1] == 0).all()
    assert (rho == 0).sum() == (hair == 1).sum() > 100
    assert rho.max() == np.float32(1.3)


@pytest.mark.parametrize(
    "classes",
    [
        np.zeros((P, P), int),
        np.full((P, P), NAMES.index("skin")),
        np.full((P, P), NAMES.index("hair")),
        np.roll(drawn_face(), P // 2, axis=0),
    ],
    ids=["background", "skin", "hair", "elsewhere"],
)
def test_what_is_no_face_is_not_trusted(classes):
    assert parsed(classes) is None


def test_scores_that_are_not_finite_are_not_trusted():
    scores = scores_of(drawn_face())
    scores[3, 5, 7] = np.nan
    assert parsed_face(scores, face()) is None


def test_the_head_is_pasted_and_the_background_is_not():
    classes = drawn_face()
    for size in (64, 256):
        mask = parsed(classes, size).mask
        large = np.kron(classes, np.ones((size // P, size // P), int))
        away = np.isin(large, [NAMES.index(name) for name in ("background", "clothes", "hat")])
        assert (mask[away] == 0).all()
        x, y = (TEMPLATE[2] * size / P).astype(int)
        assert mask[y, x] == 1
        assert mask[large == NAMES.index("hair")].max() == 1


def test_the_network_is_shown_red_green_and_blue_from_minus_one_to_one(tiny_package, tmp_path):
    colours = np.random.default_rng(0).uniform(-1, 1, (len(NAMES), 3))
    parser = FaceParser(open_package(with_parsing(tiny_package, tmp_path / "p", colour_network(colours))))
    stripes = np.repeat(np.arange(16), 16) % len(NAMES)
    crop = np.broadcast_to((colours[stripes] + 1) / 2, (256, 256, 3)).astype(np.float32)
    assert (parser.scores(crop).argmax(0) == stripes[::4]).all()


def test_a_package_without_the_network_has_no_parser(tiny_package):
    assert open_parser(open_package(tiny_package)) is None


def test_another_number_of_classes_is_refused(tiny_package, tmp_path):
    network = constant_network(np.zeros((11, P, P), np.float32))
    with pytest.raises(PackageError, match="not a face-parsing network of 19 classes"):
        Restorer.open(with_parsing(tiny_package, tmp_path / "p", network, classes=11))


def test_the_command_line_goes_by_the_network(seeing, blurred, blurred_file, tmp_path, capsys):
    out, masks, report = (tmp_path / name for name in ("out.png", "masks.png", "report.json"))
    arguments = [blurred_file, "-o", out, "--masks", masks, "--report", report, "--model", seeing]
    assert main([*map(str, arguments), "--face-mask-weights", "hair=0", "--budget", "600"]) == 0
    assert "not-parsed" not in capsys.readouterr().err
    (photo,) = json.loads(report.read_text())["photos"]
    assert photo["faces"][0]["regions"] == "parsing"
    assert "parsing" in photo["milliseconds"]
    with Restorer.open(seeing) as restorer:
        (found,) = restorer.restore(blurred, RestoreSettings(budget=600)).faces
    restored, kept = np.asarray(Image.open(out)), np.zeros((512, 512), bool)
    # The photo's pixels whose neighbours in the crop are hair alone, or not pasted at all.
    to_photo, parsed_masks = found.aligned.to_photo, found.aligned.parsed
    rows, columns = np.indices((512, 512))
    inverse = np.linalg.inv(to_photo[:, :2])
    places = (np.stack([columns, rows], -1) - to_photo[:, 2]) @ inverse.T
    corner = np.floor(places).astype(int)
    inside = ((corner >= 0) & (corner < P - 1)).all(-1)
    x, y = corner[inside].T
    quads = [(y, x), (y + 1, x), (y, x + 1), (y + 1, x + 1)]
    hair, mask = (
        np.stack([values[quad] for quad in quads])
        for values in (parsed_masks.regions["hair"], parsed_masks.mask)
    )
    kept[inside] = (hair == 1).all(0) | (mask == 0).all(0)
    assert 0.2 < kept[inside].mean() < 0.9
    assert (hair == 1).all(0).sum() > 500
    np.testing.assert_array_equal(restored[kept], blurred[kept])
    assert (restored[~kept & inside] != blurred[~kept & inside]).mean() > 0.3
    write_masks_sheet(tmp_path / "plain.png", {"face 0": replace(found.aligned, parsed=None)})
    assert masks.read_bytes() != (tmp_path / "plain.png").read_bytes()


def test_a_network_that_sees_no_face_gives_way_to_the_mesh(
    blind, tiny_package, portrait_file, tmp_path, capsys
):
    photos = {}
    for name, package in (("blind", blind), ("none", tiny_package)):
        out, report = tmp_path / f"{name}.png", tmp_path / f"{name}.json"
        arguments = [portrait_file, "-o", out, "--report", report, "--model", package]
        assert main([*map(str, arguments), "--face-mask-weights", "eye=0.5", "--budget", "600"]) == 0
        photos[name] = np.asarray(Image.open(out))
        (face,) = json.loads(report.read_text())["photos"][0]["faces"]
        assert face["regions"] == "mesh"
        codes = [warning["code"] for warning in face["warnings"]]
        assert ("not-parsed" in codes) == (name == "blind")
        said = capsys.readouterr().err
        assert ("not-parsed: the face-parsing network finds no plausible face" in said) == (name == "blind")
    np.testing.assert_array_equal(photos["blind"], photos["none"])


def test_the_runtime_finds_the_order_of_the_published_label_maps():
    # CelebAMask-HQ, face_parsing/Data_preprocessing/g_mask.py.
    assert (NAMES.index("nose"), NAMES.index("hair"), NAMES.index("neck"), len(NAMES)) == (2, 13, 17, 19)
