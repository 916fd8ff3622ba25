"""Check a model base and print what was found as JSON."""

import sys

from mnist_dash.savedmodel.check import main

sys.exit(main())
