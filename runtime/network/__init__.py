"""The network and its loop: what it is shown, the schedule of its passes, and the backends that run it."""
