"""Write a model repository for NVIDIA Triton Inference Server from a model package."""
