"""INT8: the choice of layers, the ranges of their values, and the form of the graph for each engine."""
