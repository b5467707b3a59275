"""`python -m runtime.serve`."""

import sys

from runtime.serve.ending import Ending

if __name__ == "__main__":
    ending = Ending()
    ending.take_signals()  # before the other imports, which take a while
    from runtime.serve.command import main

    sys.exit(main(ending=ending))
