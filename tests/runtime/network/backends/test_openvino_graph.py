"""Graphs are rewritten for OpenVINO's kernels, and compute the same."""

from functools import partial

import numpy as np
import pytest

from engines.openvino_api import import_openvino
from engines.package import open_package
from runtime.network.backends.openvino_graph import rewritten
from runtime.network.backends.openvino_layout import with_channels_last

openvino = import_openvino()
CORE, operations = openvino.Core(), openvino.opset13
NUMBERS = np.random.default_rng(0)


def random(*shape):
    return NUMBERS.standard_normal(shape).astype(np.float32)


def results(model, *inputs):
    compiled = CORE.compile_model(
        model, "CPU", {"INFERENCE_PRECISION_HINT": "f32", "INFERENCE_NUM_THREADS": 1}
    )
    return list(compiled(inputs).values())


def kinds(model):
    return [node.get_type_name() for node in model.get_ops()]


@pytest.mark.parametrize(
    ("fixture", "graph", "doublings"),
    [("tiny_package", "generator", 4), ("gfpgan_package", "encoder", 4), ("gfpgan_package", "generator", 4)],
)
def test_a_graph_computes_the_same_without_interleaving(fixture, graph, doublings, request):
    package = open_package(request.getfixturevalue(fixture))
    ports = package.manifest.graphs[graph].inputs
    shapes = {port.name: [1, *port.shape[1:]] for port in ports}
    inputs = [random(*shape) * 0.1 for shape in shapes.values()]
    found = []
    for change in (lambda model: model, rewritten):
        model = CORE.read_model(package.graph(graph))
        model.reshape(shapes)
        found.append((kinds(change(model)), results(model, *inputs)))
    (before, expected), (after, got) = found
    assert after.count("ConvolutionBackpropData") - before.count("ConvolutionBackpropData") == doublings
    assert before.count("GroupConvolution") >= after.count("GroupConvolution") + doublings
    assert after.count("Unsqueeze") <= before.count("Unsqueeze") - 6 * doublings
    assert all(np.abs(a - b).max() < 1e-4 for a, b in zip(got, expected, strict=True))


def stored_in_int8(*shape, step):
    levels = operations.constant(NUMBERS.integers(-127, 128, shape, np.int8))
    steps = np.full((shape[0], 1, 1, 1), step, np.float32)
    return operations.multiply(operations.convert(levels, np.float32), operations.constant(steps))


def interleaved(x, *, value=0.0, last_source=None, weights=random):
    """Return an interleaving of four convolutions, in the exported form unless something is changed."""
    pads = ((1, 1, 1, 1), (1, 0, 1, 1), (0, 1, 1, 1), (0, 0, 0, 0))
    sizes = ((2, 2), (2, 1), (1, 2), (1, 1))
    cells = []
    for i, (size, (above, left, below, right)) in enumerate(zip(sizes, pads, strict=True)):
        source = last_source if i == 3 and last_source else x
        cell = operations.convolution(
            source, weights(3, 2, *size), [1, 1], [above, left], [below, right], [1, 1]
        )
        if i == 3:
            ends = np.array([0, 0, 1, 1])
            cell = operations.pad(cell, 0 * ends, ends, "constant", np.float32(value))
        cells.append(operations.unsqueeze(cell, np.array(4)))
    rows = [operations.unsqueeze(operations.concat(pair, 4), np.array(3)) for pair in (cells[:2], cells[2:])]
    whole = operations.concat(rows, 3)
    *_, height, _, width, _ = whole.get_output_shape(0)
    return operations.reshape(whole, np.array([1, 3, 2 * height, 2 * width]), False)


@pytest.mark.parametrize(
    ("change", "doublings"),
    [
        ({}, 1),
        ({"weights": partial(stored_in_int8, step=0.01)}, 1),
        ({"value": 1.0}, 0),
        ({"last_source": True}, 0),
    ],
    ids=["exported", "in INT8", "padded with ones", "of two values"],
)
def test_only_the_phases_of_one_convolution_become_one(change, doublings):
    model_inputs = [random(1, 2, 5, 7), random(1, 2, 5, 7)]
    x, other = (operations.parameter([1, 2, 5, 7], np.float32) for _ in model_inputs)
    if "last_source" in change:
        change = {"last_source": other}
    model = openvino.Model([interleaved(x, **change), operations.relu(other)], [x, other])
    expected = results(model, *model_inputs)
    assert kinds(rewritten(model)).count("ConvolutionBackpropData") == doublings
    for found, wanted in zip(results(model, *model_inputs), expected, strict=True):
        assert np.abs(found - wanted).max() < 1e-4


def test_phases_with_weights_in_int8_share_the_coarsest_steps_and_stay_in_int8():
    steps = iter((0.01, 0.004, 0.02, 0.003))
    x = operations.parameter([1, 2, 5, 7], np.float32)
    model = openvino.Model(
        [interleaved(x, weights=lambda *shape: stored_in_int8(*shape, step=next(steps)))], [x]
    )
    crop = random(1, 2, 5, 7)
    (expected,) = results(model, crop)
    (doubled,) = [n for n in rewritten(model).get_ops() if n.get_type_name() == "ConvolutionBackpropData"]
    weights = doubled.input_value(1).get_node()
    levels, step = (value.get_node() for value in weights.input_values())
    assert levels.input_value(0).get_element_type().get_type_name() == "i8"
    assert np.allclose(step.get_data(), 0.02)
    (found,) = results(model, crop)
    assert 0 < np.abs(found - expected).max() < 0.01 * np.abs(crop).sum(1).max() * 9


def test_noise_over_all_channels_stays_one_constant():
    bias, noise = random(64, 1, 1), random(1, 32, 32)
    x = operations.parameter([1, 64, 32, 32], np.float32)
    biased = operations.add(x, operations.constant(bias))
    model = openvino.Model([operations.relu(operations.add(biased, operations.constant(noise)))], [x])
    crop = random(1, 64, 32, 32)
    (found,) = results(rewritten(model), crop)
    assert np.abs(found - np.maximum(crop + bias + noise, 0)).max() < 1e-5
    compiled = CORE.compile_model(model, "CPU", {"INFERENCE_PRECISION_HINT": "f32"})
    assert len(compiled.export_model().getbuffer()) < 64 * noise.nbytes / 4


def test_values_with_their_channels_last_are_not_arranged_again_before_a_convolution():
    feature, style = (operations.parameter(lengths, np.float32) for lengths in ([1, 8, 6, 4], [1, 8, 1, 1]))
    feature.set_friendly_name("feature")
    feature.output(0).tensor.set_names({"feature"})
    bias, weights = operations.constant(random(8, 1, 1)), operations.constant(random(4, 8, 3, 3))
    active = operations.prelu(operations.add(feature, bias), operations.constant(np.float32([0.2])))
    read = operations.multiply(active, style)
    result = operations.convolution(read, weights, [1, 1], [1, 1], [1, 1], [1, 1])
    model = openvino.Model([result], [feature, style])
    crop, scale = random(1, 8, 6, 4), random(1, 8, 1, 1)
    (expected,) = results(model, crop, scale)
    changed = with_channels_last(model, {"feature", "absent"})
    (found,) = results(changed, np.ascontiguousarray(crop.transpose(0, 2, 3, 1)), scale)
    assert np.abs(found - expected).max() < 1e-5
    (turned,) = [node for node in changed.get_ordered_ops() if node.get_type_name() == "Transpose"]
    (reader,) = turned.output(0).get_target_inputs()
    assert reader.get_node().get_type_name() == "Convolution"
