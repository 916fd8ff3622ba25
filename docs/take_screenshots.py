"""Take the pictures of the page that the README shows: `.venv/bin/python docs/take_screenshots.py`.

Needs the extra `test` and a Chromium on the PATH. It starts a dashboard of its own, whose state lies in a
temporary folder, draws a digit with the mouse, and writes the PNG files beside itself. Then it does so on the
tests' cluster; where that was not built, it says how to, and those pictures stay as they are. Takes about a
minute.
"""

from __future__ import annotations

import sys
from pathlib import Path

from tests.cluster.bed.requirements import enter_network

sys.path.insert(0, str(Path(__file__).parents[1]))  # the tests' own way to start a dashboard and to draw


def main() -> None:
    """Take all of them."""
    why_no_cluster = enter_network()  # while there is one thread: what is imported next starts more
    import pictures

    pictures.take_all(why_no_cluster=why_no_cluster)


if __name__ == "__main__":
    main()
