"""How fast, how large and how good: measurements, their tables and their records."""

import base  # noqa: F401  Ctrl-C ends a start at once
