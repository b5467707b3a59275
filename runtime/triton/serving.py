"""Shared by Triton's Python models: parameters, settings, and error responses."""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import triton_python_backend_utils as pb_utils

from base.errors import BackendError, EngineError, GpenEdgeError, SettingsError
from engines.package import Package, read_manifest
from runtime.settings.config_file import read_settings
from runtime.settings.face_rules import read_rules
from runtime.settings.settings import RestoreSettings
from runtime.triton.backend import TritonBackend, models_of

PARAMETERS = ("prefix", "max_batch", "max_megapixels", "threads")
"""Keys in `parameters` of a model's configuration."""


@dataclass(frozen=True)
class Served:
    """A package whose graphs are models of this server."""

    package: Package
    """Its manifest and, beside it, the graphs that run in this process."""
    backend: TritonBackend
    parameters: Mapping[str, str]
    """By the names in PARAMETERS."""


def served(arguments: Mapping[str, str]) -> Served:
    """Return what a model serves.

    arguments  what Triton passes to `initialize`

    Raises PackageError if the manifest beside the model cannot be read.
    """
    folder = Path(arguments["model_repository"]) / arguments["model_version"]
    package = Package(folder, read_manifest(folder))
    given = json.loads(arguments["model_config"])["parameters"]
    parameters = {name: given[name]["string_value"] for name in PARAMETERS}
    models = models_of(parameters["prefix"])
    return Served(package, TritonBackend(package.manifest, models, int(parameters["max_batch"])), parameters)


def settings_of(request: Any) -> RestoreSettings:
    """Return the settings of a request: its optional input `settings`, a JSON object.

    Raises SettingsError.
    """
    given = pb_utils.get_input_tensor_by_name(request, "settings")
    if given is None:
        return RestoreSettings()
    texts = {bytes(text) for text in given.as_numpy().ravel()}
    if len(texts) > 1:
        raise SettingsError("the crops of a request have different settings: send a request for each")
    try:
        table = json.loads(texts.pop() or b"{}")
    except ValueError as error:
        raise SettingsError(f"settings are not JSON: {error}") from error
    if not isinstance(table, dict):
        raise SettingsError('settings are not a JSON object: give, for example, {"preset": "film-scan"}')
    settings = read_settings(table)
    if read_rules(settings.face).person:
        raise SettingsError("face is person=FILE: a request cannot name a file of the server")
    return settings


def answer_error(error: Exception) -> Any:
    """Return the error response to a failed request, stating whether the server or the request is at
    fault."""
    ours = not isinstance(error, GpenEdgeError) or isinstance(error, (BackendError, EngineError))
    code = pb_utils.TritonError.INTERNAL if ours else pb_utils.TritonError.INVALID_ARG
    message = " ".join(str(error).split()) or type(error).__name__
    return pb_utils.InferenceResponse(error=pb_utils.TritonError(message, code))
