"""The pure decisions about one release."""

from __future__ import annotations

import pytest

from mnist_dash.domain import State
from mnist_dash.local.desired_state import Spec
from mnist_dash.local.plan import Phase, Plan, ReplicaStatus, RestartHistory, delay, plan, status_of

OLD = [ReplicaStatus("blue-1", 1, Phase.READY), ReplicaStatus("blue-2", 1, Phase.READY)]
SPEC = Spec("/models/a", replicas=2, generation=2)
FORMER = Spec("/models/former", replicas=2, generation=1)
STARTING, READY = Phase.STARTING, Phase.READY
BOTH_OLD, BOTH_NEW = ("blue-1", "blue-2"), ("blue-3", "blue-4")
NO_RESTARTS, KILLED = RestartHistory(), RestartHistory(reason="Killed.")


def fresh(*phases: Phase) -> list[ReplicaStatus]:
    return [ReplicaStatus(f"blue-{number}", 2, phase) for number, phase in enumerate(phases, start=3)]


def no_file(failed_starts: int) -> RestartHistory:
    return RestartHistory(failed_starts, reason="No file.")


@pytest.mark.parametrize(
    ("spec", "replicas", "expected"),
    [
        (None, [], Plan()),
        (None, OLD, Plan(drain=BOTH_OLD)),
        (SPEC, [], Plan(start=2)),
        (SPEC, fresh(STARTING), Plan(start=1)),
        (SPEC, fresh(READY, STARTING), Plan(backends=("blue-3",), taken_over=True)),
        (SPEC, fresh(READY, READY), Plan(backends=BOTH_NEW, taken_over=True)),
        (SPEC, fresh(READY), Plan(backends=("blue-3",), start=1, taken_over=True)),
        (SPEC, [ReplicaStatus("blue-3", 2, Phase.STOPPING)], Plan(start=2)),
        (SPEC, OLD, Plan(start=2, drain=BOTH_OLD)),
    ],
)
def test_a_release_is_kept_at_its_number_of_replicas(
    spec: Spec | None, replicas: list[ReplicaStatus], expected: Plan
) -> None:
    """Ready replicas answer; those of a generation that is no longer desired are drained."""
    assert plan(spec, replicas, NO_RESTARTS) == expected


@pytest.mark.parametrize(
    ("replicas", "expected"),
    [
        (OLD, Plan(backends=BOTH_OLD, start=2)),
        (OLD + fresh(STARTING, READY), Plan(backends=BOTH_OLD)),
        (OLD + fresh(READY, READY), Plan(backends=BOTH_NEW, drain=BOTH_OLD, taken_over=True)),
        (OLD[:1] + fresh(STARTING, STARTING), Plan(backends=("blue-1",), start_former=1)),
        (fresh(STARTING, STARTING), Plan(start_former=2)),
        (fresh(STARTING, READY), Plan(backends=("blue-4",), taken_over=True)),
        (
            [*OLD, ReplicaStatus("blue-9", 7, READY), *fresh(STARTING, STARTING)],
            Plan(backends=BOTH_OLD, drain=("blue-9",)),
        ),
        ([ReplicaStatus("blue-1", 1, Phase.DRAINING), *fresh(READY, READY)], Plan(BOTH_NEW, taken_over=True)),
    ],
)
def test_a_redeploy_rolls_all_at_once_beside_the_former_replicas(
    replicas: list[ReplicaStatus], expected: Plan
) -> None:
    """The former ones are replaced too if they end, and one that was superseded never gets requests."""
    assert plan(SPEC, replicas, NO_RESTARTS, FORMER) == expected


def test_a_redeploy_is_given_up_after_three_failed_starts() -> None:
    """The former replicas stay members, and no new one is started."""
    assert plan(SPEC, OLD, RestartHistory(failed_starts=3), FORMER) == Plan(backends=BOTH_OLD, give_up=True)


@pytest.mark.parametrize(("failed", "former"), [(2, FORMER), (3, None), (50, None)])
def test_starting_continues_before_that_or_without_a_former_model(failed: int, former: Spec | None) -> None:
    """Without one there is nothing to lose by trying again."""
    assert plan(SPEC, [], RestartHistory(failed_starts=failed), former).start == 2


def test_a_takeover_is_not_undone_by_late_failures() -> None:
    """Once the new replicas answer, replicas that fail later do not bring the former model back."""
    decision = plan(SPEC, fresh(READY, READY), RestartHistory(failed_starts=9), FORMER)
    assert decision.taken_over
    assert not decision.give_up


def test_the_first_replacement_comes_at_once_and_a_crash_loop_backs_off() -> None:
    """Delays double from half a second up to half a minute."""
    delays = [delay(RestartHistory(in_a_row=n)) for n in range(11)]
    assert delays == [0, 0, 0.5, 1, 2, 4, 8, 16, 30, 30, 30]


@pytest.mark.parametrize(
    ("replicas", "restarts", "failed_redeploy", "state", "cause"),
    [
        ([], NO_RESTARTS, "", State.STARTING, "0 of 2 replicas ready"),
        (fresh(READY, STARTING), NO_RESTARTS, "", State.STARTING, "1 of 2"),
        (fresh(READY, READY), NO_RESTARTS, "", State.READY, ""),
        (fresh(READY), KILLED, "", State.DEGRADED, "Killed."),
        ([], no_file(1), "", State.DEGRADED, "No file."),
        ([], no_file(3), "", State.FAILED, "3 times while starting. No file."),
        (
            OLD + fresh(STARTING),
            NO_RESTARTS,
            "",
            State.UPDATING,
            "former answers with 2 replicas; a is starting, 0 of 2.",
        ),
        (OLD, no_file(1), "", State.UPDATING, "No file."),
        (
            fresh(READY, READY),
            NO_RESTARTS,
            "It failed.",
            State.FAILED,
            "It failed. a keeps serving with 2 replicas.",
        ),
        (fresh(READY), KILLED, "It failed.", State.DEGRADED, "It failed. 1 of 2 replicas"),
    ],
)
def test_each_state_has_its_cause(
    replicas: list[ReplicaStatus], restarts: RestartHistory, failed_redeploy: str, state: State, cause: str
) -> None:
    """The cause quotes the reason of the last end."""
    status = status_of("New", SPEC, replicas, restarts, FORMER.base, failed_redeploy=failed_redeploy)
    assert status.state is state
    assert cause in status.cause
    assert bool(status.cause) == (state is not State.READY)


@pytest.mark.parametrize(
    ("replicas", "ready_in", "cause"),
    [
        ([], 1.2, "New is restarting: it was killed by signal SIGKILL. Ready again in about 2 s."),
        ([], 11, "New is restarting: it was killed by signal SIGKILL. Ready again in about 15 s."),
        ([], None, "New is restarting: it was killed by signal SIGKILL."),
        ([], -1, "New is restarting: it was killed by signal SIGKILL."),
        (
            fresh(READY),
            2,
            "1 of 2 replicas ready, another one is restarting: it was killed by signal SIGKILL. Ready",
        ),
    ],
)
def test_a_restart_says_when_it_is_over(
    replicas: list[ReplicaStatus], ready_in: float | None, cause: str
) -> None:
    """If that is known."""
    killed = RestartHistory(in_a_row=1, reason="It was killed by signal SIGKILL.")
    assert status_of("New", SPEC, replicas, killed, ready_in=ready_in).cause.startswith(cause)
