"""Checkpoints in the forms that training code and other tools save them."""

import collections
import io
import json
import re
import zipfile
from pathlib import Path

import pytest
import safetensors.torch
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor, nn

from base.errors import CheckpointError
from export.checkpoint import load_tensors
from export.gpen.architecture import GPEN
from export.gpen.checkpoint import load_checkpoint
from export.parsenet.architecture import PARSENET
from export.state_dict import find_state

DATA = Path(__file__).parents[1] / "data"
READERS = {
    "tiny64": GPEN,
    "tiny-parsenet": PARSENET,
}
PUBLISHED = {
    name: {key: torch.as_tensor(value) for key, value in torch.load(DATA / f"{name}.pth").items()}
    for name in READERS
}
STATE = PUBLISHED["tiny64"]
KEYS = ("g_ema", "params_ema", "params", "state_dict", "g", "generator", "model", "net_g", "weights")
STARTS = ("module", "_orig_mod", "net_g", "netG", "g_ema", "generator", "model", "network")
BESIDE = {
    "iteration": 1000,
    "epoch": torch.tensor(3),
    "n_averaged": torch.tensor([5]),
    "loss": 0.25,
    "date": "2021-05-06",
    "generator.noises.noise_0": torch.randn(1, 1, 4, 4),
    "best": None,
    "sizes": [64, 128],
    "config": {"lr": 2e-3, "betas": [0.0, 0.99]},
}
TRAINING = {
    "d": {"conv.0.weight": torch.ones(3, 3), "final_linear.1.weight": torch.ones(2, 2)},
    "g_optim": {"state": {0: {"exp_avg": torch.ones(4, 4), "step": 7}}, "param_groups": [{"lr": 1e-3}]},
}


def same(found: dict[str, Tensor], expected: dict[str, Tensor]) -> bool:
    return found.keys() == expected.keys() and all(
        torch.equal(found[name], tensor.float()) for name, tensor in expected.items()
    )


def started(state: dict[str, Tensor], start: str) -> dict[str, Tensor]:
    return {start + name: tensor for name, tensor in state.items()}


@settings(max_examples=60)
@given(
    network=st.sampled_from(sorted(READERS)),
    starts=st.lists(st.sampled_from(STARTS), max_size=3),
    keys=st.lists(st.sampled_from(KEYS), max_size=2),
    beside=st.sets(st.sampled_from(sorted(BESIDE))),
    trained=st.booleans(),
    dtype=st.sampled_from((torch.float32, torch.float64)),
)
def test_a_network_is_found_under_any_keys_and_any_beginning_of_its_names(
    network: str, starts: list[str], keys: list[str], beside: set[str], trained: bool, dtype: torch.dtype
) -> None:
    expected = PUBLISHED[network]
    start = "".join(f"{part}." for part in starts)
    state: dict[str, object] = {
        name: tensor.to(dtype) if tensor.is_floating_point() else tensor
        for name, tensor in started(expected, start).items()
    }
    content = collections.OrderedDict(state | {name: BESIDE[name] for name in sorted(beside)})
    for key in reversed(keys):
        content = collections.OrderedDict({key: content} | (TRAINING if trained else {}))
    assert same(find_state(content, READERS[network].names), expected)


@pytest.mark.parametrize("network", sorted(READERS))
@pytest.mark.parametrize("name", ["x.pth", "x.safetensors", "x.SAFETENSORS", "x.ckpt", "x.bin", "x"])
@pytest.mark.parametrize("form", ["zip", "legacy", "safetensors"])
def test_a_file_is_told_by_its_content_and_not_by_its_name(
    tmp_path: Path, network: str, name: str, form: str
) -> None:
    state = {f"module.{key}": value.contiguous() for key, value in PUBLISHED[network].items()}
    if form == "safetensors":
        safetensors.torch.save_file(state, tmp_path / name, metadata={"format": "pt"})
    else:
        torch.save({"params": state}, tmp_path / name, _use_new_zipfile_serialization=form == "zip")
    assert same(load_tensors(tmp_path / name, READERS[network])[1], PUBLISHED[network])


def test_modules_that_were_wrapped_before_saving_are_read(tmp_path: Path) -> None:
    from export.gpen.network import Gpen

    loaded = load_checkpoint(DATA / "tiny64.pth")

    def network() -> nn.Module:
        return Gpen.from_state(loaded.layout, loaded.state)

    parallel, averaged, inner = (network() for _ in range(3))
    inner.generator = nn.DataParallel(inner.generator)  # type: ignore[assignment, arg-type]
    wrapped = {
        "parallel": nn.DataParallel(parallel),
        "averaged": torch.optim.swa_utils.AveragedModel(averaged),
        "inner": inner,
    }
    states = {name: module.state_dict() for name, module in wrapped.items()}
    # torch.compile only puts this before each name.
    states |= {
        f"compiled {name}": {f"_orig_mod.{key}": value for key, value in states[name].items()}
        for name in states
    }
    sharded = re.compile(r"(?<=generator\.)|^")  # FSDP wraps inner modules as well
    for part in ("_fsdp_wrapped_module", "_checkpoint_wrapped_module", "_forward_module"):
        states[part] = {sharded.sub(f"{part}.", key): value for key, value in loaded.state.items()}
    for name, state in states.items():
        torch.save(state, tmp_path / name)
        assert same(load_checkpoint(tmp_path / name).state, loaded.state), name


