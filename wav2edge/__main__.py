"""`python -m wav2edge`: the same as the command `wav2edge`."""

import sys

from .cli import main

if __name__ == "__main__":
    sys.exit(main())
