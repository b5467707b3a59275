"""The recipe of `runtime/data/covered.onnx`, the network that sees what is worn or held before a face."""
