"""``python -m longshore`` is the command line."""

import sys

from longshore.cli import main

if __name__ == "__main__":
    sys.exit(main())
