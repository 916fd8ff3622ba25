"""The gateway's HTTP side: each request is read whole, decided, sent on, and answered."""

from __future__ import annotations

import asyncio
import contextlib
import random

import orjson
from aiohttp import web

from mnist_dash.domain import ROUTE_HEADER
from mnist_dash.local.control import Order
from mnist_dash.local.gateway.intake import received
from mnist_dash.local.gateway.members import Roster, Seating
from mnist_dash.local.gateway.messages import Asked, UnansweredError
from mnist_dash.local.gateway.patience import Patience
from mnist_dash.local.gateway.relay import Relay
from mnist_dash.local.gateway.routing import Dice, decide


class Entrance:
    """Answers requests by the order in force; an aiohttp handler.

    Requests that come before the first order wait for it: a gateway that was restarted inherits connections
    that its predecessor left waiting.
    """

    def __init__(self, relay: Relay, roster: Roster, patience: Patience, dice: Dice | None = None) -> None:
        self._relay = relay
        self._roster = roster
        self._patience = patience
        self._dice = dice or random.Random()
        self._told = asyncio.Event()

    def apply(self, order: Order) -> bool:
        """Decide every later request under this order; returns whether its table is another one."""
        before = self._roster.seating
        self._roster.apply(order)
        self._told.set()
        return before is None or before.order.table != order.table

    async def __call__(self, request: web.BaseRequest) -> web.Response:
        """The answer to one request: a replica's, or a JSON error of the gateway's own."""
        try:
            asked = await received(request, self._patience.request)
            return await self._answer(asked, request.headers.getall(ROUTE_HEADER, None))
        except UnansweredError as problem:
            return error_response(problem.status, str(problem))

    async def _answer(self, asked: Asked, route: list[str] | None) -> web.Response:
        seating = await self._seating()
        table = seating.order.table
        role = decide(
            current=bool(table.current),
            new=bool(table.new),
            header=", ".join(route) if route else None,
            split=table.split,
            dice=self._dice,
        )
        if role is None:
            raise UnansweredError(
                503,
                "No Current model is ready to answer.",
                "Deploy a Current model, or wait until it is ready; New is never asked in its place.",
            )
        with self._roster.decided(seating):
            answer = await self._relay.send(asked, role, seating.seats[role])
        return web.Response(
            status=answer.status, reason=answer.reason, headers=answer.headers, body=answer.body
        )

    async def _seating(self) -> Seating:
        if self._roster.seating is None:
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(self._told.wait(), self._patience.first_order)
        if self._roster.seating is None:
            raise UnansweredError(
                503,
                "The gateway has not been told which models there are.",
                "The dashboard tells it when it has started; try again in a few seconds.",
            )
        return self._roster.seating


def error_response(status: int, text: str) -> web.Response:
    """A JSON error as TensorFlow Serving words it, `{"error": text}`."""
    return web.Response(status=status, body=orjson.dumps({"error": text}), content_type="application/json")
