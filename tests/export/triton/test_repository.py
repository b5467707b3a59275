"""A model repository for Triton: it parses by the published protocol, and existing models are kept."""

import hashlib
import shutil
import tempfile
from pathlib import Path
from typing import Any

import pytest

from base.errors import EngineError, PackageError
from engines.package import REQUIRED, Package, open_package
from engines.record import EngineKey, EngineRecord, encode_record
from export.__main__ import main
from export.triton.command import export_repository
from tests.runtime.triton.server import read_config

WORDS = ("precision_mode", "execution_accelerators")


def export(package: Path | str, repository: Path, *options: str) -> dict[str, Any]:
    assert export_repository([str(package), "-o", str(repository), *options]) == 0
    return {folder.name: read_config(folder) for folder in repository.iterdir()}


def test_every_model_parses_and_has_the_ports_of_its_graph(tmp_path: Path) -> None:
    configs = export("default", tmp_path / "models", "--instances", "2", "--photos", "3", "--max-batch", "4")
    package = open_package("default")
    assert sorted(configs) == sorted(f"default_{name}" for name in (*REQUIRED, "classic", "loop", "photo"))
    for graph in REQUIRED:
        config, described = configs[f"default_{graph}"], package.manifest.graphs[graph]
        assert [port.name for port in config.input] == [port.name for port in described.inputs]
        assert [list(port.dims) for port in config.output] == [list(p.shape[1:]) for p in described.outputs]
        assert config.max_batch_size == 4
        assert config.instance_group[0].count == 2
        assert config.HasField("dynamic_batching")
        assert [sample.batch_size for sample in config.model_warmup] == [1, 4]
        copied = tmp_path / "models" / f"default_{graph}" / "1" / "model.onnx"
        assert hashlib.sha256(copied.read_bytes()).hexdigest() == described.sha256
    assert configs["default_photo"].instance_group[0].count == 3
    for path in (tmp_path / "models").glob("*/config.pbtxt"):
        assert not any(word in path.read_text() for word in WORDS)


def test_a_package_of_half_precision_or_one_crop_has_its_own_ports(
    tmp_path: Path, half_package: Path, static_package: Path
) -> None:
    half = export(half_package, tmp_path / "half")
    for graph, described in open_package(half_package).manifest.graphs.items():
        if graph in REQUIRED:
            numbers = [{"float16": 10, "float32": 11}[port.dtype] for port in described.outputs]
            assert [port.data_type for port in half[f"tiny64_{graph}"].output] == numbers
    static = export(static_package, tmp_path / "static")
    assert all(config.max_batch_size == 0 for config in static.values())
    assert not static["tiny64_encoder"].HasField("dynamic_batching")
    assert list(static["tiny64_encoder"].input[0].dims) == [1, 3, 64, 64]


def test_models_that_exist_are_kept_unless_asked(tmp_path: Path, tiny_package: Path) -> None:
    repository = tmp_path / "models"
    export(tiny_package, repository)
    export(tiny_package, repository, "--name", "other model")
    assert len(list(repository.iterdir())) == 14
    before = {path: path.read_bytes() for path in repository.rglob("*") if path.is_file()}
    with pytest.raises(PackageError, match="already has tiny64_encoder"):
        export(tiny_package, repository)
    assert before == {path: path.read_bytes() for path in repository.rglob("*") if path.is_file()}
    export(tiny_package, repository, "--overwrite", "--max-batch", "2")
    assert read_config(repository / "tiny64_encoder").max_batch_size == 2
    (repository / "tiny64_encoder" / "notes.txt").touch()
    with pytest.raises(PackageError, match="not just a model"):
        export(tiny_package, repository, "--overwrite")
    assert not [path for path in tmp_path.iterdir() if path != repository]


@pytest.mark.skipif(not Path("/dev/shm").is_dir(), reason="needs a second file system")
def test_a_repository_may_be_on_another_file_system_than_the_folder_of_its_link(
    tmp_path: Path, tiny_package: Path
) -> None:
    with tempfile.TemporaryDirectory(dir="/dev/shm") as elsewhere:
        place, link = Path(elsewhere, "models"), tmp_path / "link"
        place.mkdir()
        link.symlink_to(place)
        export(tiny_package, link)
        export(tiny_package, link, "--overwrite", "--max-batch", "2")
        assert read_config(place / "tiny64_encoder").max_batch_size == 2
        assert [*Path(elsewhere).iterdir()] == [place]


