"""Status and metadata."""

from __future__ import annotations

import json

from mnist_dash.local.server.rest import metadata_json, status_json
from mnist_dash.local.server.versions import VersionState, VersionStatus
from tests.unit.local.server.fake_model import FakeModel, signature, tensors


def test_a_status_lists_versions_in_the_order_given() -> None:
    """To the byte what TensorFlow Serving prints."""
    assert status_json([VersionStatus(1, VersionState.AVAILABLE)]).decode() == (
        '{\n "model_version_status": [\n  {\n   "version": "1",\n   "state": "AVAILABLE",\n'
        '   "status": {\n    "error_code": "OK",\n    "error_message": ""\n   }\n  }\n ]\n}\n'
    )


def test_a_version_that_could_not_be_loaded_says_why() -> None:
    """Its state is END, its error the cause."""
    (status,) = json.loads(status_json([VersionStatus(2, VersionState.END, "It is broken.")]))[
        "model_version_status"
    ]

    assert status == {
        "version": "2",
        "state": "END",
        "status": {"error_code": "UNKNOWN", "error_message": "It is broken."},
    }


def test_metadata_describes_every_signature() -> None:
    """Sizes are strings, -1 is free, an unknown rank is said to be one."""
    model = FakeModel(3, signature(tensors(x=(-1, 28)), tensors(y=None)))

    assert json.loads(metadata_json("model", model)) == {
        "model_spec": {"name": "model", "signature_name": "", "version": "3"},
        "metadata": {
            "signature_def": {
                "signature_def": {
                    "serving_default": {
                        "inputs": {
                            "x": {
                                "dtype": "DT_FLOAT",
                                "tensor_shape": {
                                    "dim": [{"size": "-1", "name": ""}, {"size": "28", "name": ""}],
                                    "unknown_rank": False,
                                },
                                "name": "x:0",
                            }
                        },
                        "outputs": {
                            "y": {
                                "dtype": "DT_FLOAT",
                                "tensor_shape": {"dim": [], "unknown_rank": True},
                                "name": "y:0",
                            }
                        },
                        "method_name": "tensorflow/serving/predict",
                        "defaults": {},
                    }
                }
            }
        },
    }
