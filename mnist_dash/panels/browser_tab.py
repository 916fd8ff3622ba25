"""What a browser tab does by itself.

It keeps a drawing over a reload, loads plotly once the page is ready, and tells that the dashboard has
stopped.
"""

from __future__ import annotations

import base64
import binascii
import io
from functools import cache
from pathlib import Path
from typing import Any, Final

import numpy as np
import streamlit as st
from PIL import Image as Pictures
from streamlit.components.v2.types import ComponentRenderer

from mnist_dash.errors import DrawingError
from mnist_dash.panels import strategy
from mnist_dash.panels.drawing import SIDE
from mnist_dash.panels.session import KeptDrawing, session
from mnist_dash.preprocessing import has_far_dot, prepare

KEY: Final = "browser-tab"
PNG: Final = "data:image/png;base64,"
HTML: Final = """
<div popover="manual" role="alert">
  <section>
    <h2>The dashboard has stopped</h2>
    <p>Start it again where it ran:</p>
    <code>streamlit run app.py</code>
    <p>This page then continues by itself, with your drawing.</p>
  </section>
</div>
"""
CSS: Final = """
div[popover] {
  position: fixed; inset: 0; width: 100%; height: 100%; box-sizing: border-box;
  margin: 0; border: 0; padding: 1rem;
  background: color-mix(in srgb, var(--st-background-color) 94%, transparent);
  color: var(--st-text-color); font: 400 1rem/1.5 var(--st-font);
}
div:popover-open { display: flex; align-items: center; justify-content: center; }
section {
  padding: 1.25rem 1.5rem; border: 1px solid var(--st-border-color); border-radius: 0.75rem;
  background: var(--st-background-color); box-shadow: 0 8px 32px rgb(0 0 0 / 25%);
}
h2 { margin: 0 0 0.5rem; font: 600 1.25rem var(--st-heading-font); }
p { margin: 0.5rem 0; }
code {
  display: block; padding: 0.5rem 0.75rem; border-radius: 0.375rem; font: 0.875rem var(--st-code-font);
  background: var(--st-secondary-background-color);
}
"""
JS: Final = """
// The tab's own storage ends with the tab, and no other tab reads it.
const STORE = "mnist-dash";
const GRACE = 1000;  // ms: a short interruption is no reason to alarm anybody
const BREAK = 1000;  // ms between the page and plotly, whose start keeps the browser busy for a second
let session = null, shown = null, isKept = false;

function keep() {
  if (isKept) return;
  const roots = [...document.querySelectorAll(".st-key-paper *")].map((it) => it.shadowRoot);
  const canvas = roots.map((it) => it?.querySelector("canvas.dc-canvas")).find((it) => it);
  const named = new URLSearchParams(location.search).has("sample");  // the address keeps such a digit
  const drawing = named ? null : canvas?.toDataURL() ?? null;
  sessionStorage.setItem(STORE, JSON.stringify({ drawing, unsent: shown?.unsent ?? null }));
}
function reload() {
  isKept = true;  // what the canvas shows by now may be a blank sheet of the new server
  location.reload();
}
function isConnected() {
  return document.querySelector(".stApp")?.dataset.testConnectionState === "CONNECTED";
}
function watch(overlay) {
  let lostAt = 0;
  const timer = setInterval(async () => {
    if (isConnected()) {
      lostAt = 0;
      isKept = false;
      if (overlay.matches(":popover-open")) overlay.hidePopover();
      return;
    }
    lostAt ||= Date.now();
    if (Date.now() - lostAt < GRACE) return;
    if (!overlay.matches(":popover-open")) {
      keep();
      isKept = true;
      overlay.showPopover();
    }
    const answer = await fetch("_stcore/health", { cache: "no-store" }).catch(() => null);
    if (answer?.ok && !isConnected()) reload();
  }, 500);
  addEventListener("pagehide", keep);
  return () => {
    clearInterval(timer);
    removeEventListener("pagehide", keep);
  };
}
function load(module) {
  if (document.querySelector(":active")) setTimeout(load, BREAK, module);  // a stroke would get stuck
  else import(new URL(module, document.baseURI)).catch(() => null);
}
const tabs = new WeakMap();

export default function ({ parentElement, data, setTriggerValue }) {
  const before = shown;
  shown = data;
  if (!tabs.has(parentElement)) tabs.set(parentElement, watch(parentElement.querySelector("[popover]")));
  if (session && session !== data.session) reload();  // the server was started again meanwhile
  if (!session) {
    if (data.plotly) setTimeout(load, BREAK, data.plotly);
    const kept = JSON.parse(sessionStorage.getItem(STORE) ?? "null");
    if (kept && (kept.drawing || kept.unsent !== null)) setTriggerValue("kept", kept);
  }
  session = data.session;
  return () => {
    if (!parentElement.isConnected) {
      tabs.get(parentElement)?.();
      tabs.delete(parentElement);
    } else if (shown === data && before) shown = before;  // an older call that came later
  };
}
"""


def show(unsent: int | None) -> None:
    """Watch the connection, and have the browser keep the drawing and an `unsent` split over a reload."""
    data = {"session": session().id, "unsent": unsent, "plotly": _find_plotly()}
    result = _component()(key=KEY, data=data, width=1, height="content", on_kept_change=_restore)
    if result.kept:
        st.rerun()  # the drawing belongs to another part of the page


def _restore() -> None:
    """Put back what the browser has kept; it comes from the browser, so anything may be in it."""
    kept: Any = st.session_state[KEY].kept
    if not isinstance(kept, dict):
        return
    if isinstance(percent := kept.get("unsent"), int):
        strategy.choose(percent)
    if (drawing := read_drawing(kept.get("drawing"))) and not session().sample:
        session().start_sheet(kept=drawing)


def read_drawing(source: object) -> KeptDrawing | None:
    """Return the drawing in a data URL as the canvas makes it; None if there is no digit in it."""
    if not isinstance(source, str) or not source.startswith(PNG):
        return None
    try:
        picture = Pictures.open(io.BytesIO(base64.b64decode(source.removeprefix(PNG))), formats=["PNG"])
        # A screen of high density has more pixels.
        pixels = np.asarray(picture.convert("RGBA").resize((SIDE, SIDE)))
        return KeptDrawing(prepare(pixels), source, has_far_dot(pixels))
    except (OSError, ValueError, binascii.Error, Pictures.DecompressionBombError, DrawingError):
        return None


@cache
def _find_plotly() -> str:
    """Return the address of Streamlit's plotly, below the page's; empty where it is not found."""
    static = Path(st.__file__).parent / "static"
    files = (file.relative_to(static).as_posix() for file in static.glob("static/js/PlotlyChart.*.js"))
    return next(files, "")


@cache
def _component() -> ComponentRenderer:
    """Return the component; made on the first run, because it is registered with the running app."""
    return st.components.v2.component("mnist-dash-browser-tab", html=HTML, css=CSS, js=JS)
