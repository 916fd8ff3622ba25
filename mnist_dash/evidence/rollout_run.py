"""Carry out automatic rollouts in the background, from a note that the engine keeps for all dashboards."""

from __future__ import annotations

import contextlib
import logging
import secrets
import threading
import time
from collections.abc import Callable
from dataclasses import replace
from typing import TYPE_CHECKING, Final

from mnist_dash.dataset import load_digits
from mnist_dash.domain import Change, Promote, Role, SetSplit
from mnist_dash.errors import EngineError, MnistDashError
from mnist_dash.evidence.canary_check import GUARD_ENDED, CanaryCheck
from mnist_dash.evidence.rollout import Rollout, RolloutPlan, StepAnswers

if TYPE_CHECKING:
    from mnist_dash.engine import Engine
    from mnist_dash.evidence.check_run import CanaryChecks, CheckRun

LOOK_SECONDS = 0.5
"""How often the note is looked at while nothing is to be done."""
ROUND_SECONDS = 0.1
RETRY_SECONDS = 2.0
"""After a refused return to Current."""
RENEW_SECONDS = 4.0
LEASE_SECONDS = 15.0
"""A rollout whose note its driver has not renewed for so long is continued by another dashboard."""
ATTEMPTS: Final = 5
STEP_ENDED: Final = "The step has ended."
DAMAGED: Final = "The state of the automatic rollout cannot be read: it was dropped. Start another rollout."

log = logging.getLogger("mnist_dash")


