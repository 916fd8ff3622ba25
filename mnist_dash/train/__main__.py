"""Train the bundled models."""

import sys

from mnist_dash.train.command import main

sys.exit(main())
