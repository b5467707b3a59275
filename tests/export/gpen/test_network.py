from pathlib import Path

import numpy as np
import pytest
import torch

from export.gpen import static
from export.gpen.checkpoint import load_checkpoint
from export.gpen.layout import Layout
from export.gpen.network import Gpen

DATA = Path(__file__).parents[2] / "data"


@pytest.fixture(scope="module", params=["tiny64", "tiny64-wide-styles"])
def model(request):
    """A network and the arrays that the published implementation computed with it."""
    loaded = load_checkpoint(DATA / f"{request.param}.pth")
    golden = {name: torch.from_numpy(array) for name, array in np.load(DATA / f"{request.param}.npz").items()}
    return Gpen.from_state(loaded.layout, loaded.state), golden


def same(found, expected):
    torch.testing.assert_close(found, expected, atol=1e-4, rtol=0)


@pytest.mark.parametrize("batch", [1, 2])
def test_the_published_form_gives_the_published_results(model, batch):
    network, golden = model
    crop = golden["input"][:batch]
    z, _ = network.encode(crop)
    same(z, golden["z"][:batch])
    same(network.generator.map(z), golden["w"][:batch])
    same(network(crop), golden["output"][:batch])


@pytest.mark.parametrize("batch", [1, 2])
def test_the_static_form_gives_the_published_results(model, batch):
    network, golden = model
    net = static.fold(network)
    crop = golden["input"][:batch]
    z, features = static.encode(net, crop)
    w = static.map_latent(net, z)
    same(z, golden["z"][:batch])
    same(w, golden["w"][:batch])
    same(static.generate(net, w, features), golden["output"][:batch])
    same(static.restore(net, crop), golden["output"][:batch])


def test_both_forms_have_the_same_features(model):
    network, golden = model
    _, published = network.encode(golden["input"])
    _, features = static.encode(static.fold(network), golden["input"])
    assert [feature.shape[-1] for feature in features] == list(network.layout.resolutions)
    for found, expected in zip(features, published, strict=True):
        same(found, expected)


@pytest.mark.parametrize("layout", [Layout(128, 2, 1 / 32, 24, 2), Layout(64, 3, 1 / 64, 8, 1)])
def test_both_forms_agree_for_random_weights(layout):
    torch.manual_seed(0)
    network = Gpen(layout).eval().requires_grad_(False)
    for name, parameter in network.named_parameters():
        if name.endswith(("bias", "noise.weight")):
            parameter.normal_()
    crop = torch.rand(2, 3, layout.size, layout.size) * 2 - 1
    expected = network(crop)
    found = static.restore(static.fold(network), crop)
    assert (found - expected).abs().max() <= 1e-4 * max(1, expected.abs().max())


def test_gradients_flow_through_the_fold_as_through_the_published_form():
    torch.manual_seed(0)
    layout = Layout(64, 1, 1 / 64, 8, 2)
    network = Gpen(layout).double()
    for name, parameter in network.named_parameters():
        if name.endswith("noise.weight"):
            torch.nn.init.normal_(parameter)
    crop, target = torch.rand(2, 2, 3, 64, 64, dtype=torch.float64) * 2 - 1

    def gradients(output):
        network.zero_grad()
        (output - target).square().mean().backward()
        return {name: parameter.grad.clone() for name, parameter in network.named_parameters()}

    expected = gradients(network(crop))
    found = gradients(static.restore(static.fold(network), crop))
    for name, gradient in expected.items():
        assert gradient.abs().max() > 0, name
        torch.testing.assert_close(found[name], gradient, atol=1e-9, rtol=1e-6, msg=name)


def test_a_network_holds_exactly_the_tensors_of_its_layout():
    layout = Layout(128, 2, 1 / 32, 24, 3)
    with torch.device("meta"):
        network = Gpen(layout)
    assert {name: tuple(tensor.shape) for name, tensor in network.state_dict().items()} == layout.tensors()


def test_loading_does_not_copy_or_change_the_tensors():
    loaded = load_checkpoint(DATA / "tiny64.pth")
    network = Gpen.from_state(loaded.layout, loaded.state)
    assert not any(parameter.requires_grad for parameter in network.parameters())
    assert network.final_linear[0].weight.data_ptr() == loaded.state["final_linear.0.weight"].data_ptr()
