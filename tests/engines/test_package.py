import errno
import json
import os
import shutil
from dataclasses import replace
from pathlib import Path

import pytest

from base.errors import PackageError
from base.files import sha256
from engines import package as package_module
from engines.package import (
    Graph,
    Manifest,
    Package,
    Port,
    Source,
    bundled_packages,
    changed_package,
    new_package,
    open_package,
    write_manifest,
)

GRAPHS = ("encoder", "mapping", "generator", "step")


def fill(folder, name="made"):
    """Make a folder a package; its graphs need not be ONNX for what is tested here."""
    for graph in GRAPHS:
        (folder / f"{graph}.onnx").write_bytes(f"{graph} of {name}".encode() * 1000)
    port = Port("z", "float32", ("batch", 8))
    graphs = {
        graph: Graph(f"{graph}.onnx", sha256(folder / f"{graph}.onnx"), (port,), (port,)) for graph in GRAPHS
    }
    manifest = Manifest(
        name=name,
        size=64,
        template="published",
        network={"kind": "gpen", "channel_multiplier": 1, "narrow": 0.5, "style_dim": 8, "n_mlp": 2},
        precision="fp32",
        opset=17,
        source=Source("0" * 64, "CC0-1.0"),
        graphs=graphs,
    )
    write_manifest(folder, manifest)
    return Package(folder, manifest)


@pytest.fixture
def made(tmp_path):
    folder = tmp_path / "package"
    folder.mkdir()
    return fill(folder)


def failing(folder, error, **options):
    with new_package(folder, **options) as filled:
        fill(filled, "new")
        raise error


def edit(package, **changes):
    path = package.folder / "manifest.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | changes))


def refused(where, told):
    with pytest.raises(PackageError) as caught:
        open_package(where)
    message = str(caught.value)
    assert told in message
    assert str(where) in message


def test_what_was_written_is_read_back(made):
    assert open_package(made.folder) == made
    assert open_package(str(made.folder)) == made
    assert made.graph("step") == made.folder / "step.onnx"


def test_the_manifest_begins_with_its_schema(made):
    assert next(iter(json.loads((made.folder / "manifest.json").read_text()).items())) == ("schema", 2)


def test_a_graph_that_a_package_does_not_have_is_named(made):
    with pytest.raises(PackageError, match=r"no fused.onnx: export it again with --fused"):
        made.graph("fused")


def test_a_missing_folder_is_refused(tmp_path):
    refused(tmp_path / "none", "no package")


def test_a_file_is_refused(made):
    refused(made.folder / "step.onnx", "is a file; a package is a folder")


def test_a_folder_that_is_not_a_package_is_refused(tmp_path):
    refused(tmp_path, "is not a package")


@pytest.mark.parametrize("graph", GRAPHS)
def test_a_missing_graph_is_refused(made, graph):
    made.graph(graph).unlink()
    refused(made.folder, f"{graph}.onnx is missing")


@pytest.mark.parametrize("graph", GRAPHS)
def test_a_truncated_graph_is_refused(made, graph):
    path = made.graph(graph)
    path.write_bytes(path.read_bytes()[:-1])
    refused(made.folder, f"{graph}.onnx does not match its hash")


def test_a_changed_byte_is_refused(made):
    path = made.graph("generator")
    content = bytearray(path.read_bytes())
    content[500] ^= 1
    path.write_bytes(content)
    refused(made.folder, "generator.onnx does not match its hash")


def test_a_graph_of_another_package_is_refused(made, tmp_path):
    other = tmp_path / "other"
    other.mkdir()
    made.graph("step").write_bytes(fill(other, "other").graph("step").read_bytes())
    refused(made.folder, "step.onnx does not match its hash")


def test_a_folder_in_the_place_of_a_graph_is_refused(made):
    made.graph("step").unlink()
    made.graph("step").mkdir()
    refused(made.folder, "step.onnx is missing")