class Rollouts:
    """The automatic rollout of an engine; safe to use from any thread.

    Its state is in the note alone, and every event is written with compare-and-swap: so two dashboards never
    carry it out at the same time for long, and each may continue what another one has left.
    """

    def __init__(
        self,
        engine: Engine,
        checks: CanaryChecks,
        apply: Callable[[Change, str, str], object],
        lease_seconds: float,
    ) -> None:
        """`apply` makes a change for a user, if New's etag is as expected."""
        self._engine = engine
        self._checks = checks
        self._apply = apply
        self._lease_seconds = lease_seconds
        self._id = secrets.token_hex(6)
        self._closing, self._wake = threading.Event(), threading.Event()
        self._asking: tuple[Rollout, CheckRun] | None = None
        """The rollout as the step under way began, and its requests."""
        self._driving = threading.Thread()
        self._last_note, self._last_change = "", time.monotonic()
        self._renewed = time.monotonic()
        threading.Thread(target=self._keep_looking, name="mnist-dash-rollout", daemon=True).start()

    @property
    def noted(self) -> Rollout | None:
        """The last rollout as it was noted; None before the first, and if the note is damaged."""
        with contextlib.suppress(ValueError):
            return Rollout.from_json(text) if (text := self._engine.note()) else None
        return None

    @property
    def last(self) -> Rollout | None:
        """The same with the answers that have come since."""
        rollout, asking = self.noted, self._asking
        if rollout and asking and self._is_still(asking[0], rollout):
            return rollout.record(_count(asking[0], asking[1].check))
        return rollout

    @property
    def is_active(self) -> bool:
        """Whether a rollout is under way or paused."""
        rollout = self.noted
        return rollout is not None and (not rollout.is_ended or rollout.is_driven)

    @property
    def problem(self) -> str:
        """What is wrong with the note; empty if nothing is."""
        return DAMAGED if self._engine.note() and not self.noted else ""

    @property
    def check(self) -> CanaryCheck | None:
        """The last check, or the evidence of a rollout that began after it; None before the first."""
        check, rollout = self._checks.last, self.noted
        if not rollout or (check and check.started_at > rollout.started_at):
            return check
        if check and check.started_at == rollout.started_at and self._is_mine(rollout):
            return check
        return rollout.to_check()

    def _is_mine(self, rollout: Rollout) -> bool:
        return rollout.driver == self._id

    def _is_still(self, begun: Rollout, now: Rollout) -> bool:
        """Whether this dashboard still carries out the rollout that it had begun to ask for."""
        return self._is_mine(now) and now.started_at == begun.started_at

    def start(self, plan: RolloutPlan, by: str) -> None:
        """Start a rollout; raises EngineError if one is under way, or both models cannot be asked now."""
        if self.is_active:
            raise EngineError("A rollout is under way already.", "Wait until it ends, or abort it.")
        if (check := self._checks.last) and check.is_running:
            raise EngineError("A check is running.", "Wait until it ends, or stop it.")
        before = self._engine.note()
        rollout = Rollout.begin(plan, self._engine.snapshot(), by, len(load_digits()))
        if not self._engine.keep_note(replace(rollout, driver=self._id).to_json(), before):
            raise EngineError("Somebody else has started a rollout meanwhile.")
        self._wake.set()

    def pause(self, reason: str) -> None:
        """Ask no further digits; the split stays as it is. Does nothing if no rollout runs."""
        self._update(lambda rollout: rollout.pause(reason))

    def resume(self) -> None:
        """Continue a paused rollout; raises EngineError if other models are deployed now."""
        snapshot = self._engine.snapshot()
        if (rollout := self.noted) and (reason := rollout.why_not_resume(snapshot)) and not rollout.is_ended:
            raise EngineError(reason)
        self._take(lambda rollout: rollout.resume(snapshot))

    def skip(self) -> None:
        """Continue with the next step at once, if that is possible."""
        self._take(Rollout.skip)

    def abort(self, reason: str) -> None:
        """End the rollout under way, with all requests to Current."""
        self._take(lambda rollout: rollout.abort(reason))

    def close(self) -> None:
        """Stop driving the rollout; it continues after the next start, or on another dashboard."""
        self._closing.set()
        self._wake.set()

    def _take(self, event: Callable[[Rollout], Rollout]) -> None:
        """Change the rollout, and carry out what follows."""

        def change(rollout: Rollout) -> Rollout:
            changed = event(rollout)
            return rollout if changed == rollout else replace(changed, driver=self._id)

        self._update(change)
        self._wake.set()

    def _update(self, event: Callable[[Rollout], Rollout]) -> Rollout | None:
        """Replace the rollout by what an event makes of it; raises EngineError if it cannot be kept."""
        for _ in range(ATTEMPTS):
            text, rollout = self._engine.note(), self.noted
            if not rollout:
                return None
            changed = event(rollout)
            if changed == rollout or self._engine.keep_note(changed.to_json(), text):
                return changed
        raise EngineError("The rollout is being changed by others.", "Try again.")

    def _keep_looking(self) -> None:
        while not self._closing.is_set():
            self._attempt(self._look)
            self._wake.wait(LOOK_SECONDS)
            self._wake.clear()

    def _attempt(self, work: Callable[[], object]) -> bool:
        """Do some work; what fails is tried again later, and without this a rollout would stand still."""
        try:
            return bool(work())
        except MnistDashError:
            return False  # the snapshot says what is wrong with the engine
        except Exception:
            log.exception("the rollout continues after an unexpected error")
            return False

    def _look(self) -> None:
        """Carry out the rollout, if that is for this dashboard to do, and renew the note."""
        rollout, now, note = self.noted, time.monotonic(), self._engine.note()
        if note != self._last_note:
            self._last_note, self._last_change = note, now
        if not rollout or (rollout.is_ended and not rollout.is_driven):
            return
        if not self._is_mine(rollout):
            if rollout.is_driven and now - self._last_change >= self._lease_seconds:
                self._take_over(rollout)
            return
        if not rollout.is_driven:  # paused: a change by hand is noted all the same
            self._update(self._observe)
            return
        if not self._driving.is_alive():
            self._driving = threading.Thread(target=self._drive, name="mnist-dash-rollout-drive", daemon=True)
            self._driving.start()
        if now - self._renewed >= RENEW_SECONDS:
            self._renewed = now
            self._update(self._renew)

    def _take_over(self, abandoned: Rollout) -> None:
        """Continue what another dashboard has left, unless it has renewed it meanwhile."""
        mine = replace(abandoned, driver=self._id)
        self._update(lambda rollout: mine if rollout == abandoned else rollout)
        self._wake.set()

    def _renew(self, rollout: Rollout) -> Rollout:
        """Note that it is being carried out, with the answers that are confirmed."""
        if not self._is_mine(rollout):
            return rollout
        if (asking := self._asking) and self._is_still(asking[0], rollout):
            rollout = rollout.record(_count(asking[0], asking[1].confirmed))
        return replace(rollout, beat=rollout.beat + 1)

    def _observe(self, rollout: Rollout) -> Rollout:
        return rollout.observe(self._engine.snapshot()) if self._is_mine(rollout) else rollout

    def _drive(self) -> None:
        while not self._closing.is_set() and self._attempt(self._advance):
            self._closing.wait(ROUND_SECONDS)

    def _advance(self) -> bool:
        """Do what is due now; return whether there is more to do here."""
        rollout = self._update(self._observe)
        if not rollout or not self._is_mine(rollout) or not rollout.is_driven:
            return False
        if change := rollout.due:
            self._make(rollout, change)
        elif not rollout.is_promoting and not rollout.find_wait(self._engine.snapshot()):
            self._ask(rollout)
        return True

    def _make(self, rollout: Rollout, change: Change) -> None:
        """Apply a change, and note it: a promotion before, because it must not be made twice."""
        if isinstance(change, Promote):
            marked = self._update(Rollout.begin_promotion)
            if not marked or not marked.is_promoting:
                return
        try:
            self._apply(change, f"{rollout.by} (automatic rollout)", rollout.etags[1])
        except EngineError as error:
            problem = str(error)
            self._update(lambda now: now.fail(problem))
            if rollout.is_ended:
                self._closing.wait(RETRY_SECONDS)
        else:
            if isinstance(change, SetSplit):
                percent = change.percent
                self._update(lambda now: now.note_split(percent))

    def _ask(self, rollout: Rollout) -> None:
        """Ask about digits until the step ends, and draw the consequences."""

        def why_end(check: CanaryCheck) -> str:
            now = self.noted
            if not now or not self._is_still(rollout, now) or now.step != rollout.step or not now.can_pause:
                return STEP_ENDED
            after = now.record(_count(rollout, check)).decide()
            return "" if (after.step, after.status) == (now.step, now.status) else STEP_ENDED

        run = self._checks.prepare(self._continue_check(rollout), why_end)
        self._asking = rollout, run
        try:
            run.run()
            if not self._closing.is_set():
                self._conclude(rollout, run.check)
        finally:
            self._asking = None

    def _conclude(self, begun: Rollout, check: CanaryCheck) -> None:
        """Draw the consequences of a step's answers; where they ended otherwise than planned, pause."""

        def conclude(now: Rollout) -> Rollout:
            if not self._is_still(begun, now):
                return now
            decided = now.record(_count(begun, check)).decide(check.alarm)
            if check.ended in (STEP_ENDED, GUARD_ENDED):
                return decided
            return self._observe(decided).pause(check.ended)

        self._update(conclude)

    def _continue_check(self, rollout: Rollout) -> CanaryCheck:
        """Return the check of the steps before, as far as its answers are known here, at the step's split."""
        last = self._checks.last
        is_same = last and last.started_at == rollout.started_at and last.counts == rollout.counts
        check = last if last and is_same else rollout.to_check()
        return replace(
            check,
            setup=rollout.setup,
            first_at_split=len(check.rows),
            repeats=(),
            batches=0,
            failures=(),
            is_running=True,
            ended="",
            alarm="",
        )


def _count(rollout: Rollout, check: CanaryCheck) -> StepAnswers:
    """Return what a step has brought since the rollout was as given.

    Where both models gave the same answer and nothing names them, New gave its share of those answers.
    """
    unknown = len(check.latencies(None)) * check.setup.split // 100
    answered = rollout.answered + len(check.latencies(Role.NEW)) + unknown
    return StepAnswers(rollout.step, answered, check.counts, check.verdict)
