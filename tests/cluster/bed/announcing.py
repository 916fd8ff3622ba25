"""The project's model server, but each answer names the replica in a header: `announcing.py TEXT FLAGS`.

TensorFlow Serving sends none, but a service mesh or a proxy may add such a header.
"""

from __future__ import annotations

import os
import sys
from collections.abc import MutableMapping
from typing import Any

from mnist_dash.domain import SERVED_BY_HEADER
from mnist_dash.local.server import __main__ as server
from mnist_dash.local.server.rest import Message, Receive, RestApi, Send
from tests.cluster.bed import bucket_sync


class AnnouncingApi(RestApi):
    """Adds X-Served-By to the answers of the REST API."""

    async def __call__(self, scope: MutableMapping[str, Any], receive: Receive, send: Send) -> None:
        async def send_with_header(message: Message) -> None:
            if message["type"] == "http.response.start":
                message["headers"].append((SERVED_BY_HEADER.lower().encode(), sys.argv[1].encode()))
            await send(message)

        await super().__call__(scope, receive, send_with_header)


if __name__ == "__main__":
    vars(server)["RestApi"] = AnnouncingApi  # the name by which the server makes its application
    code = bucket_sync.main(sys.argv[2:])
    sys.stdout.flush()
    os._exit(code)
