"""Errors that a user can correct. Commands print the one-line message and exit with status 2."""


class GpenEdgeError(Exception):
    """Base class; the message states in one line what was given, what was expected and what to do."""


class UsageError(GpenEdgeError):
    """The arguments of a command are invalid."""


class CheckpointError(GpenEdgeError):
    """A checkpoint cannot be read, or its tensors do not form the published network."""


class PackageError(GpenEdgeError):
    """A model package is missing, incomplete, modified or of another kind."""


class PhotoError(GpenEdgeError):
    """A photo cannot be read, or its result cannot be written."""


class PixelsError(PhotoError, ValueError):
    """An array is not a photo: H×W×3 RGB, uint8 or uint16."""


class SettingsError(GpenEdgeError):
    """A setting is unknown or outside its range."""


class BackendError(GpenEdgeError):
    """The requested backend or device is unavailable or has failed."""


class DeviceLostError(BackendError):
    """A device was lost, and only a new process can use it again."""


class EngineError(GpenEdgeError):
    """An engine cannot be built, opened or kept: runtime not installed, no GPU, refused graph, full disk."""


class WatchError(GpenEdgeError):
    """A watched folder or its output folder cannot be used, or another watcher is using it."""
