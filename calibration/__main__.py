"""`python -m calibration latents PACKAGE --images DIR`: fit a package's checks to portraits."""

import argparse
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

from calibration import latents
from calibration.portraits import pictures_in
from engines import command_line
from engines.errors import SettingsError
from engines.package import open_package
from runtime.backends import open_backend
from runtime.detect import open_detector


def main(arguments: list[str] | None = None) -> int:
    """Run the command line; return its exit status."""
    parser = argparse.ArgumentParser(prog="python -m calibration", description=__doc__)
    commands = parser.add_subparsers(metavar="COMMAND", required=True)
    _add_latents(commands)
    options = parser.parse_args(arguments)
    return command_line.run(lambda: options.run(options))


def _add_latents(commands: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    about = "measure where the latents of portraits lie, for the warning out-of-domain"
    parser = commands.add_parser("latents", help=about, description=about)
    add = parser.add_argument
    add("package", metavar="PACKAGE", help="folder, or name of a bundled package; is changed")
    add("--images", type=Path, required=True, metavar="DIR", help="folder of photos with 8 faces or more")
    add(
        "--aligned",
        action="store_true",
        help="the pictures are square crops, aligned as the network has them",
    )
    add("--detector", type=Path, metavar="YUNET.onnx", help="a YuNet face detector in place of CenterFace")
    add("--seed", type=int, default=0, help="of the damage that is done to the portraits (0)")
    add("--threads", type=int, metavar="N", help="CPU threads for the networks, in place of one per core")
    parser.set_defaults(run=_latents)


def _latents(options: argparse.Namespace) -> int:
    if options.threads is not None and options.threads < 1:
        raise SettingsError(f"--threads {options.threads}: give 1 or more")
    if options.seed < 0:
        raise SettingsError(f"--seed {options.seed}: give 0 or more")
    package = open_package(options.package)
    pictures = pictures_in(options.images)
    detector = None if options.aligned else open_detector(options.detector)
    backend = open_backend("auto", package, threads=options.threads)
    size = package.manifest.size
    with _progress_bar("encoding portraits", len(pictures)) as tick:
        found = latents.measure(backend, size, options.images, detector, seed=options.seed, tick=tick)
    backend.close()
    latents.write(package, found)
    far = ", ".join(f"{share}: {level:.2f}" for share, level in found.quantiles.items())
    Console().print(
        f"{found.portraits} portraits, {found.pictures} pictures; shrinkage {found.shrinkage:.3f}; "
        f"distance by share of portraits that lie nearer: {far}",
        f"written into {package.folder}",
        sep="\n",
        soft_wrap=True,
    )
    return command_line.DONE


@contextmanager
def _progress_bar(what: str, total: int) -> Iterator[Callable[[], None]]:
    """Show a bar on stderr; call what is given after each of `total` steps."""
    console = Console(stderr=True)
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn())
    with Progress(*columns, console=console, transient=True, disable=not console.is_terminal) as bar:
        task = bar.add_task(what, total=total)
        yield lambda: bar.advance(task)


if __name__ == "__main__":
    sys.exit(main())
