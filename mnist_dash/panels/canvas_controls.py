"""What the canvas lacks: Undo stroke with Ctrl+Z, a hint while it is empty, and no toolbar over it.

Its keyboard also has the keys 0 to 9, which say which digit a drawing was.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import cache
from typing import Final

import streamlit as st
from streamlit.components.v2.types import ComponentRenderer

LABEL: Final = "Undo stroke"
HTML: Final = f"""
<button type="button" title="Ctrl+Z; Ctrl+Y repeats the stroke" disabled>
  <svg viewBox="0 0 24 24" aria-hidden="true"><path d="M9 14 4 9l5-5M4 9h10a6 6 0 0 1 0 12h-2"/></svg>
  {LABEL}
</button>
"""
CSS: Final = """
button {
  width: 100%; min-height: 2.5rem; padding: 0.25rem 0.75rem; cursor: pointer;
  display: inline-flex; align-items: center; justify-content: center; gap: 0.5rem; white-space: nowrap;
  font: 400 0.875rem var(--st-font); color: var(--st-text-color);
  background: var(--st-background-color);
  border: 1px solid var(--st-border-color); border-radius: var(--st-button-radius);
}
button:hover:not(:disabled) { background: var(--st-secondary-background-color); }
button:focus-visible { outline: 2px solid var(--st-primary-color); outline-offset: 2px; }
button:disabled { cursor: not-allowed; opacity: 0.4; }
svg { width: 1rem; height: 1rem; fill: none; stroke: currentColor; stroke-width: 2; }
"""
JS: Final = """
// The canvas keeps the history of its strokes in the browser, and offers it only in its toolbar. That lies
// invisibly over the corner of the paper, where it swallows strokes: it is hidden, and its buttons are
// clicked from here. Without a round trip to the server a quick undo never meets a stroke still on its way.
const STYLE = `
  .dc-toolbar { display: none !important; }
  .hint {
    position: absolute; inset: 0; z-index: 15; display: flex; align-items: center; justify-content: center;
    pointer-events: none; color: #8b93a1; font: 600 1.125rem var(--st-font, sans-serif);
  }
  .hint[hidden] { display: none; }
`;
const IN_TEXT = "input:not([type=range]):not([type=radio]):not([type=checkbox]), textarea, [contenteditable]";
const pages = new WeakMap();

function connect(parent) {
  const button = parent.querySelector("button");
  const page = { hinted: false, kept: false, drawing: false, root: null };
  const watch = new MutationObserver(update);

  // The canvas comes later than its controls, and a new one replaces it when the page is laid out anew.
  function attach() {
    const hosts = document.querySelectorAll(".st-key-paper *");
    const root = [...hosts].map((it) => it.shadowRoot).find((it) => it?.querySelector(".dc-toolbar"));
    if (!root || root === page.root) return;
    page.root = root;
    const style = document.createElement("style");
    style.textContent = STYLE;
    const hint = document.createElement("div");
    hint.className = "hint";
    hint.textContent = "Draw a digit here";
    root.append(style);
    root.querySelector(".dc-root").append(hint);
    root.addEventListener("pointerdown", () => { page.drawing = true; update(); });
    watch.disconnect();
    watch.observe(root.querySelector(".dc-toolbar"), { subtree: true, attributeFilter: ["disabled"] });
    update();
  }
  function tool(name) {
    return page.root?.querySelector(`.dc-toolbar button[title="${name}"]`);
  }
  function update() {
    button.disabled = !page.kept && (tool("Undo")?.disabled ?? true);
    const hint = page.root?.querySelector(".hint");
    if (hint) hint.hidden = !page.hinted || page.drawing || !button.disabled;
  }
  // Below the strokes may lie a drawing from before a reload, which is none to the canvas.
  function undo() {
    const last = tool("Undo");
    if (last && !last.disabled) last.click();
    else if (page.kept) {
      page.kept = false;
      page.takeBack();
      update();
    }
  }
  function pressLabel(digit) {
    const button = document.querySelectorAll(".st-key-label button")[digit];
    const isShown = button && getComputedStyle(button).visibility === "visible";
    if (isShown && button.ariaChecked !== "true") button.click();
  }
  function onKey(event) {
    const key = event.key.toLowerCase();
    const name = key === "y" || (key === "z" && event.shiftKey) ? "Redo" : key === "z" ? "Undo" : null;
    const typing = event.composedPath()[0].matches?.(IN_TEXT) || document.querySelector("[role=dialog]");
    if (typing || event.altKey) return;
    const isCommand = event.ctrlKey || event.metaKey;
    if (/^[0-9]$/.test(key) && !isCommand && !event.repeat) pressLabel(key);
    if (!name || !isCommand) return;
    event.preventDefault();
    if (name === "Undo") undo();
    else tool(name)?.click();
  }
  const onRelease = () => { page.drawing = false; };
  const timer = setInterval(attach, 100);
  button.addEventListener("click", undo);
  document.addEventListener("keydown", onKey);
  document.addEventListener("pointerup", onRelease);
  document.addEventListener("pointercancel", onRelease);
  page.show = (shown) => { Object.assign(page, shown, { shown }); attach(); update(); };
  page.close = () => {
    clearInterval(timer);
    watch.disconnect();
    document.removeEventListener("keydown", onKey);
    document.removeEventListener("pointerup", onRelease);
    document.removeEventListener("pointercancel", onRelease);
  };
  return page;
}

export default function ({ parentElement, data, setTriggerValue }) {
  if (!pages.has(parentElement)) pages.set(parentElement, connect(parentElement));
  const page = pages.get(parentElement);
  const before = page.shown, shown = { ...data, takeBack: () => setTriggerValue("taken_back", true) };
  page.show(shown);
  return () => {
    if (!parentElement.isConnected) {
      page.close();
      pages.delete(parentElement);
    } else if (page.shown === shown && before) page.show(before);  // an older call that came later
  };
}
"""


def show(*, hinted: bool, kept: bool, on_take_back: Callable[[], None]) -> None:
    """Show Undo stroke, and a hint on the canvas if it is `hinted`.

    If the canvas has a `kept` drawing on it, undoing it after all strokes calls `on_take_back`.
    """
    _component()(
        key="undo-stroke",
        data={"hinted": hinted, "kept": kept},
        width="stretch",
        height="content",
        on_taken_back_change=on_take_back,
    )


@cache
def _component() -> ComponentRenderer:
    """Return the component; made on the first run, because it is registered with the running app."""
    return st.components.v2.component("mnist-dash-canvas-controls", html=HTML, css=CSS, js=JS)
