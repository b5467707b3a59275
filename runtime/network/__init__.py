"""The network and its loop: preparing its input, the schedule of its passes, and the backends that run it."""
