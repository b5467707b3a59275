"""The network as it is trained: where it starts, how it grows, and the form that a GPU trains."""
