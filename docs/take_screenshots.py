"""Take the screenshots of the docs: `.venv/bin/python docs/take_screenshots.py`.

Needs the extra `test` and a Chromium on the PATH. It starts a dashboard with a temporary state
directory, draws a digit with the mouse, and writes the PNG files beside itself. Then it does the same on the
cluster of the test bed; if that has not been built, it prints how to build it and leaves those pictures as
they are. Takes about two minutes.
"""

from __future__ import annotations

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1]))  # for the tests' way to start a dashboard and to draw


def main() -> None:
    """Take all screenshots."""
    from tests.cluster.bed.requirements import enter_network

    why_no_cluster = enter_network()  # while there is one thread: the next import starts more
    import pictures

    pictures.take_all(why_no_cluster=why_no_cluster)


if __name__ == "__main__":
    main()
