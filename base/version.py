"""The version of this program."""


def installed_version() -> str:
    """Return the version of gpen-edge; `0` in a clone that is not installed."""
    from importlib.metadata import PackageNotFoundError, version  # here, because it takes long to import

    try:
        return version("gpen-edge")
    except PackageNotFoundError:
        return "0"
