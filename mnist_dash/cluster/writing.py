"""Carrying a change out on the cluster, or seeing what it would do."""

from __future__ import annotations

from collections.abc import Sequence

from mnist_dash.cluster.changes import Act, Apply, Delete
from mnist_dash.cluster.connection.api import Api
from mnist_dash.cluster.objects.differences import difference
from mnist_dash.cluster.objects.kinds import kind_of
from mnist_dash.errors import EngineError


def write(api: Api, acts: Sequence[Act], *, take_over: bool = False) -> None:
    """Write everything, after the API server has said that it would take all of it.

    Raises EngineError: nothing was written if it is refused when asked first.
    """
    rehearse(api, acts, take_over=take_over)
    carry_out(api, acts, take_over=take_over)


def rehearse(api: Api, acts: Sequence[Act], *, take_over: bool = False) -> None:
    """Ask the API server whether it would take all of it; raises EngineError if not.

    All that others own is named together, since taking over takes all of it.
    """
    conflicts = []
    for act in acts:
        try:
            carry_out(api, [act], take_over=take_over, dry_run=True)
        except EngineError as error:
            if not error.can_take_over:
                raise
            conflicts.append(error)
    if conflicts:
        problems = dict.fromkeys(error.problem for error in conflicts)
        raise EngineError(" ".join(problems), conflicts[0].next_step, can_take_over=True)


def carry_out(api: Api, acts: Sequence[Act], *, take_over: bool = False, dry_run: bool = False) -> None:
    """Write one after the other; raises EngineError at the first that is refused."""
    for act in acts:
        match act:
            case Apply(one):
                api.apply(one, force=take_over, dry_run=dry_run)
            case Delete(kind, name):
                api.delete(kind, name, dry_run=dry_run)


def preview(api: Api, acts: Sequence[Act]) -> str:
    """What would be different, as the API server itself says; raises EngineError if it would refuse."""
    parts = []
    for act in acts:
        match act:
            case Apply(one):
                before = api.get(kind_of(one), one["metadata"]["name"])
                parts.append(difference(before, api.apply(one, force=True, dry_run=True)))
            case Delete(kind, name):
                parts.append(difference(api.get(kind, name), None))
    return "".join(filter(None, parts))
