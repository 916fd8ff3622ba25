"""The steps of a rollout as HTML: a list that is drawn as a ladder."""

from __future__ import annotations

from html import escape
from typing import TYPE_CHECKING, Final

from mnist_dash.charts import COLOUR, ERROR, UNKNOWN
from mnist_dash.domain import Role
from mnist_dash.evidence.rollout import Rollout, RolloutStatus
from mnist_dash.evidence.statistics import find_percentiles

if TYPE_CHECKING:
    from mnist_dash.evidence.canary_check import CanaryCheck

DONE: Final = "#2c8a57"
STATUS_COLOUR: Final = {
    RolloutStatus.RUNNING: COLOUR[Role.NEW],
    RolloutStatus.PROMOTED: DONE,
    RolloutStatus.ROLLED_BACK: ERROR,
}
STYLE: Final = f"""<style>
.ladder ol {{ display: flex; flex-wrap: wrap; gap: 6px; list-style: none; margin: 0; padding: 0; }}
.ladder li {{
  flex: 1 1 76px; margin: 0; padding: 4px 8px; border: 2px solid {UNKNOWN}66; border-radius: 8px;
  font-size: 13px; line-height: 1.35; font-variant-numeric: tabular-nums;
}}
.ladder li b {{ display: block; font-size: 18px; white-space: nowrap; }}
.ladder li.done {{ border-color: {DONE}; }}
.ladder li.later {{ opacity: 0.75; }}
.ladder p {{ font-size: 14px; line-height: 1.4; margin: 6px 0 0; min-height: 2.8em; }}
@media (max-width: 480px) {{ .ladder p {{ min-height: 5.6em; }} }}
</style>"""


def draw_ladder(rollout: Rollout, check: CanaryCheck, waiting: str = "") -> str:
    """Return the steps with where the rollout stands, and a sentence about it.

    `check` is its evidence, `waiting` why it asks nothing at the moment.
    """
    colour = STATUS_COLOUR.get(rollout.status, UNKNOWN)
    steps = [_draw_step(rollout, place, colour) for place in range(len(rollout.plan.steps) + 1)]
    text = describe_end(rollout) or f"{describe_progress(rollout, waiting)} {describe_guard(check)}"
    return (
        f'<div class="ladder"><ol aria-label="Steps of the rollout">{"".join(steps)}</ol>'
        f'<p><b role="status" style="color: {colour}">{describe_place(rollout)}</b> '
        f"{escape(text, quote=False)}</p></div>"
    )


def _draw_step(rollout: Rollout, place: int, colour: str) -> str:
    """Return a step, or after the last one the promotion."""
    steps, is_promoted = rollout.plan.steps, rollout.status is RolloutStatus.PROMOTED
    title = f"{steps[place]} %" if place < len(steps) else "Promote"
    if place < rollout.step or is_promoted:
        return f'<li class="done"><b>{title}</b>done</li>'
    if place > rollout.step:
        return f'<li class="later"><b>{title}</b>later</li>'
    share = min(1.0, rollout.answered / rollout.plan.requests) if place < len(steps) else 0.0
    filled = f"linear-gradient(to right, {colour}33 {share:.0%}, transparent {share:.0%})"
    count = f"{min(rollout.answered, rollout.plan.requests)} of {rollout.plan.requests}"
    return (
        f'<li aria-current="step" style="border-color: {colour}; background: {filled}"><b>{title}</b>'
        f"{count if place < len(steps) else 'now'}</li>"
    )


def describe_place(rollout: Rollout) -> str:
    """Describe how a rollout does, and at which step it is: `Rolling out, step 2 of 4.`"""
    steps = len(rollout.plan.steps)
    if rollout.status is RolloutStatus.PROMOTED or rollout.step == steps:
        return f"{rollout.status}." if rollout.is_ended else f"{rollout.status}, promotion."
    return f"{rollout.status}, step {rollout.step + 1} of {steps}."


def describe_end(rollout: Rollout) -> str:
    """Describe why a rollout does not continue, and where the requests go then; empty while it does.

    The verdict, or what the guard found, is in large type beside it.
    """
    verb = "go" if rollout.due else "went"
    back = "" if rollout.is_overridden else f"All requests {verb} back to {rollout.setup.current.name}."
    match rollout.status:
        case RolloutStatus.RUNNING:
            return ""
        case RolloutStatus.PROMOTED:
            return f"{rollout.setup.new.name} became the Current."
        case RolloutStatus.ROLLED_BACK:
            return back
        case RolloutStatus.ABORTED:
            return f"{rollout.reason} {back}".strip()
    return rollout.reason


def describe_guard(check: CanaryCheck) -> str:
    """Describe what the guard has seen of New at this split; empty if it has no limits, or seen nothing."""
    guard, (failed, requests) = check.options.guard, check.error_rate(Role.NEW)
    times, parts = check.latencies(Role.NEW), []
    if guard.error_rate is not None and requests:
        parts.append(f"{failed} of {requests:,} requests to New failed, limit {guard.error_rate * 100:g} %")
    if guard.p95 is not None and times:
        parts.append(f"p95 {find_percentiles(times)[1]:.0f} ms, limit {guard.p95:g} ms")
    return f"Guard: {'; '.join(parts)}." if parts else ""


def describe_progress(rollout: Rollout, waiting: str = "") -> str:
    """Describe how far the present step of a running rollout is."""
    if rollout.step == len(rollout.plan.steps):
        return "New is being made the Current."
    digits = f"{rollout.counts.digits:,} of {rollout.planned:,} digits asked."
    if waiting:
        return f"{waiting} {digits}"
    answered, requests = rollout.answered, rollout.plan.requests
    if answered >= requests:
        return f"All {requests} requests are answered: the verdict is awaited. {digits}"
    return f"New has answered {answered} of {requests} requests at {rollout.target} %. {digits}"
