"""Options of a command are declared once: flags, types, ranges and defaults follow."""

from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import pytest

from base.command_parser import CommandParser
from base.errors import SettingsError
from base.setting import Range, add_options, option, options_of


@dataclass(frozen=True)
class Baking:
    cake: Path = option(None, "The cake.", "CAKE", nargs=None)
    eggs: int = option(3, "The number of eggs.", range=Range(1, 12))
    sizes: tuple[float, ...] = option((1, 2.5), "Sizes of the tins.", range=Range(0, above=True))
    bowls: tuple[str, ...] = option((), "The bowls.", "-b", "--bowls", nargs="+")
    icing: Literal["none", "white"] = option("none", "The icing, 50 % sugar.")
    quick: bool = option(False, "Bake it hotter.", "-q", "--quick")
    cook: str = "me"


def read(*words: str) -> Baking:
    parser = CommandParser(prog="bake")
    add_options(parser, Baking)
    return options_of(parser.parse_args(["cake", *words]), Baking)


def test_what_is_not_given_has_its_default() -> None:
    assert read() == Baking(Path("cake"))


def test_options_are_read_by_their_types() -> None:
    read_all = read("--eggs", "4", "--sizes", "1,3", "-b", "red", "7", "--icing", "white", "-q")
    assert read_all == Baking(Path("cake"), 4, (1.0, 3.0), ("red", "7"), "white", quick=True)


@pytest.mark.parametrize(
    ("words", "said"),
    [
        ("--eggs 0", "--eggs is 0: give 1 to 12"),
        ("--eggs many", "--eggs is 'many': give a whole number, 1 to 12"),
        ("--sizes 1,0", "--sizes is 0: give more than 0"),
        ("--sizes 1,nan", "--sizes is nan: give more than 0"),
        ("--icing pink", "--icing is 'pink': give one of none, white"),
    ],
)
def test_a_wrong_value_is_refused_with_the_name_of_its_option(words: str, said: str) -> None:
    with pytest.raises(SettingsError) as raised:
        read(*words.split())
    assert str(raised.value) == said


def test_help_names_the_default_and_the_choices(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        read("--help")
    shown = " ".join(capsys.readouterr().out.split())
    assert "--sizes SIZES Sizes of the tins. (default: 1,2.5)" in shown
    assert "--icing none|white The icing, 50 % sugar. (default: none)" in shown
