"""Export a checkpoint to a model package of ONNX graphs."""
