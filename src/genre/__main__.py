"""`python -m genre` is the command `genre`."""

import sys

from genre.cli import main

sys.exit(main())
