"""What a build asks of TensorRT alone, which does not run without its GPU: calls, as a double records them.

The double takes no call that TensorRT 10.13 (by name) and TensorRT-RTX (it follows 11) do not both have.
"""

import json
import sys
import types
from pathlib import Path
from unittest.mock import Mock, call

import pytest

from engines.construction import BuildRequest, construct
from engines.layers import EngineLayer

trt = pytest.importorskip("tensorrt_rtx")

NAMES = json.loads((Path(__file__).parents[1] / "data" / "tensorrt-10.13.names.json").read_text())
LAYERS = [{"Name": "conv", "LayerType": "CaskConvolution", "Outputs": [{"Format/Datatype": "Half"}]}]
BY_FLAG = types.SimpleNamespace(EXPLICIT_BATCH=0, STRONGLY_TYPED=1)
"""TensorRT 10's NetworkDefinitionCreationFlag; 11 has no STRONGLY_TYPED, because networks are always that."""


def like(name):
    """Return a double of an object of that class."""
    return Mock(spec_set=sorted({*NAMES[name]} & {*dir(getattr(trt, name))}))


class Recorded:
    """A TensorRT that records what is asked of it, and makes the engine `plan`."""

    def __init__(self, version, flags):
        self.builder, self.config = like("Builder"), like("IBuilderConfig")
        self.network, self.profile = like("INetworkDefinition"), like("IOptimizationProfile")
        self.parser, runtime, engine = like("OnnxParser"), like("Runtime"), like("ICudaEngine")
        crop, inspector, cache = like("ITensor"), like("EngineInspector"), like("ITimingCache")
        self.calls = Mock()
        self.calls.attach_mock(self.builder, "builder")
        self.calls.attach_mock(self.config, "config")
        crop.name, crop.shape = "crop", (-1, 3, 64, 64)
        self.network.num_inputs = 1
        self.network.get_input.side_effect = [crop]
        self.builder.create_network.side_effect = [self.network]
        self.builder.create_builder_config.side_effect = [self.config]
        self.builder.create_optimization_profile.side_effect = [self.profile]
        self.builder.build_serialized_network.side_effect = [b"plan"]
        self.config.add_optimization_profile.side_effect = [0]
        self.config.create_timing_cache.side_effect = lambda content: content
        self.config.get_timing_cache.side_effect = [cache]
        cache.serialize.side_effect = [b"measured now"]
        runtime.deserialize_cuda_engine.side_effect = {b"plan": engine}.get
        engine.create_engine_inspector.side_effect = [inspector]
        inspector.get_engine_information.side_effect = [json.dumps({"Layers": LAYERS})]
        self.module = types.ModuleType("tensorrt")
        vars(self.module).update(vars(trt))
        self.module.__version__, self.module.NetworkDefinitionCreationFlag = version, flags
        self.module.Builder = Mock(side_effect=[self.builder])
        self.module.OnnxParser = Mock(side_effect=[self.parser])
        self.module.Runtime = Mock(side_effect=[runtime])


@pytest.fixture
def built(monkeypatch, tmp_path):
    """Return what builds with a TensorRT of a version, and returns what it recorded and the result."""

    def build(version="10.13.3.9", flags=BY_FLAG, **settings):
        recorded = Recorded(version, flags)
        monkeypatch.setitem(sys.modules, "tensorrt", recorded.module)
        output = str(tmp_path / "built.engine")
        request = BuildRequest(runtime="tensorrt", graph="step.onnx", output=output, max_batch=4, **settings)
        return recorded, construct(request, lambda phase, share: None)

    return build


def test_a_network_is_parsed_configured_and_built(built, tmp_path):
    recorded, _ = built()
    assert recorded.parser.parse_from_file.mock_calls == [call("step.onnx")]
    assert recorded.config.profiling_verbosity is trt.ProfilingVerbosity.DETAILED
    assert isinstance(recorded.config.progress_monitor, trt.IProgressMonitor)
    assert recorded.calls.mock_calls == [
        call.builder.create_network(1 << BY_FLAG.STRONGLY_TYPED),
        call.builder.create_builder_config(),
        call.config.clear_flag(trt.BuilderFlag.TF32),
        call.config.set_preview_feature(trt.PreviewFeature.RUNTIME_ACTIVATION_RESIZE_10_10, True),
        call.builder.create_optimization_profile(),
        call.config.add_optimization_profile(recorded.profile),
        call.builder.build_serialized_network(recorded.network, recorded.config),
    ]
    (name, *shapes) = recorded.profile.set_shape.call_args.args
    assert (name, [shape[0] for shape in shapes]) == ("crop", [1, 1, 4])
    assert {tuple(shape)[1:] for shape in shapes} == {(3, 64, 64)}
    assert (tmp_path / "built.engine").read_bytes() == b"plan"


def test_tensorrt_11_is_asked_for_no_typing(built):
    recorded, _ = built("11.4.1.2", types.SimpleNamespace())
    assert recorded.builder.create_network.mock_calls == [call(0)]


def test_layers_are_what_the_inspector_says_of_the_engine(built):
    _, result = built()
    assert result.layers == (EngineLayer("conv", "CaskConvolution", "FP16"),)


def test_a_workspace_is_a_limit_in_bytes(built):
    recorded, _ = built(workspace_mib=512)
    assert recorded.config.set_memory_pool_limit.mock_calls == [call(trt.MemoryPoolType.WORKSPACE, 512 << 20)]


@pytest.mark.parametrize("portable", [False, True])
def test_only_a_portable_engine_is_for_ampere_and_newer(built, portable):
    recorded, _ = built(portable=portable)
    level = recorded.config.hardware_compatibility_level
    assert (level == trt.HardwareCompatibilityLevel.AMPERE_PLUS) == portable


def test_timings_of_earlier_builds_are_reused_and_new_ones_kept(built, tmp_path):
    timing = tmp_path / "gpu.timing"
    timing.write_bytes(b"measured before")
    recorded, _ = built(timing_cache=str(timing))
    calls = recorded.calls.mock_calls
    given = calls.index(call.config.set_timing_cache(b"measured before", False))
    assert given < calls.index(call.builder.build_serialized_network(recorded.network, recorded.config))
    assert timing.read_bytes() == b"measured now"
    assert {path.name for path in tmp_path.iterdir()} == {"gpu.timing", "built.engine"}
