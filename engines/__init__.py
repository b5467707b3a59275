"""Model packages and the engines built from them."""

import base  # noqa: F401  Ctrl-C ends a start at once
