"""Take the screenshots of the docs, with the local engine and on the cluster of the test bed."""

from __future__ import annotations

import io
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final

import numpy as np
from PIL import Image
from playwright.sync_api import Browser, Page, expect, sync_playwright

from mnist_dash.local.desired_state import BUNDLED
from tests.cluster.bed.bed import Bed
from tests.e2e.browser import PATIENCE, Stroke, Strokes, Theme, Visitor
from tests.e2e.server import serve, serve_on_cluster

DOCS: Final = Path(__file__).parent
LARGEST: Final = 150_000
"""Bytes above which a picture is reduced to a palette."""
COLOURS: Final = 256
CORNERS: Final[Strokes] = [
    [(88, 72), (112, 50), (148, 44), (180, 58), (188, 86), (172, 112), (140, 130)],
    [(140, 130), (172, 142), (194, 168), (192, 202), (164, 230), (126, 238), (88, 222)],
]
"""The corners of a three."""
PHONE: Final = (390, 844)
NAMESPACE: Final = "mnist"
BUCKET: Final = "gs://my-bucket"


def take_all(*, why_no_cluster: str = "") -> None:
    """Take all screenshots; those on a cluster only if the test bed is available."""
    chromium = shutil.which("chromium")
    if not chromium:
        raise SystemExit("There is no Chromium: no program named chromium is on the PATH.")
    with tempfile.TemporaryDirectory() as folder, sync_playwright() as playwright:
        browser = playwright.chromium.launch(
            executable_path=chromium, args=["--no-sandbox", "--disable-gpu", "--font-render-hinting=none"]
        )
        on_this_machine(browser, Path(folder))
        if why_no_cluster:
            print(f"The pictures of the page on a cluster stay as they are. {why_no_cluster}")
        else:
            on_a_cluster(browser, Path(folder))
        browser.close()


def on_this_machine(browser: Browser, folder: Path) -> None:
    """Take the screenshots of the page with the local engine."""
    with serve(folder / "state") as server:
        with visiting(browser, server.page, "light") as visitor:
            show_traffic(visitor)
            save_from(visitor, "traffic", "traffic.png")
            visitor.page.get_by_test_id("stMain").evaluate("it => it.scrollTo(0, 0)")
            predict(visitor)
            save(visitor.page, "page-light.png")
            compare(visitor)
            save(visitor.page, "compare.png")
            visitor.press("start-check")
            expect(visitor.part("check-result")).to_contain_text("New is better", timeout=3 * PATIENCE)
            visitor.reads("check-progress", "Ended with the verdict.")
            save_from(visitor, "below", "canary-check.png")
            visitor.press("promote")
            visitor.reads("review", "of 2,000 digits")
            settle(visitor.page)
            save(visitor.page, "promotion.png")
        views: list[tuple[str, Theme, tuple[int, int]]] = [
            ("dark", "dark", (1280, 800)),
            ("phone", "light", PHONE),
            ("1024", "light", (1024, 800)),
        ]
        for name, theme, size in views:
            with visiting(browser, server.page, theme, *size) as visitor:
                predict(visitor)
                save(visitor.page, f"page-{name}.png")
                visitor.reads("check-progress", "Ended with the verdict.")
                save_from(visitor, "below", f"canary-check-{name}.png")
        with visiting(browser, server.page, "light") as visitor:
            server.serving()[0].kill()
            visitor.open_tab("History")
            visitor.reads("history", "Replica replaced")
            visitor.is_ready("current")
            save_from(visitor, "below", "timeline.png")


def show_traffic(visitor: Visitor) -> None:
    """Send traffic until there are many dots of both models."""
    visitor.press("send-traffic")
    expect(visitor.part("traffic").locator(".dots i:not(.empty)").nth(90)).to_be_visible(timeout=3 * PATIENCE)
    visitor.press("send-traffic")
    visitor.reads("send-traffic", "Send traffic")


def on_a_cluster(browser: Browser, folder: Path) -> None:
    """Take the screenshots of the page on the test bed, starting with an empty namespace."""
    bed = Bed()
    try:
        for model in ("linear", "cnn"):
            bed.storage.put(f"{BUCKET}/{model}", BUNDLED / model / "model" / "1")
        with serve_on_cluster(bed, NAMESPACE, folder / "cluster.log") as server:
            roll_out(browser, server.page)
            fail(browser, server.page, bed)
    finally:
        bed.kubelet.clear(NAMESPACE)  # stop the Pods that keep failing
        bed.stop()