def engine(folder: Path, package: Package, graph: str, target: str, version: str = "10.3.0") -> Path:
    """Write what stands for an engine, with its record."""
    content = f"{graph} {target}".encode()
    described = package.manifest.graphs[graph]
    key = EngineKey(
        graph=graph,
        graph_sha256=described.sha256,
        runtime="tensorrt",
        version=version,
        target=target,
        precision="fp32",
        max_batch=4,
    )
    record = EngineRecord(
        key=key,
        sha256=hashlib.sha256(content).hexdigest(),
        size=len(content),
        package="tiny64",
        built="2026-01-01T00:00:00Z",
        seconds=1.0,
    )
    folder.mkdir(exist_ok=True)
    (folder / f"{key.stem}.engine").write_bytes(content)
    (folder / f"{key.stem}.json").write_bytes(encode_record(record))
    return folder / f"{key.stem}.engine"


def test_engines_become_plans_by_compute_capability(tmp_path: Path, tiny_package: Path) -> None:
    package, engines = open_package(tiny_package), tmp_path / "engines"
    for graph in REQUIRED:
        for target in ("Tesla T4 sm_75 40 SMs", "NVIDIA B200 sm_100 148 SMs", "ampere+"):
            engine(engines, package, graph, target)
    configs = export(tiny_package, tmp_path / "models", "--engines", str(engines))
    for graph in REQUIRED:
        config = configs[f"tiny64_{graph}"]
        files = {"7.5": "model-7.5.plan", "10.0": "model-10.0.plan"}
        assert (config.backend, config.max_batch_size) == ("tensorrt", 4)
        assert dict(config.cc_model_filenames) == files
        assert config.default_model_filename == "model.plan"
        plan = tmp_path / "models" / config.name / "1" / "model-10.0.plan"
        assert plan.read_bytes() == f"{graph} NVIDIA B200 sm_100 148 SMs".encode()


def test_engines_that_do_not_go_together_are_refused(tmp_path: Path, tiny_package: Path) -> None:
    package, engines = open_package(tiny_package), tmp_path / "engines"
    with pytest.raises(EngineError, match="has no TensorRT engine"):
        export(tiny_package, tmp_path / "models", "--engines", str(engines))
    paths = [engine(engines, package, graph, "A10 sm_86 72 SMs") for graph in REQUIRED]
    paths[2].unlink()
    with pytest.raises(EngineError, match=r"no engine of generator for compute capability 8\.6"):
        export(tiny_package, tmp_path / "models", "--engines", str(engines))
    engine(engines, package, "generator", "A10 sm_86 72 SMs").write_bytes(b"torn")
    with pytest.raises(EngineError, match="damaged"):
        export(tiny_package, tmp_path / "models", "--engines", str(engines))
    engine(engines, package, "generator", "A10 sm_86 72 SMs", version="10.9.0")
    paths[2].with_suffix(".json").unlink()
    with pytest.raises(EngineError, match="several versions"):
        export(tiny_package, tmp_path / "models", "--engines", str(engines))
    shutil.rmtree(engines)
    for graph in REQUIRED:
        for gpu in ("Orin sm_87 8 SMs", "Orin sm_87 16 SMs"):
            engine(engines, package, graph, gpu)
    with pytest.raises(EngineError, match=r"two engines of encoder for compute capability 8\.7"):
        export(tiny_package, tmp_path / "models", "--engines", str(engines))
    assert not (tmp_path / "models").exists()


@pytest.mark.parametrize(
    ("options", "said"),
    [(["--max-batch", "0"], "--max-batch is 0"), (["--max-megapixels", "nan"], "--max-megapixels")],
)
def test_bad_numbers_are_named(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], options: list[str], said: str
) -> None:
    assert main(["triton", "default", "-o", str(tmp_path / "models"), *options]) == 2
    assert said in capsys.readouterr().err
    assert not (tmp_path / "models").exists()
