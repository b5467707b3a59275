"""Restore an archive of photos on a Ray cluster, or with Ray on this machine: `python -m runtime.archive`."""
