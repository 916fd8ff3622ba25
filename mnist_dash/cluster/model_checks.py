"""Check models in buckets before they are deployed."""

from __future__ import annotations

from pathlib import Path

from mnist_dash.domain import ModelCheck
from mnist_dash.errors import ModelError
from mnist_dash.savedmodel.isolated_check import check_model_isolated
from mnist_dash.storage.location import Progress

CHECK_SECONDS = 120.0
MAX_BYTES = 500_000_000
"""A larger model is deployed unchecked; usual models of MNIST are a hundred times smaller."""


def check_in_bucket(base: str, credentials: Path | None, progress: Progress | None = None) -> ModelCheck:
    """Check a model in a bucket; the `unverified` of the result says why it could not be read from here.

    Raises ModelError if the address is wrong, or the model is unfit.
    """
    if not base.startswith("gs:"):
        raise ModelError(
            f"A cluster reads models from Cloud Storage, not {base}.",
            f"Copy it to a bucket: gcloud storage cp -r {base}/model gs://BUCKET/PATH/ and give gs://BUCKET/PATH.",
        )
    try:
        return check_model_isolated(
            base, timeout=CHECK_SECONDS, credentials=credentials, max_bytes=MAX_BYTES, progress=progress
        )
    except ModelError as error:
        if not error.unverified:
            raise
        warning = f"Deployed unchecked: {error.problem}"
        return ModelCheck(base.rstrip("/"), None, (), None, (warning,), unverified=str(error))
