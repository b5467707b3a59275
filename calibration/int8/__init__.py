"""INT8: which layers, over which ranges, and how the graph says so to the engine that runs it."""
