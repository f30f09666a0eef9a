"""``python -m amended_darts`` is ``amended-darts``."""

import sys

from amended_darts.cli import main

if __name__ == "__main__":
    sys.exit(main())