@pytest.mark.parametrize(("schema", "hint"), [(3, "update gpen-edge"), (0, "export the checkpoint again")])
def test_another_schema_is_refused_with_what_to_do(made, schema, hint):
    edit(made, schema=schema, graphs={}, form="unknown to this version")
    refused(made.folder, hint)


@pytest.mark.parametrize("file", ["../outside.onnx", "/etc/hostname", "sub/step.onnx"])
def test_a_path_outside_the_package_is_refused_unread(made, file):
    outside = made.folder.parent / "outside.onnx"
    outside.write_bytes(b"outside")
    graphs = json.loads((made.folder / "manifest.json").read_text())["graphs"]
    edit(made, graphs=graphs | {"step": graphs["step"] | {"file": file, "sha256": sha256(outside)}})
    refused(made.folder, "lies outside the package")


@pytest.mark.parametrize("file", ["..", ".", ""])
def test_a_folder_is_no_graph(made, file):
    graphs = json.loads((made.folder / "manifest.json").read_text())["graphs"]
    edit(made, graphs=graphs | {"step": graphs["step"] | {"file": file}})
    with pytest.raises(PackageError):
        open_package(made.folder)


def test_a_manifest_without_a_needed_graph_is_refused(made):
    graphs = json.loads((made.folder / "manifest.json").read_text())["graphs"]
    del graphs["mapping"]
    edit(made, graphs=graphs)
    refused(made.folder, "names no mapping graph")


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"{",
        b"[]",
        b"\xff\xfe{}",
        b"{}",
        b'{"schema": "1"}',
        b'{"schema": 1}',
        b'{"a": ' + b"[" * 100_000,
    ],
)
def test_a_damaged_manifest_is_refused(made, content):
    (made.folder / "manifest.json").write_bytes(content)
    refused(made.folder, "manifest.json is damaged or foreign")


@pytest.mark.parametrize("changes", [{"size": "64"}, {"precision": "fp8"}, {"graphs": {"step": 3}}])
def test_a_manifest_with_wrong_values_is_refused(made, changes):
    edit(made, **changes)
    refused(made.folder, "manifest.json is damaged or foreign")


LATENTS = {
    "file": "latents-0.npy",
    "portraits": 8,
    "pictures": 32,
    "shrinkage": 0.1,
    "quantiles": {"0.995": 2.0},
    "gain_of_moving": -1.0,
}


@pytest.mark.parametrize(
    ("changes", "held", "kind"),
    [
        ({}, None, "moved"),
        ({}, False, "moved"),
        ({}, True, "held"),
        ({"loop": None}, True, "held"),
        ({"loop": "renewed"}, None, "renewed"),
        ({"loop": "renewed"}, True, "renewed"),
        ({"loop": "moved"}, True, "moved"),
        ({"loop": "held"}, None, "held"),
    ],
)
def test_the_loop_is_what_the_manifest_names_else_what_was_measured(made, changes, held, kind):
    path = made.folder / "latents-0.npy"
    path.write_bytes(b"latents")
    latents = None if held is None else LATENTS | {"sha256": sha256(path), "held": held}
    manifest = json.loads((made.folder / "manifest.json").read_text())
    del manifest["loop"]  # as in older ones
    (made.folder / "manifest.json").write_text(json.dumps(manifest | {"latents": latents} | changes))
    assert open_package(made.folder).manifest.loop_kind == kind
    assert open_package(made.folder).manifest.holds_latent == (kind == "held")


def test_an_unknown_loop_is_refused(made):
    edit(made, loop="anew")
    refused(made.folder, "manifest.json is damaged or foreign")


def test_a_package_that_is_changed_keeps_its_loop(made):
    edit(made, loop="renewed")
    with changed_package(made.folder) as target:
        write_manifest(target, replace(open_package(made.folder).manifest, name="changed"))
    manifest = open_package(made.folder).manifest
    assert (manifest.name, manifest.loop) == ("changed", "renewed")


