"""`python -m runtime.serve`."""

import sys

from runtime.serve.command import main

if __name__ == "__main__":
    sys.exit(main())
