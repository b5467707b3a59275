"""TensorFlow Lite files as ONNX graphs."""
