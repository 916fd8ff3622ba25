"""Check a model base and print what was found as JSON."""

import sys

from mnist_dash.savedmodel.isolated_check import main

sys.exit(main())