def test_a_path_that_the_system_refuses_is_refused():
    refused("x" * 5000, "cannot read the package")


def test_a_path_that_libraries_could_not_open_is_refused(tmp_path, tiny_package):
    folder = tmp_path / os.fsdecode(b"\xff")
    shutil.copytree(tiny_package, folder)
    with pytest.raises(PackageError, match=r"\\udcff: its path is not UTF-8"):
        open_package(folder)


def test_bundled_packages_are_found_by_name(tmp_path, monkeypatch):
    monkeypatch.setattr(package_module, "BUNDLED", tmp_path / "bundled")
    monkeypatch.chdir(tmp_path)
    assert bundled_packages() == ()
    for name in ("default", "small"):
        (tmp_path / "bundled" / name).mkdir(parents=True)
        fill(tmp_path / "bundled" / name, name)
    (tmp_path / "bundled" / "no-package").mkdir()
    assert bundled_packages() == ("default", "small")
    assert open_package().manifest.name == "default"
    assert open_package("small").manifest.name == "small"
    refused("large", "a bundled name (default, small)")


def test_a_folder_comes_before_a_bundled_package_of_its_name(tmp_path, monkeypatch):
    monkeypatch.setattr(package_module, "BUNDLED", tmp_path / "bundled")
    monkeypatch.chdir(tmp_path)
    for folder, name in ((tmp_path / "bundled" / "small", "theirs"), (tmp_path / "small", "mine")):
        folder.mkdir(parents=True)
        fill(folder, name)
    assert open_package("small").manifest.name == "mine"


def test_a_new_package_appears_only_when_it_is_whole(tmp_path):
    folder = tmp_path / "a" / "b" / "package"
    with new_package(folder) as filled:
        assert filled != folder
        fill(filled)
        assert not (tmp_path / "a").exists()
    assert open_package(folder).folder == folder
    assert [path.name for path in tmp_path.iterdir()] == ["a"]


@pytest.mark.parametrize("error", [ValueError, KeyboardInterrupt, PackageError])
def test_a_failing_block_leaves_nothing(tmp_path, error):
    with pytest.raises(error):
        failing(tmp_path / "a" / "package", error)
    assert list(tmp_path.iterdir()) == []


def test_a_full_disk_is_told_and_leaves_nothing(tmp_path):
    with pytest.raises(PackageError, match=r"cannot write the package .*: No space left"):
        failing(tmp_path / "package", OSError(errno.ENOSPC, os.strerror(errno.ENOSPC)))
    assert list(tmp_path.iterdir()) == []


def test_a_package_that_is_there_is_kept(made):
    with pytest.raises(PackageError, match="or add --overwrite"), new_package(made.folder):
        raise AssertionError("not reached")
    assert open_package(made.folder) == made


def test_overwriting_replaces_the_whole_package(made):
    (made.folder / "fused.onnx").write_bytes(b"of the old one")
    with new_package(made.folder, overwrite=True) as filled:
        fill(filled, "new")
        assert open_package(made.folder) == made
    assert open_package(made.folder).manifest.name == "new"
    assert not (made.folder / "fused.onnx").exists()
    assert list(made.folder.parent.iterdir()) == [made.folder]


def test_overwriting_that_fails_keeps_the_old_package(made):
    with pytest.raises(ValueError, match="late"):
        failing(made.folder, ValueError("late"), overwrite=True)
    assert open_package(made.folder) == made


def test_an_old_package_returns_when_the_last_step_fails(made):
    with (
        pytest.raises(PackageError, match="cannot write"),
        new_package(made.folder, overwrite=True) as filled,
    ):
        filled.rmdir()  # so that it cannot be renamed
    assert open_package(made.folder) == made


