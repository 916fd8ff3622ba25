"""The page, run by Streamlit's AppTest on an engine in memory."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
import streamlit as st
from numpy.typing import NDArray
from streamlit.testing.v1 import AppTest

from mnist_dash.domain import Strategy
from mnist_dash.panels import background, drawing, lifecycle
from mnist_dash.panels.session import Session
from mnist_dash.preprocessing import enlarge
from mnist_dash.service import Dashboard
from mnist_dash.settings import Settings
from tests import fakes
from tests.fakes import FakeEngine, FakeServing

APP = str(Path(__file__).parents[2] / "app.py")
CANVAS_SHAPE = (280, 280, 4)


class Page:
    """One visitor's browser tab: widgets are found by key, and every run must be without an exception."""

    def __init__(self, **address: str) -> None:
        self.at = AppTest.from_file(APP, default_timeout=20)
        self.at.query_params.update(address)
        self.run()

    def run(self) -> Page:
        """Run the whole script once more."""
        self.at.run()
        assert not self.at.exception
        return self

    def click(self, key: str) -> Page:
        """Press a button."""
        self.at.button(key).click()
        return self.run()

    def switch(self, key: str) -> Page:
        """Switch a toggle on."""
        self.at.toggle(key).set_value(True)
        return self.run()

    def choose(self, strategy: Strategy, percent: int | None = None) -> Page:
        """Choose a strategy without sending it."""
        self.at.radio("strategy").set_value(strategy)
        self.run()
        if percent is not None:
            self.at.slider("canary-percent").set_value(percent)
            self.run()
        return self

    def fill(self, base: str, replicas: int | None = None) -> Page:
        """Fill in the dialog that deploys, without sending it."""
        self.at.text_input("deploy-base").set_value(base)
        if replicas is not None:
            self.at.number_input("deploy-replicas").set_value(replicas)
        return self

    def deploy(self, base: str, replicas: int | None = None) -> Page:
        """Fill in the dialog that deploys, and send it."""
        return self.fill(base, replicas).click("deploy-confirm")

    def open(self, tab: str) -> Page:
        """Show one of the tabs below, or unfold something."""
        self.at.session_state["below"] = tab
        return self.run()

    def unfold(self, key: str) -> Page:
        """Open an expander."""
        self.at.session_state[key] = True
        return self.run()

    def wait_out_late_strokes(self) -> None:
        """Let so much time pass since Predict that a stroke no longer belongs to it."""
        self.at.session_state["session"].asked_at = -10.0

    @property
    def text(self) -> str:
        """All that can be read on the page."""
        at = self.at
        alerts = [f"{alert.proto.title} {alert.value}" for alert in (*at.error, *at.warning, *at.info)]
        texts = [text.value for text in (*at.markdown, *at.caption, *at.subheader, *at.toast, *at.code)]
        bodies = [html.proto.body for html in at.get("html")]
        texts += bodies + [re.sub(r"<[^>]*>", "", body) for body in bodies]
        return "\n".join([*alerts, *texts])

    def has(self, key: str) -> bool:
        """Whether there is a button with this key."""
        return any(button.key == key for button in self.at.button)


class Canvas:
    """Stands in for the canvas, because only a browser can draw."""

    def __init__(self) -> None:
        self.pixels: NDArray[np.uint8] | None = None
        self.sheet = 0

    def draw_stroke(self, left: int = 130) -> None:
        """Draw a vertical stroke on an empty canvas."""
        self.pixels = np.zeros(CANVAS_SHAPE, np.uint8)
        self.pixels[..., 3] = 255
        self.pixels[50:230, left : left + 20, :3] = 255

    def add_stroke(self) -> None:
        """Draw a horizontal stroke too."""
        assert self.pixels is not None
        self.pixels[100:120, 60:200, :3] = 255

    def read(self, session: Session) -> NDArray[np.uint8] | None:
        """Return the pixels; a new sheet is blank, or has the sample on it."""
        if session.sheet != self.sheet:
            self.sheet, self.pixels = session.sheet, None
            if session.sample is not None:
                self.pixels = np.asarray(enlarge(session.sample.image, drawing.SIDE))
        return self.pixels


@pytest.fixture(autouse=True)
def no_shared_dashboard() -> Iterator[None]:
    """The cache lives as long as the process, so one test's dashboard would serve the next."""
    st.cache_resource.clear()
    yield
    st.cache_resource.clear()


@pytest.fixture(autouse=True)
def patient_page(monkeypatch: pytest.MonkeyPatch) -> None:
    """The page waits for its own calls, however busy the machine is: nothing polls in AppTest."""
    monkeypatch.setattr(background, "AT_ONCE_SECONDS", 20.0)


@pytest.fixture
def engine() -> FakeEngine:
    """The engine of the page under test."""
    return FakeEngine()


@pytest.fixture
def dash(engine: FakeEngine, monkeypatch: pytest.MonkeyPatch) -> Iterator[Dashboard]:
    """The dashboard on the fakes that the page opens."""
    dash, _ = fakes.dashboard(engine)
    monkeypatch.setattr(Settings, "from_env", Settings)
    monkeypatch.setattr(lifecycle, "open_dashboard", lambda _: dash)
    with dash:
        yield dash


@pytest.fixture
def serving(dash: Dashboard) -> FakeServing:
    """The models that answer on that dashboard."""
    assert isinstance(dash._serving, FakeServing)
    return dash._serving


@pytest.fixture
def page(dash: Dashboard) -> Page:
    """A visitor who has just come."""
    assert dash
    return Page()


@pytest.fixture
def canvas(monkeypatch: pytest.MonkeyPatch) -> Canvas:
    """The drawing on the page's canvas."""
    canvas = Canvas()
    monkeypatch.setattr(drawing, "canvas", canvas.read)
    return canvas
