"""The options of all commands that read photos and write results."""

from dataclasses import dataclass

from base.setting import Range, option


@dataclass(frozen=True)
class PhotoOptions:
    """Limits for reading photos, and the metadata that is written."""

    max_megapixels: float = option(
        100,
        "Refuse photos, and enlarged results, above this size.",
        range=Range(0, 1e9, above=True),
        metavar="N",
    )
    accept_damaged: bool = option(
        False,
        "Restore what can be read of a damaged or truncated photo, with a message, instead of refusing it.",
    )
    strip_metadata: bool = option(
        False,
        "Write no EXIF (with its GPS position), XMP, captions or comments. Colours and resolution are kept.",
    )
