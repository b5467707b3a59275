"""The recipe of `runtime/data/eyes.onnx`, the network that draws the eyes of blurred faces again."""
