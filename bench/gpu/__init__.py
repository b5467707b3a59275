"""A GPU: its ceilings, the forms in PyTorch, the runtime's parts."""
