"""Run the model server."""

import os
import sys

from mnist_dash.local.server.process import main

code = main()
sys.stdout.flush()
# at once: a thread may be in the middle of a big request that nobody waits for
os._exit(code)
