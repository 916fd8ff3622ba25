"""A lean model server for comparison: starlette, orjson, a flat decode and a frozen heap, in two dozen lines.

python benchmarks/plain_server.py VERSION_FOLDER PORT
"""

from __future__ import annotations

import gc
import sys

import numpy as np
import openvino  # type: ignore[import-untyped]  # its stubs lack py.typed
import orjson
import uvicorn
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

folder, port = sys.argv[1:]
core = openvino.Core()
compiled = core.compile_model(core.read_model(folder), "CPU", {"INFERENCE_PRECISION_HINT": "f32"})
infer = compiled.create_infer_request()
shape = [abs(size.get_length()) if size.is_static else -1 for size in compiled.input(0).partial_shape]


async def predict(request: Request) -> Response:
    """Read the numbers without their brackets, so without a list for each row and pixel."""
    numbers = (await request.body()).partition(b":")[2].translate(None, b"[]}")
    images = np.array(orjson.loads(b"[%b]" % numbers), np.float32).reshape(shape)
    answer = np.array(infer.infer(images)[0])
    return Response(
        orjson.dumps({"predictions": answer}, option=orjson.OPT_SERIALIZE_NUMPY),
        media_type="application/json",
    )


app = Starlette(routes=[Route("/v1/models/model:predict", predict, methods=["POST"])])
gc.collect()
gc.freeze()
uvicorn.run(app, port=int(port), http="httptools", loop="uvloop", access_log=False, log_level="warning")