@pytest.mark.parametrize("overwrite", [False, True])
@pytest.mark.parametrize("content", ["photo.jpg", "folder/step.onnx", "yolo.onnx", "manifest.json"])
def test_a_folder_with_other_things_is_never_replaced(tmp_path, overwrite, content):
    mine = tmp_path / "mine" / content
    mine.parent.mkdir(parents=True)
    mine.write_bytes(b"dear to me")
    with pytest.raises(PackageError, match="not just"), new_package(tmp_path / "mine", overwrite=overwrite):
        raise AssertionError("not reached")
    assert mine.read_bytes() == b"dear to me"


@pytest.mark.parametrize("overwrite", [False, True])
def test_a_file_is_never_replaced(tmp_path, overwrite):
    file = tmp_path / "file"
    file.write_bytes(b"dear to me")
    for folder in (file, file / "package"):
        with pytest.raises(PackageError), new_package(folder, overwrite=overwrite):
            raise AssertionError("not reached")
    assert file.read_bytes() == b"dear to me"


def test_a_package_without_its_manifest_is_not_replaced(made):
    (made.folder / "manifest.json").unlink()
    kept = sorted(path.name for path in made.folder.iterdir())
    with pytest.raises(PackageError, match="not just"), new_package(made.folder, overwrite=True):
        raise AssertionError("not reached")
    assert sorted(path.name for path in made.folder.iterdir()) == kept


def test_a_damaged_package_can_be_overwritten(made):
    (made.folder / "encoder.onnx").write_bytes(b"cut")
    with new_package(made.folder, overwrite=True) as filled:
        fill(filled, "new")
    assert open_package(made.folder).manifest.name == "new"


@pytest.mark.skipif(not Path("/proc").is_dir(), reason="needs a folder that nobody may write to")
def test_a_place_that_cannot_be_written_is_told():
    folder = Path("/proc/package")
    with pytest.raises(PackageError, match=f"cannot write the package {folder}"), new_package(folder):
        raise AssertionError("not reached")


def test_a_changed_package_keeps_what_was_not_changed(made):
    (made.folder / "MODEL_CARD.md").write_text("mine")
    with changed_package(made.folder) as filled:
        (filled / "parsing.onnx").write_bytes(b"new")
        assert not (made.folder / "parsing.onnx").exists()
    assert open_package(made.folder) == made
    assert (made.folder / "parsing.onnx").read_bytes() == b"new"
    assert (made.folder / "MODEL_CARD.md").read_text() == "mine"
    assert list(made.folder.parent.iterdir()) == [made.folder]


def test_a_change_that_fails_leaves_the_package_as_it_was(made):
    before = {path.name: path.read_bytes() for path in made.folder.iterdir()}

    def change():
        with changed_package(made.folder) as filled:
            (filled / "step.onnx").write_bytes(b"half")
            raise OSError(errno.ENOSPC, "No space left on device")

    with pytest.raises(PackageError, match="cannot write"):
        change()
    assert {path.name: path.read_bytes() for path in made.folder.iterdir()} == before
    assert list(made.folder.parent.iterdir()) == [made.folder]


def test_a_package_without_face_parsing_says_how_to_add_it(made):
    with pytest.raises(PackageError, match="add it with `python -m export parsing`"):
        made.graph("parsing")


def test_a_manifest_of_the_first_schema_still_opens(made):
    path = made.folder / "manifest.json"
    content = json.loads(path.read_text())
    _, *numbers = content.pop("network").items()
    del content["template"]
    path.write_text(json.dumps(content | dict(numbers) | {"schema": 1}))
    assert open_package(made.folder) == made


@pytest.mark.parametrize(
    "network", [{}, {"n_mlp": 2}, {"kind": None}, {"kind": "gpen", "sizes": [64]}, "gpen"]
)
def test_a_network_without_its_kind_is_refused(made, network):
    edit(made, network=network)
    refused(made.folder, "damaged or foreign")


def test_a_template_that_is_not_known_is_refused(made):
    edit(made, template="arcface_128")
    refused(made.folder, "arcface_128")
