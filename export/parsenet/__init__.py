"""ParseNet: the published face-parsing network, its tensors, and the form of it that is exported."""
