"""The suffixes of photos: what is looked for in a folder, and what is only named."""

LOSSY_READ_ONLY = {"HEIF": (".heic", ".heif", ".hif"), "AVIF": (".avif",)}
"""Lossy formats that are read but not written, by Pillow's name; their results are JPEGs."""

SUPPORTED_SUFFIXES = frozenset(
    {".bmp", ".gif", ".jfif", ".jpe", ".jpeg", ".jpg", ".mpo", ".png", ".tif", ".tiff", ".webp"}
).union(*LOSSY_READ_ONLY.values())
"""Lower-case suffixes by which photos are found in a folder. The content decides how a file is read."""

_RAW = (
    "3fr arw cr2 cr3 crw dcr dng erf fff gpr iiq kdc mef mos mrw nef nrw orf ori pef raf rw2 rwl sr2 srf srw "
    "x3f"
)
_OTHERS = "avci avifs heics heifs j2k jp2 jpf jpx jxl jxr psb psd tga"
OTHER_PICTURES = frozenset(f".{name}" for name in f"{_RAW} {_OTHERS}".split())
"""Suffixes of pictures that cannot be read, but that nobody expects to be passed over in silence."""


def suffix_written(suffix: str) -> str:
    """Return the suffix of a result, for a photo whose own suffix is read but not written."""
    lossy = suffix == ".mpo" or any(suffix in suffixes for suffixes in LOSSY_READ_ONLY.values())
    return ".jpg" if lossy else ".png"
