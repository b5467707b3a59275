"""The errors a user can mend. A command line prints their message, one line, and exits with status 2."""


class GpenEdgeError(Exception):
    """Say what was given, what was expected and what to do, in one line."""


class UsageError(GpenEdgeError):
    """The arguments of a command cannot be understood."""


class CheckpointError(GpenEdgeError):
    """A checkpoint cannot be read, or its tensors do not form the published network."""


class PackageError(GpenEdgeError):
    """A model package is missing, incomplete, changed or foreign."""


class PhotoError(GpenEdgeError):
    """A photo cannot be read, or its result cannot be written."""


class PixelsError(PhotoError, ValueError):
    """An array is not a photo: H×W×3 RGB, uint8 or uint16."""


class SettingsError(GpenEdgeError):
    """A setting is unknown or outside its range."""


class BackendError(GpenEdgeError):
    """The wanted backend or device is not there, or it failed."""


class EngineError(GpenEdgeError):
    """An engine cannot be built, opened or kept: runtime not installed, no GPU, refused graph, full disk."""


class WatchError(GpenEdgeError):
    """A watched folder or its output folder cannot be worked with, or another watcher works on it."""
