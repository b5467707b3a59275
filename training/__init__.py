"""The recipe that makes the bundled default weights."""

import base  # noqa: F401  Ctrl-C ends a start at once
