"""The sizes of a GFPGAN network are read off its tensors, and what does not fit is named."""

import json
from dataclasses import replace
from pathlib import Path

import pytest

from base.errors import CheckpointError
from export.gfpgan.layout import TENSOR_NAMES, UNUSED, GfpganLayout, read_gfpgan_layout

DATA = Path(__file__).parents[2] / "data"
PUBLISHED = {
    name: tuple(shape)
    for name, shape in json.loads((DATA / "GFPGANv1.4.layout.json").read_text()).items()
    if not UNUSED.match(name)
}
LAYOUT = GfpganLayout(512, 2, 1.0, 512, different_w=True, sft_half=True)


def test_the_published_layout_is_read_off_its_shapes_alone() -> None:
    assert read_gfpgan_layout(PUBLISHED) == LAYOUT
    assert LAYOUT.tensors() == PUBLISHED
    assert LAYOUT.styles == 16
    names = json.loads((DATA / "GFPGANv1.4.layout.json").read_text())
    assert all(TENSOR_NAMES.fullmatch(name) for name in names)


@pytest.mark.parametrize("size", [64, 128, 1024])
@pytest.mark.parametrize(
    ("narrow", "multiplier", "style_dim"), [(0.5, 1, 512), (1 / 16, 2, 64), (2.0, 4, 32)]
)
@pytest.mark.parametrize("different_w", [True, False])
@pytest.mark.parametrize("sft_half", [True, False])
def test_any_size_is_read_back(
    size: int, narrow: float, multiplier: int, style_dim: int, different_w: bool, sft_half: bool
) -> None:
    layout = GfpganLayout(size, multiplier, narrow, style_dim, different_w, sft_half)
    assert read_gfpgan_layout(layout.tensors()) == layout


@pytest.mark.parametrize("name", list(PUBLISHED)[::7])
def test_a_tensor_that_is_missing_renamed_or_misshapen_is_named(name: str) -> None:
    rest = {key: shape for key, shape in PUBLISHED.items() if key != name}
    with pytest.raises(CheckpointError, match=f"tensor '{name}' .* is missing"):
        read_gfpgan_layout(rest)
    with pytest.raises(CheckpointError, match=f"tensor '{name}' .* is missing .*'renamed'"):
        read_gfpgan_layout(rest | {"renamed": PUBLISHED[name]})
    first, *others = PUBLISHED[name]
    with pytest.raises(CheckpointError, match=f"tensor '{name}' has shape .* for a GFPGAN-512 with m=2, n=1"):
        read_gfpgan_layout(PUBLISHED | {name: (first + 1, *others)})
    with pytest.raises(CheckpointError, match="'extra' is surplus"):
        read_gfpgan_layout(PUBLISHED | {"extra": (3,)})


@pytest.mark.parametrize(
    "shapes",
    [
        {},
        {"conv1.weight": (64, 3, 7, 7)},
        dict.fromkeys(PUBLISHED, ()),
        {name: (0,) * len(shape) for name, shape in PUBLISHED.items()},
        replace(LAYOUT, size=32).tensors(),
        replace(LAYOUT, size=2048).tensors(),
        {f"condition_scale.{'9' * 5000}.0.weight": (1,)},
    ],
)
def test_what_is_no_gfpgan_network_is_refused(shapes: dict[str, tuple[int, ...]]) -> None:
    with pytest.raises(CheckpointError, match="not a GFPGAN network"):
        read_gfpgan_layout(shapes)
