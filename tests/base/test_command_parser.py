"""Arguments are read alike by all commands: short errors, the name that was meant, defaults and a version."""

import importlib
import re
import subprocess
import sys

import pytest

from base.command_parser import CommandParser
from base.errors import UsageError


def parser() -> CommandParser:
    made = CommandParser(prog="try", description="Try things.")
    commands = made.add_subparsers(required=True, metavar="COMMAND")
    paint = commands.add_parser("paint", help="Paint a wall.")
    paint.add_argument("wall", metavar="WALL", help="The wall.")
    paint.add_argument("--colour", choices=["red", "blue"], default="red", help="The colour.")
    paint.add_argument("--coats", type=int, default=2, metavar="N", help="How often.")
    paint.add_argument("--share", type=float, default=0.5, help="How much of 100 %%.")
    paint.add_argument("--dry", action="store_true", help="Wait.")
    commands.add_parser("sand", help="Sand a floor.")
    return made


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["paint", "w", "--color", "red"], "option --color: did you mean --colour?; see try paint --help"),
        (["paint", "w", "--xyzzy=3"], "unknown option --xyzzy; see try paint --help"),
        (["paint", "w", "x"], "unexpected argument x; see try paint --help"),
        (["paint", "-"], "WALL is -: give a name; standard input and output cannot be used; see try paint"),
        (["paint"], "the following arguments are required: WALL; see try paint --help"),
        (["paint", "w", "--colour", "bleu"], "--colour is 'bleu': did you mean blue?; see"),
        (["paint", "w", "--colour", "q"], "--colour is 'q': there are red, blue; see"),
        (["piant", "w"], "COMMAND is 'piant': did you mean paint?; see try --help"),
        (["paint", "w", "--coats", "two"], "--coats is 'two': give a whole number; see try paint --help"),
        (["paint", "w", "--share", "x"], "--share is 'x': give a number; see try paint --help"),
        (["paint", ""], "WALL is empty: give a value; see try paint --help"),
        (["paint", "w", "--colour", " "], "--colour is empty: give a value; see try paint --help"),
        ([], "the following arguments are required: COMMAND; see try --help"),
        (["paint", "w", "\x1b[31m\n"], "unexpected argument"),
        (["paint", "w", "--" + "x" * 9999], "unknown option --xxx"),
    ],
)  # fmt: skip
def test_a_mistake_is_one_short_line(words: list[str], message: str) -> None:
    with pytest.raises(UsageError) as raised:
        parser().parse_args(words)
    assert message in str(raised.value)
    assert str(raised.value).isprintable()
    assert len(str(raised.value)) < 200


def test_help_names_every_default_once(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        parser().parse_args(["paint", "--help"])
    assert ended.value.code == 0
    shown = " ".join(capsys.readouterr().out.split())
    assert shown.startswith("usage: try paint [OPTION ...] WALL")
    assert re.findall(r"\(default: (.*?)\)", shown) == ["red", "2", "0.5"]


COMMANDS = (
    "runtime.restore",
    "runtime.watch",
    "runtime.check",
    "runtime.demo",
    "engines.__main__",
    "export.__main__",
    "calibration.__main__",
    "training.__main__",
    "bench.__main__",
    "tests.fuzz.__main__",
)


@pytest.mark.parametrize("name", COMMANDS)
def test_every_command_tells_its_version_and_refuses_in_one_line(
    name: str, capsys: pytest.CaptureFixture[str]
) -> None:
    main = importlib.import_module(name).main
    with pytest.raises(SystemExit) as ended:
        main(["--version"])
    assert ended.value.code == 0
    assert re.fullmatch(r"gpen-edge \d+\.\d+\.\d+\n", capsys.readouterr().out)
    assert main(["--no-such-option"]) == 2
    error = capsys.readouterr().err
    assert error.startswith("error: ")
    assert error.endswith("--help\n")
    assert error.count("\n") == 1


@pytest.mark.parametrize("name", COMMANDS)
def test_help_fits_into_80_columns(
    name: str, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COLUMNS", "80")
    with pytest.raises(SystemExit):
        importlib.import_module(name).main(["--help"])
    assert max(map(len, capsys.readouterr().out.splitlines())) <= 80


@pytest.mark.parametrize(
    ("name", "arguments", "library"),
    [
        ("export.__main__", [], "torch"),
        ("calibration.__main__", ["audit"], "onnx"),
        ("training.__main__", [], "torch"),
        ("bench.__main__", ["roofline"], "onnx"),
    ],
)
def test_a_library_that_is_not_installed_is_named_with_the_extra(
    name: str, arguments: list[str], library: str
) -> None:
    blocked = f"import sys; sys.modules[{library!r}] = None; "
    run = f"from {name} import main; sys.exit(main({[*arguments, '--help']}))"
    ended = subprocess.run([sys.executable, "-c", blocked + run], capture_output=True, text=True)
    assert ended.returncode == 2
    extra = name.partition(".")[0]
    assert re.fullmatch(
        rf"error: .* needs {library}\S*, .*: pip install 'gpen-edge\[{extra}\]'\n", ended.stderr
    )
