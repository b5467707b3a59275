"""Export a checkpoint to a model package of ONNX graphs."""

import base  # noqa: F401  Ctrl-C ends a start at once
