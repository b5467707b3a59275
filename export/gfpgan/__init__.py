"""GFPGAN (v1.2 to v1.4): the published network, its tensors, and the form of it that is exported."""
