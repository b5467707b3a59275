"""A Triton model of the whole restoration: the bytes of a photo in, the bytes of the restored photo out.

Inputs   photo     1 string: the bytes of a photo file
         settings  1 string, optional: a JSON object of settings, see `runtime.read_settings`
Outputs  restored  1 string: its bytes, in the photo's own format where that can be written
         format    1 string: the suffix of that format, such as `.jpg`
         report    1 string: JSON with the outcome, the faces with their warnings, and milliseconds by stage
"""

from collections.abc import Mapping
from typing import Any

import cv2
import msgspec
import numpy as np
import triton_python_backend_utils as pb_utils

from base.errors import PhotoError
from runtime.commands.report import describe_faces
from runtime.commands.restored_photo import check_size
from runtime.photo.reader import read_photo
from runtime.photo.writer import encode_whole
from runtime.restorer import Restorer
from runtime.timing import timed
from runtime.triton.serving import answer_error, served, settings_of
from runtime.whole_photo import restore_photo


class TritonPythonModel:
    """The restoration of whole photos with one package."""

    def initialize(self, args: Mapping[str, str]) -> None:
        """Open the detector and the other small networks in this process."""
        of = served(args)
        threads = int(of.parameters["threads"]) or None
        if threads:
            cv2.setNumThreads(threads)
        self._restorer = Restorer.around(of.package, of.backend, threads=threads)
        self._max_megapixels = float(of.parameters["max_megapixels"])

    def execute(self, requests: list[Any]) -> list[Any]:
        """Restore photos, one after the other; several instances of the model restore several at once."""
        return [self._answered(request) for request in requests]

    def _answered(self, request: Any) -> Any:
        try:
            return self._answer(request)
        except Exception as error:  # one bad photo must not fail the others
            return answer_error(error)

    def _answer(self, request: Any) -> Any:
        photos = pb_utils.get_input_tensor_by_name(request, "photo").as_numpy().ravel()
        if len(photos) != 1:
            raise PhotoError(f"a request has {len(photos)} photos: send a request for each")
        settings, timings = settings_of(request), dict[str, float]()
        with timed(timings, "read"):
            photo = read_photo(bytes(photos[0]), max_megapixels=self._max_megapixels)
        check_size(photo, settings.upscale, self._max_megapixels)
        restored, result = restore_photo(self._restorer, photo, settings)
        with timed(timings, "write"):
            data, suffix = encode_whole(restored)
        report = msgspec.json.encode(describe_faces(result.every_face, timings | result.timings))
        outputs = {"restored": data, "format": suffix.encode(), "report": report}
        return pb_utils.InferenceResponse(
            [pb_utils.Tensor(name, np.array([value], np.object_)) for name, value in outputs.items()]
        )
