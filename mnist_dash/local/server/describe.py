"""What the model server says about its model: the bodies of status and metadata answers.

The layout is protobuf's JSON printer's, as in github tensorflow/serving, model_servers/http_rest_api_util.cc.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from typing import Any

from mnist_dash.local.server.predict import Runnable
from mnist_dash.local.server.versions import VersionStatus
from mnist_dash.savedmodel import Signature, Tensor


def status_json(statuses: Iterable[VersionStatus]) -> bytes:
    """The body of a status answer."""
    return f"{_json({'model_version_status': [_status(status) for status in statuses]})}\n".encode()


def metadata_json(model_name: str, model: Runnable) -> bytes:
    """The body of a metadata answer."""
    spec = {"name": model_name, "signature_name": "", "version": str(model.version)}
    signatures = {name: _signature(signature) for name, signature in model.signatures.items()}
    return (
        f'{{\n"model_spec":{_json(spec)}\n,\n'
        f'"metadata": {{"signature_def": {_json({"signature_def": signatures})}\n}}\n}}\n'
    ).encode()


def _json(value: Any) -> str:
    return json.dumps(value, indent=1, ensure_ascii=False)


def _status(status: VersionStatus) -> dict[str, Any]:
    code = "UNKNOWN" if status.error else "OK"
    return {
        "version": str(status.version),
        "state": status.state.value,
        "status": {"error_code": code, "error_message": status.error},
    }


def _signature(signature: Signature) -> dict[str, Any]:
    return {
        "inputs": _tensors(signature.inputs),
        "outputs": _tensors(signature.outputs),
        "method_name": signature.method_name,
        "defaults": {},
    }


def _tensors(tensors: Mapping[str, Tensor]) -> dict[str, Any]:
    return {name: _tensor(tensor) for name, tensor in tensors.items()}


def _tensor(tensor: Tensor) -> dict[str, Any]:
    sizes = tensor.shape or ()
    shape = {
        "dim": [{"size": str(size), "name": ""} for size in sizes],
        "unknown_rank": tensor.shape is None,
    }
    return {"dtype": tensor.dtype, "tensor_shape": shape, "name": tensor.name}