def roll_out(browser: Browser, address: str) -> None:
    """Show both models, a canary and an answer, then History and Objects."""
    visitor = Visitor(browser, address)
    visitor.deploy("current", f"{BUCKET}/linear")
    visitor.is_ready("current")
    visitor.deploy("new", f"{BUCKET}/cnn")
    visitor.is_ready("new")
    visitor.set_strategy("Canary", 20)
    predict(visitor)
    save(visitor.page, "cluster-page.png")
    visitor.close()
    with visiting(browser, address, "dark") as visitor:
        visitor.open_tab("Objects")
        visitor.open_object("Ingress", "mnist-canary")
        yaml = visitor.page.get_by_test_id("stCode")
        yaml.get_by_text("canary-weight").scroll_into_view_if_needed()
        save_from(visitor, "below", "cluster-objects.png")


def fail(browser: Browser, address: str, bed: Bed) -> None:
    """Show a model that disappears after its check: the preview, then the card and History."""
    base = f"{BUCKET}/cnn-v2"
    bed.storage.put(base, BUNDLED / "cnn" / "model" / "1")
    with visiting(browser, address, "light") as visitor:
        visitor.open_deploy("new")
        visitor.fill(base)
        visitor.press("deploy-difference")
        visitor.dialog.get_by_test_id("stCode").get_by_text(base).last.scroll_into_view_if_needed()
        save(visitor.page, "cluster-difference.png")
        bed.storage.delete(base)
        visitor.confirm_deploy()
        visitor.reads("card-new", f"There is no folder {base}.")
    visitor = Visitor(browser, address, *PHONE)
    visitor.reads("card-new", f"There is no folder {base}.")
    save_from(visitor, "card-new", "cluster-failed.png")
    visitor.close()


def save_from(visitor: Visitor, key: str, name: str) -> None:
    """Take a screenshot scrolled to the part with this key, below Streamlit's toolbar."""
    visitor.part(key).evaluate("it => { it.style.scrollMarginTop = '70px'; it.scrollIntoView(); }")
    settle(visitor.page)
    save(visitor.page, name)


@contextmanager
def visiting(
    browser: Browser, address: str, theme: Theme, width: int = 1280, height: int = 800
) -> Iterator[Visitor]:
    """Open the page in a browser with this theme and wait until both models are ready."""
    visitor = Visitor(browser, address, width, height, theme)
    try:
        for role in ("current", "new"):
            visitor.is_ready(role)
        yield visitor
    finally:
        visitor.close()


def predict(visitor: Visitor) -> None:
    """Draw the digit and predict until the split chooses New."""
    visitor.draw_strokes([rounded(stroke) for stroke in CORNERS])
    for _ in range(60):
        visitor.press("predict")
        visitor.page.wait_for_timeout(300)  # the answer before looks the same
        settle(visitor.page)
        if "cnn says 3" in visitor.part("answer").inner_text():
            return
    raise SystemExit("New has not answered; is its share of the traffic not 20 %?")


def rounded(stroke: Stroke, times: int = 2) -> Stroke:
    """Smooth a stroke by cutting its corners repeatedly (Chaikin)."""
    points = np.array(stroke, dtype=float)
    for _ in range(times):
        before, after = points[:-1], points[1:]
        cut = np.stack([0.75 * before + 0.25 * after, 0.25 * before + 0.75 * after], axis=1).reshape(-1, 2)
        points = np.concatenate([points[:1], cut, points[-1:]])
    return [(round(x), round(y)) for x, y in points.tolist()]


def compare(visitor: Visitor) -> None:
    """Compare both models on the digit."""
    visitor.switch("compare")
    visitor.reads("answer", "Agree: both say 3")
    settle(visitor.page)


def settle(page: Page) -> None:
    """Wait until the script has finished, nothing moves, and no element is hovered."""
    expect(page.get_by_test_id("stApp")).to_have_attribute("data-test-script-state", "notRunning")
    expect(page.get_by_test_id("stToast")).to_have_count(0, timeout=PATIENCE)
    page.mouse.move(0, 0)
    page.wait_for_function("() => document.getAnimations().every(it => it.playState === 'finished')")


def save(page: Page, name: str) -> None:
    """Take a screenshot of the window, reduced to a palette if it is large."""
    page.evaluate("document.activeElement?.blur()")
    shot = page.screenshot(animations="disabled")
    if len(shot) > LARGEST:
        small = io.BytesIO()
        Image.open(io.BytesIO(shot)).convert("RGB").quantize(COLOURS).save(small, "PNG", optimize=True)
        shot = small.getvalue()
    (DOCS / name).write_bytes(shot)
    print(f"{name}: {len(shot) / 1000:.0f} kB")
