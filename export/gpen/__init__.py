"""GPEN: the published network, its tensors, and the form of it that is exported."""
