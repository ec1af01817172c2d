"""`python -m genre` is the command `genre`."""

import sys

from genre.cli.main import main

sys.exit(main())
