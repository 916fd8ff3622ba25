"""Measure a canary check about 2,000 digits against as many requests of wrk, on one gateway in one run.

    apt-get install wrk
    python benchmarks/check.py

The local engine with the two bundled models at a split of 20 %. A round of wrk posts each of the 2,000 digits
once, 8 at a time, and does nothing with the answers. A round of the check does the same through the split, 8
at a time, and asks both models about all digits once more, in batches of 50: three times the predictions. It
reads the answers, keeps them, and judges after each digit. Rounds alternate, so that other load of the
machine affects both. Takes about 30 s.
"""

from __future__ import annotations

import shutil
import statistics
import subprocess
import tempfile
import time
from pathlib import Path

import numpy as np
import orjson

from mnist_dash import CheckOptions, Dashboard, Settings, open_dashboard
from mnist_dash.dataset import load_digits

ROUNDS = 5
SCRIPT = Path(__file__).with_suffix(".lua")
GOAL = 1.25


def write_bodies(path: Path) -> None:
    """Write the requests of the check, one a line, in its order."""
    images = load_digits().images
    order = np.random.default_rng(CheckOptions.seed).permutation(len(images))
    instances = images[order].reshape(-1, 1, 28, 28, 1)
    bodies = [orjson.dumps({"instances": image}, option=orjson.OPT_SERIALIZE_NUMPY) for image in instances]
    path.write_bytes(b"\n".join(bodies) + b"\n")


def time_wrk(url: str, bodies: Path) -> float:
    """Return the seconds that wrk takes for all bodies."""
    connections = ["-t1", f"-c{CheckOptions.concurrency}", "-d60s", "--timeout", "10s"]
    command = ["wrk", *connections, "-s", str(SCRIPT), url, "--", str(bodies)]
    output = subprocess.run(command, capture_output=True, text=True, check=True).stdout
    return float(output.splitlines()[-1])


def time_check(dash: Dashboard, digits: int) -> float:
    """Return the seconds from the start of a check to its end."""
    start = time.perf_counter()
    check = dash.check_canary(digits)
    seconds = time.perf_counter() - start
    assert (len(check.rows), check.failures) == (digits, ()), check.ended
    return seconds


def main() -> None:
    """Run the comparison and print it."""
    if not shutil.which("wrk"):
        raise SystemExit("There is no wrk. Install it: apt-get install wrk")
    digits = len(load_digits())
    with tempfile.TemporaryDirectory() as folder:
        bodies = Path(folder) / "bodies"
        write_bodies(bodies)
        with open_dashboard(Settings(gateway_port=0, state_dir=Path(folder) / "state")) as dash:
            dash.wait_settled()
            time_wrk(dash.gateway.url, bodies)
            time_check(dash, digits)
            rounds = [(time_wrk(dash.gateway.url, bodies), time_check(dash, digits)) for _ in range(ROUNDS)]
    print(f"{digits:,} digits, {CheckOptions.concurrency} at a time\n  round   wrk s   check s   ratio")
    for number, (wrk, check) in enumerate(rounds, start=1):
        print(f"  {number:5}{wrk:8.2f}{check:10.2f}{check / wrk:8.2f}")
    wrk, check = (statistics.median(times) for times in zip(*rounds, strict=True))
    ratio = statistics.median(check / wrk for wrk, check in rounds)
    print(f"  median{wrk:7.2f}{check:10.2f}{ratio:8.2f}   (goal: at most {GOAL})")


if __name__ == "__main__":
    main()
