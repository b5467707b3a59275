import os
import subprocess
import sys
from pathlib import Path

import pytest

from base.command_line import BAD_INPUT, DONE, INTERRUPTED, SOME_FAILED, run
from base.errors import BackendError, CheckpointError, PackageError, PhotoError, SettingsError

ROOT = Path(__file__).parents[2]


def failing(error):
    def command():
        raise error

    return command


@pytest.mark.parametrize("status", [DONE, SOME_FAILED])
def test_the_status_of_a_command_is_passed_on(capsys, status):
    assert run(lambda: status) == status
    assert capsys.readouterr() == ("", "")


@pytest.mark.parametrize("kind", [CheckpointError, PackageError, PhotoError, SettingsError, BackendError])
def test_an_error_the_user_can_mend_is_one_line(capsys, kind):
    assert run(failing(kind("what was given\n  and what to do\n"))) == BAD_INPUT == 2
    assert capsys.readouterr() == ("", "error: what was given and what to do\n")


def test_an_error_does_not_control_the_terminal(capsys):
    run(failing(PhotoError("no \x1b[31mred.jpg")))
    assert capsys.readouterr().err == "error: no \\x1b[31mred.jpg\n"


def test_what_the_system_says_of_a_file_is_one_line(capsys, tmp_path):
    name = "a" * 300
    assert run((tmp_path / name).stat) == BAD_INPUT
    assert capsys.readouterr().err == f"error: cannot use {tmp_path / name}: File name too long\n"
    assert run(Path(os.fsdecode(b"\xff\n")).read_bytes) == BAD_INPUT
    assert capsys.readouterr().err == "error: cannot use \\udcff\\n: No such file or directory\n"
    with pytest.raises(OSError, match="no file"):
        run(failing(OSError("of no file")))


PRINTING = (
    "import sys; from base.command_line import run, print_lines; sys.exit(run(lambda: print_lines('x') or 0))"
)


def printing(stdout) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-c", PRINTING], stdout=stdout, stderr=subprocess.PIPE, text=True, cwd=ROOT
    )


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="only Linux has /dev/full")
def test_a_full_disk_under_the_output_is_one_line():
    with Path("/dev/full").open("w") as full:
        done = printing(full)
    assert done.returncode == BAD_INPUT
    assert done.stderr == "error: cannot write to standard output: No space left on device\n"


def test_a_reader_that_closes_the_output_ends_nothing():
    reading, writing = os.pipe()
    os.close(reading)
    done = printing(writing)
    os.close(writing)
    assert (done.returncode, done.stderr) == (DONE, "")


def test_an_interrupt_is_not_a_failure(capsys):
    assert run(failing(KeyboardInterrupt())) == INTERRUPTED == 130
    assert capsys.readouterr().err == "interrupted\n"


def test_a_fault_of_the_program_is_not_hidden():
    with pytest.raises(ZeroDivisionError):
        run(failing(ZeroDivisionError()))
