"""In the tab of the canary check: start an automatic rollout, steer it, and see where it stands."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any, Final

import streamlit as st

from mnist_dash.errors import MnistDashError
from mnist_dash.evidence import rollout_html
from mnist_dash.evidence.canary_check import CanaryCheck, CheckOptions
from mnist_dash.evidence.rollout import (
    DEFAULT_REQUESTS,
    DEFAULT_STEPS,
    MAX_REQUESTS,
    Rollout,
    RolloutPlan,
    RolloutStatus,
    parse_steps,
    why_not_roll_out,
)
from mnist_dash.panels.session import DOUBLE_CLICK_SECONDS, session, signed_in_user
from mnist_dash.service import Dashboard

START, STEPS, REQUESTS = "rollout-options", "rollout-steps", "rollout-requests"
DEFAULTS: Final[dict[str, object]] = {STEPS: ", ".join(map(str, DEFAULT_STEPS)), REQUESTS: DEFAULT_REQUESTS}
EXPLANATION: Final = (
    "Sends New more and more of the requests, step by step, while a canary check runs. In the end New becomes"
    " the Current, if it is better or makes no difference. If Current is better, or New fails the guard, all"
    " requests go back to Current. Level, margin and guard are those under Options."
)


def find_shown(dash: Dashboard, check: CanaryCheck | None) -> Rollout | None:
    """Return the rollout to which the shown check belongs, if it belongs to one."""
    rollout = dash.rollout
    return rollout if rollout and check and check.started_at == rollout.started_at else None


def find_choices(rollout: Rollout | None) -> tuple[object, ...]:
    """Return what decides which buttons can be pressed."""
    if rollout is None:
        return ()
    return rollout.status, rollout.can_pause, rollout.can_skip, rollout.can_abort, rollout.is_overridden


def show_start(dash: Dashboard, choose_options: Callable[[], CheckOptions], obstacle: str) -> None:
    """Show the button that starts a rollout, behind another one, with what is chosen before."""
    why_not = obstacle or why_not_roll_out(dash.snapshot())
    if has_to_close():
        session().rollout_started_at, st.session_state[START] = 0.0, False
    with st.popover("Roll out automatically", icon=":material/stairs:", key=START, on_change="rerun"):
        st.markdown(EXPLANATION)
        chosen: Any = DEFAULTS | session().check_choices
        st.text_input("Steps in percent", chosen[STEPS], key=STEPS, disabled=bool(why_not))
        st.number_input(
            "Requests that New answers at each step",
            1,
            MAX_REQUESTS,
            chosen[REQUESTS],
            step=50,
            key=REQUESTS,
            disabled=bool(why_not),
        )
        session().check_choices |= {key: st.session_state[key] for key in DEFAULTS}
        st.button(
            "Start rollout",
            key="start-rollout",
            type="primary",
            on_click=_start,
            args=(dash, choose_options),
            disabled=bool(why_not),
            help=why_not or None,
        )


def has_to_close() -> bool:
    """Whether the popover is open after a start, and a second click can no longer meet what is beneath."""
    started_at = session().rollout_started_at
    return started_at > 0 and time.monotonic() - started_at > DOUBLE_CLICK_SECONDS


def _start(dash: Dashboard, choose_options: Callable[[], CheckOptions]) -> None:
    chosen = st.session_state

    def start(dash: Dashboard) -> None:
        plan = RolloutPlan(parse_steps(chosen[STEPS]), chosen[REQUESTS], choose_options())
        dash.start_rollout(plan)
        session().rollout_started_at = time.monotonic()

    _call(dash, start)


def _call(dash: Dashboard, verb: Callable[[Dashboard], None]) -> None:
    try:
        verb(dash.on_behalf_of(signed_in_user()))
    except MnistDashError as error:
        session().errors.append(str(error))


def show_buttons(dash: Dashboard, rollout: Rollout) -> None:
    """Show what can be done with a rollout; the buttons stay after its end, so that nothing moves."""
    is_paused = rollout.status is RolloutStatus.PAUSED
    why_not_resume = rollout.why_not_resume(dash.snapshot()) if is_paused else ""
    returns = (
        "The split stays as it was set by hand." if rollout.is_overridden else "All requests go to Current."
    )
    with st.container(horizontal=True, key="rollout-buttons"):
        for label, key, icon, verb, enabled, text in (
            (
                "Pause",
                "pause-rollout",
                "pause",
                Dashboard.pause_rollout,
                rollout.can_pause,
                "The split stays.",
            ),
            (
                "Resume",
                "resume-rollout",
                "play_arrow",
                Dashboard.resume_rollout,
                is_paused and not why_not_resume,
                why_not_resume or "Continues this step.",
            ),
            (
                "Skip step",
                "skip-step",
                "skip_next",
                _skip,
                rollout.can_skip,
                "Continues with the next step at once.",
            ),
            ("Abort", "abort-rollout", "stop", Dashboard.abort_rollout, rollout.can_abort, returns),
        ):
            st.button(
                label,
                key=key,
                icon=f":material/{icon}:",
                on_click=_call,
                args=(dash, verb),
                disabled=not enabled,
                help=text,
            )


def _skip(dash: Dashboard) -> None:
    """Skip a step, once for a double click: its second half would skip the next step."""
    if not session().is_double_click("skip-step"):
        dash.skip_rollout_step()


def show_ladder(dash: Dashboard, rollout: Rollout, check: CanaryCheck) -> None:
    """Show the steps, and where the rollout stands."""
    with st.container(key="rollout"):
        ladder = rollout_html.draw_ladder(rollout, check, rollout.find_wait(dash.snapshot()))
        st.html(rollout_html.STYLE + ladder)
