"""Models for the Python backend of NVIDIA Triton Inference Server, written by `python -m export triton`."""
