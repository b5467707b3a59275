"""`python -m tests.fuzz TARGET`: look for bytes that break a promise, guided by coverage.

It needs the extra `fuzz`. It starts from the files of tests/fuzz/corpus/TARGET and keeps those that reach
further in the output folder, from which a later run goes on. An input that breaks a promise is kept there,
as `crash-…`, and ends the run.
"""

import sys
import time
from pathlib import Path

from base import command_line
from base.command_line import needs_extra
from base.command_parser import CommandParser

CORPUS = Path(__file__).parent / "corpus"
NAMES = ("photo", "manifest", "config", "settings")
LONGEST_SECONDS = 5
"""Of the processor's time, that one input may take."""
HANGS_AFTER = 120
"""Seconds on the clock, which goes on when others have the processor."""
MOST_MEBIBYTES = 2048


def main(arguments: list[str] | None = None) -> int:
    """Run the command line; return its exit status. After fuzzing, libFuzzer ends the process itself."""
    return command_line.run(lambda: _run(arguments))


def _run(arguments: list[str] | None) -> int:
    parser = CommandParser(prog="python -m tests.fuzz", description="Look for hostile input.")
    parser.add_argument("target", choices=NAMES)
    parser.add_argument("--seconds", type=int, default=600, help="how long (%(default)s)")
    parser.add_argument("-o", "--output", type=Path, default=Path("fuzz-out"), help="folder (%(default)s)")
    options = parser.parse_args(arguments)
    return _fuzz(options.target, options.seconds, options.output)


def _fuzz(target: str, seconds: int, output: Path) -> int:
    with needs_extra("fuzz", "python -m tests.fuzz"):
        import atheris
    # Nothing of these may have been imported before, or it is run unseen: so this module imports little.
    with atheris.instrument_imports(include=["PIL", "engines", "runtime"]):
        from tests.fuzz.targets import TARGETS

    def timed(data: bytes) -> None:
        start = time.process_time()
        TARGETS[target](data)
        if time.process_time() - start > LONGEST_SECONDS:
            raise AssertionError(f"took more than {LONGEST_SECONDS} seconds")

    kept = output / target
    kept.mkdir(parents=True, exist_ok=True)
    limits = (f"-timeout={HANGS_AFTER}", f"-rss_limit_mb={MOST_MEBIBYTES}", f"-max_total_time={seconds}")
    told = (f"-artifact_prefix={kept}/", "-print_final_stats=1", "-max_len=8192")
    atheris.Setup([sys.argv[0], *limits, *told, str(kept), str(CORPUS / target)], timed)
    atheris.Fuzz()
    return command_line.DONE


if __name__ == "__main__":
    sys.exit(main())
