import json
from pathlib import Path

import pytest

from base.errors import CheckpointError
from export.gpen.layout import SIZES, Layout, check_tensors, read_layout

DATA = Path(__file__).parents[2] / "data"
PUBLISHED = sorted(DATA.glob("GPEN-*.layout.json"))
TINY = Layout(size=64, channel_multiplier=1, narrow=1 / 16, style_dim=64, n_mlp=4)
SMALLEST = Layout(size=64, channel_multiplier=1, narrow=1 / 256, style_dim=1, n_mlp=1)


def renamed(name, new, shapes):
    return {new if key == name else key: shape for key, shape in shapes.items()}


@pytest.mark.parametrize("path", PUBLISHED, ids=lambda path: path.name.split(".")[0])
def test_published_layouts_are_read_off_their_shapes_alone(path):
    published = json.loads(path.read_text())
    shapes = {name: tuple(shape) for name, shape in published.pop("tensors").items()}
    layout = read_layout(shapes)
    assert layout == Layout(**published)
    assert list(layout.tensors().items()) == list(shapes.items())


def test_all_four_published_layouts_are_here():
    assert [path.name.split(".")[0][9:] for path in PUBLISHED] == ["1024", "2048", "256", "512"]


@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize(("m", "n"), [(1, 0.5), (2, 1.0), (2, 0.25)])
@pytest.mark.parametrize(("style_dim", "n_mlp"), [(512, 8), (96, 1)])
def test_any_layout_is_read_back(size, m, n, style_dim, n_mlp):
    layout = Layout(size, m, n, style_dim, n_mlp)
    assert read_layout(layout.tensors()) == layout


@pytest.mark.parametrize("layout", [TINY, SMALLEST, Layout(512, 2, 1.0, 512, 8)])
def test_a_missing_tensor_is_named(layout):
    shapes = layout.tensors()
    for name in shapes:
        rest = {key: shape for key, shape in shapes.items() if key != name}
        with pytest.raises(CheckpointError, match=f"'{name}' .* is missing"):
            read_layout(rest)


@pytest.mark.parametrize("layout", [TINY, SMALLEST, Layout(512, 2, 1.0, 512, 8)])
@pytest.mark.parametrize("new", ["{}_", "module.{}", "generator.convs.99.bias", "ecd5.0"])
def test_a_renamed_tensor_is_named_with_its_new_name(layout, new):
    shapes = layout.tensors()
    for name in shapes:
        other = new.format(name)
        if other in shapes:
            continue
        with pytest.raises(CheckpointError, match=f"'{name}' .* is missing .surplus: '{other}'"):
            read_layout(renamed(name, other, shapes))


@pytest.mark.parametrize(
    "damage",
    [
        lambda shape: (),
        lambda shape: (*shape, 1),
        lambda shape: shape[:-1],
        lambda shape: shape[::-1],
        lambda shape: (shape[0] + 1, *shape[1:]),
        lambda shape: (*shape[:-1], 2 * shape[-1]),
        lambda shape: tuple(2 * length for length in shape),
        lambda shape: tuple(0 for _ in shape),
    ],
)
def test_a_misshapen_tensor_is_named_with_both_shapes(damage):
    shapes = TINY.tensors()
    for name, shape in shapes.items():
        bad = damage(shape)
        if bad == shape:
            continue
        with pytest.raises(CheckpointError) as caught:
            read_layout(shapes | {name: bad})
        message = str(caught.value)
        assert message.startswith(f"tensor {name!r} has shape {list(bad)}, expected {list(shape)}"), message


def test_a_surplus_tensor_is_named():
    with pytest.raises(CheckpointError, match=r"'discriminator.0.weight' is surplus"):
        read_layout(TINY.tensors() | {"discriminator.0.weight": (3, 3)})


@pytest.mark.parametrize(
    "shapes",
    [
        {},
        {"conv1.weight": (64, 3, 7, 7), "fc.bias": (1000,)},
        dict.fromkeys(TINY.tensors(), ()),
        {name: (0,) * len(shape) for name, shape in TINY.tensors().items()},
        {f"ecd{'9' * 5000}.0.0.weight": (1,)},
        {"ecd999.0.0.weight": (1,), "generator.to_rgbs.998.bias": (1, 3, 1, 1)},
        Layout(32, 1, 1.0, 512, 8).tensors(),
        Layout(4096, 2, 1.0, 512, 8).tensors(),
    ],
)
def test_what_is_no_gpen_network_is_said_so(shapes):
    with pytest.raises(CheckpointError, match="not a GPEN network"):
        read_layout(shapes)


def test_a_checkpoint_of_another_layout_is_refused():
    with pytest.raises(CheckpointError, match="has shape"):
        check_tensors(Layout(64, 2, 1 / 16, 64, 4), TINY.tensors())
