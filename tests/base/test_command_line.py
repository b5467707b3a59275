import pytest

from base.command_line import BAD_INPUT, DONE, INTERRUPTED, SOME_FAILED, run
from base.errors import BackendError, CheckpointError, PackageError, PhotoError, SettingsError


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


def test_an_interrupt_is_not_a_failure(capsys):
    assert run(failing(KeyboardInterrupt())) == INTERRUPTED == 130
    assert capsys.readouterr().err == "interrupted\n"


def test_a_fault_of_the_program_is_not_hidden():
    with pytest.raises(ZeroDivisionError):
        run(failing(ZeroDivisionError()))
