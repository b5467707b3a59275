"""Signals that end a program politely interrupt it as Ctrl-C does."""

import os
import signal
import subprocess
import sys
import threading

import pytest

from base.command_line import INTERRUPTED, run
from base.interruption import interruptible


@pytest.fixture(autouse=True)
def heard():
    """Undo that `nohup` has programs ignore a hang-up."""
    before = signal.signal(signal.SIGHUP, signal.SIG_DFL)
    yield
    signal.signal(signal.SIGHUP, before)


ENDING = [signal.SIGINT, signal.SIGTERM, signal.SIGHUP]


@pytest.mark.parametrize("number", ENDING)
def test_a_signal_that_ends_programs_is_an_interruption(capsys, number):
    before = signal.getsignal(number)

    def command():
        os.kill(os.getpid(), number)
        threading.Event().wait(60)
        raise AssertionError("it was not interrupted")

    assert run(command) == INTERRUPTED
    assert capsys.readouterr().err == "interrupted\n"
    assert signal.getsignal(number) == before


def test_an_interruption_that_a_library_turns_into_an_error_stays_one(capsys):
    def command():
        try:
            os.kill(os.getpid(), signal.SIGINT)
            threading.Event().wait(60)
        except KeyboardInterrupt:
            raise ImportError("a module of C was initialised halfway") from None

    assert run(command) == INTERRUPTED
    assert capsys.readouterr().err == "interrupted\n"


START = """
import signal, sys
sys.orig_argv = ["python", *sys.argv[1:]]
import base
print(signal.getsignal(signal.SIGINT) == signal.SIG_DFL)
"""


@pytest.mark.parametrize(
    ("arguments", "ends_at_once"),
    [
        (["-m", "runtime.restore", "-m"], True),
        (["-X", "dev", "-m", "export"], True),
        (["-m", "somebody.runtime"], False),
        (["script.py", "-m"], False),
        ([], False),
    ],
)
def test_ctrl_c_ends_a_command_that_starts_at_once_and_no_other_program(arguments, ends_at_once):
    started = subprocess.run([sys.executable, "-c", START, *arguments], capture_output=True, text=True)
    assert started.stdout == f"{ends_at_once}\n", started.stderr


def test_ctrl_c_while_a_command_is_imported_shows_no_traceback():
    command = [sys.executable, "-X", "importtime", "-m", "runtime.restore", "--help"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as process:
        assert process.stderr is not None
        imported = iter(process.stderr.readline, "")
        next(line for line in imported if line.rstrip().endswith(" base"))
        process.send_signal(signal.SIGINT)
        assert not [line for line in imported if "Traceback" in line]
    assert process.returncode == -signal.SIGINT


def test_a_second_signal_does_not_disturb_the_tidying_up(monkeypatch):
    monkeypatch.setattr("base.interruption.GRACE", 600.0)
    tidied = []

    def command():
        try:
            os.kill(os.getpid(), signal.SIGHUP)
            threading.Event().wait(60)
        finally:
            os.kill(os.getpid(), signal.SIGTERM)
            threading.Event().wait(0.01)
            tidied.append(True)

    assert run(command) == INTERRUPTED
    assert tidied == [True]


def test_a_signal_that_is_ignored_or_handled_stays_so():
    heard = []
    before = {
        signal.SIGHUP: signal.signal(signal.SIGHUP, signal.SIG_IGN),
        signal.SIGTERM: signal.signal(signal.SIGTERM, lambda number, frame: heard.append(number)),
    }
    try:
        with interruptible():
            os.kill(os.getpid(), signal.SIGHUP)
            os.kill(os.getpid(), signal.SIGTERM)
            threading.Event().wait(0.01)
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
    assert heard == [signal.SIGTERM]


def test_outside_the_main_thread_it_changes_nothing():
    seen = []

    def work():
        with interruptible():
            seen.append(signal.getsignal(signal.SIGTERM))

    before = signal.getsignal(signal.SIGTERM)
    thread = threading.Thread(target=work)
    thread.start()
    thread.join()
    assert seen == [before]