@pytest.mark.parametrize("averaged", ["g_ema", "params_ema", "ema", "net_g_ema", "model_ema", "averaged"])
@pytest.mark.parametrize("flat", [False, True])
def test_averaged_weights_are_preferred(averaged: str, flat: bool) -> None:
    raw = {name: tensor + 1 for name, tensor in STATE.items()}
    content: dict[str, object] = {"params": raw, averaged: STATE, "g": {}}
    if flat:
        content = {**started(raw, "params."), **started(STATE, f"{averaged}.")}
    assert same(find_state(content, GPEN.names), STATE)


def test_of_two_different_networks_none_is_guessed() -> None:
    raw = {name: tensor + 1 for name, tensor in STATE.items()}
    with pytest.raises(CheckpointError, match=r"several networks, under 'first' and 'second\.net'"):
        find_state({"first": raw, "second": started(STATE, "net.")}, GPEN.names)
    assert same(find_state({"first": STATE, "second": dict(STATE)}, GPEN.names), STATE)


def test_a_content_that_holds_itself_is_read(tmp_path: Path) -> None:
    content: dict[str, object] = {"params": STATE}
    content["itself"] = [content, content]
    torch.save(content, tmp_path / "x.pth")
    assert same(load_checkpoint(tmp_path / "x.pth").state, STATE)


def test_a_tensor_that_belongs_to_nothing_is_still_named(tmp_path: Path) -> None:
    torch.save(started(STATE | {"extra.weight": torch.ones(2, 2)}, "module."), tmp_path / "x.pth")
    with pytest.raises(CheckpointError, match=r"'extra\.weight' is surplus"):
        load_checkpoint(tmp_path / "x.pth")
    rest = {name: tensor for name, tensor in STATE.items() if name != "final_linear.0.bias"}
    torch.save({"model": started(rest, "net_g.")}, tmp_path / "x.pth")
    with pytest.raises(CheckpointError, match=r"'final_linear\.0\.bias' \[64\] is missing"):
        load_checkpoint(tmp_path / "x.pth")


def archive(*names: str) -> bytes:
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w") as made:
        for name in names:
            made.writestr(name, "x" * 100)
    return file.getvalue()


POINTER = "version https://git-lfs.github.com/spec/v1\noid sha256:{}\nsize 284085738\n".format("0" * 64)


@pytest.mark.parametrize("suffix", [".pth", ".safetensors"])
@pytest.mark.parametrize(
    ("content", "told"),
    [
        (POINTER.encode(), "a Git LFS pointer"),
        (POINTER.replace("\n", "\r\n").encode("utf-8-sig"), "a Git LFS pointer"),
        (b"<!DOCTYPE html><html><body>Virus scan warning</body></html>", "a web page"),
        (b"\r\n\n  <HTML>" + b" " * 3000, "a web page"),
        ("\ufeff<!doctype html><title>Сохранить</title>".encode(), "a web page"),
        (("<html lang='de'>" + "ä" * 900).encode("utf-16"), "a web page"),
        (b'<?xml version="1.0"?><Error><Code>AccessDenied</Code></Error>', "a web page"),
        (b"<!-- saved from url --><html>", "a web page"),
        (b"404: Not Found", "a text, not weights (it begins with '404: Not Found')"),
        (json.dumps({"error": "Repository not found"}).encode(), "a text, not weights"),
        (("本" * 400).encode(), "a text, not weights"),
        (b"", "the file is empty"),
        (b"\x1f\x8b\x08\x00" + bytes(100), "a gzip archive: unpack it"),
        (archive("GPEN/weights.pth", "GPEN/LICENSE"), "a ZIP archive of other files (GPEN/weights.pth)"),
        (archive("model/constants.pkl", "model/data.pkl"), "a TorchScript program"),
    ],
)
def test_what_was_downloaded_in_place_of_weights_is_named(
    tmp_path: Path, content: bytes, told: str, suffix: str
) -> None:
    path = tmp_path / f"x{suffix}"
    path.write_bytes(content)
    for read in READERS.values():
        with pytest.raises(CheckpointError) as error:
            load_tensors(path, read)
        assert str(error.value).startswith(f"checkpoint {path}: {told}")
        assert "\n" not in str(error.value)
        assert "weights_only" not in str(error.value)
