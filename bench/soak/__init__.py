"""An hour of restores in one process: whether memory, file handles or threads grow."""
