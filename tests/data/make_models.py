"""Make the small SavedModels beside this file, which tests load; needs TensorFlow, the tests do not.

    python tests/data/make_models.py DIGITS_NPZ

The digits are `mnist_dash/data/digits.npz`. Each model averages the digit over 4x4 pixels and multiplies by
ten columns that are fitted by least squares, so that it is small and still right about most digits.
`expected.npz` keeps what TensorFlow itself answers on the first eight digits.

Two models and their answers are kept as they are: `branches`, a small CNN that divides by 255 in a `tf.cond`,
and `example`, the graph of TensorFlow Serving's mnist_saved_model.py: by default it takes text.
"""

from __future__ import annotations

import shutil
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import tensorflow as tf  # type: ignore[import-untyped]  # it ships no types

HERE = Path(__file__).parent
KEPT = ("branches/", "example/")
OPTIONS = tf.saved_model.SaveOptions(experimental_custom_gradients=False)


class Fitted(tf.Module):  # type: ignore[misc]  # TensorFlow is untyped here
    """Ten columns over 49 averages."""

    def __init__(self, images: Any, labels: Any) -> None:
        super().__init__()
        averages = images.reshape(-1, 7, 4, 7, 4).mean(axis=(2, 4)).reshape(-1, 49)
        columns = np.linalg.lstsq(np.c_[averages, np.ones(len(averages))], np.eye(10)[labels], rcond=None)[0]
        self.w = tf.Variable(columns[:-1].astype("float32"))
        self.b = tf.Variable(columns[-1].astype("float32"))

    def logits(self, x: Any, w: Any = None, b: Any = None) -> Any:
        averages = tf.nn.avg_pool2d(tf.reshape(x, [-1, 28, 28, 1]), 4, 4, "VALID")
        w, b = (self.w, self.b) if w is None else (w, b)
        return 10 * (tf.reshape(averages, [-1, 49]) @ w + b)


def takes(shape: list[int | None], dtype: Any = tf.float32, name: str = "x") -> Callable[[Any], Any]:
    """A tf.function of one input."""
    return lambda call: tf.function(call, input_signature=[tf.TensorSpec(shape, dtype, name=name)])


def make(images: Any, labels: Any) -> tuple[Any, dict[str, dict[str, Any]]]:
    """The module that holds the variables, and the signatures of each model by its name."""
    model = Fitted(images, labels)
    w, b = model.w.numpy(), model.b.numpy()

    @takes([None, 784], name="pixels")
    def flat(x: Any) -> Any:
        return {"logits": model.logits(x)}

    @takes([None, 28, 28], name="image")
    def rows(x: Any) -> Any:
        logits = model.logits(x)
        return {"classes": tf.argmax(logits, 1), "probabilities": tf.nn.softmax(logits)}

    @takes([None, 28, 28], tf.float16)
    def same(x: Any) -> Any:  # the key of its input is the key of its output; half precision
        return {"x": tf.cast(tf.nn.softmax(model.logits(tf.cast(x, tf.float32))), tf.float16)}

    @takes([None, 28, 28, 1])
    def frozen(x: Any) -> Any:  # no variables; two keys of one value, and text
        logits = model.logits(x, tf.constant(w), tf.constant(b))
        text = tf.gather(tf.constant([f"digit {digit}" for digit in range(10)]), tf.argmax(logits, 1))
        return {"prob": tf.nn.softmax(logits), "logits": logits, "again": logits, "text": text}

    @takes([None, 28, 28])
    def inverted(x: Any) -> Any:
        return {"y": tf.nn.softmax(model.logits(1 - x))}

    @takes([None, 28, 28])
    def python(x: Any) -> Any:
        return {"y": tf.numpy_function(lambda a: a[:, 0, :10], [x], tf.float32)}

    @takes([None, 28, 28])
    def batched(x: Any) -> Any:  # as normalisation of the batch does that was exported for training
        return {"y": tf.nn.softmax(model.logits(x - tf.reduce_mean(x, 0)))}

    return model, {
        "flat": {"serving_default": flat},
        "rows": {"serving_default": rows, "pixels": flat},
        "same": {"serving_default": same},
        "frozen": {"serving_default": frozen},
        "inverted": {"serving_default": inverted},
        "python": {"serving_default": python},
        "batched": {"serving_default": batched},
    }


def main(path: str) -> None:
    with np.load(path) as stored:
        images, labels = stored["images"].astype("float32") / 255, stored["labels"]
    module, models = make(images[200:], labels[200:])
    with np.load(HERE / "expected.npz") as stored:
        expected: dict[str, Any] = {key: stored[key] for key in stored if key.startswith(KEPT)}
    for name, signatures in models.items():
        holder = tf.Module() if name == "frozen" else module
        holder.calls = list(signatures.values())
        folder = HERE / "models" / name / "model" / "1"
        shutil.rmtree(folder, ignore_errors=True)
        tf.saved_model.save(holder, str(folder), signatures, OPTIONS)
        (folder / "assets").rmdir()
        for key, call in signatures.items() if name != "python" else ():
            spec = call.input_signature[0]
            shape = [-1 if size is None else size for size in spec.shape]
            for output, value in call(tf.cast(tf.reshape(images[:8], shape), spec.dtype)).items():
                answer = value.numpy()
                expected[f"{name}/{key}/{output}"] = answer.astype("U") if answer.dtype == object else answer
    np.savez_compressed(HERE / "expected.npz", allow_pickle=False, **expected)


if __name__ == "__main__":
    main(sys.argv[1])
