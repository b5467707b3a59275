"""The name of a restored photo in a folder."""

from pathlib import Path

from runtime.photo.reader import Photo
from runtime.photo.suffixes import LOSSY_READ_ONLY, suffix_written
from runtime.photo.writer import OUTPUT_SUFFIXES


def output_name(photo: Path) -> str:
    """Return the name of the result: the photo's own, or with the suffix of a JPEG or PNG.

    A photo in which nothing was restored may keep its own suffix, see `keeps_name`.
    """
    suffix = photo.suffix.lower()
    if suffix in OUTPUT_SUFFIXES:
        return photo.name
    return photo.stem + suffix_written(suffix)


def keeps_name(written: Photo) -> bool:
    """Return whether a photo is copied under its own suffix, although results are not written with it.

    It is if nothing was restored, and another format would lose something: quality, or further pictures.

    written  as `restored` returns it
    """
    return written.content is not None and (
        written.source.format in LOSSY_READ_ONLY or bool(written.source.parts)
    )


def result_name(photo: Path, written: Photo) -> str:
    """Return the name of a photo's result in a folder.

    written  as `restored` returns it
    """
    return photo.name if keeps_name(written) else output_name(photo)
