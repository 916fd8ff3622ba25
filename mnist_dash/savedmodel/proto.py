"""Read saved_model.pb: the few of TensorFlow's protobuf messages that are needed here."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

from google.protobuf.descriptor_pb2 import FieldDescriptorProto, FileDescriptorProto
from google.protobuf.descriptor_pool import DescriptorPool
from google.protobuf.message import DecodeError, Message
from google.protobuf.message_factory import GetMessageClass

from mnist_dash.errors import ModelError
from mnist_dash.signature import FLOATS, SERVING_DEFAULT, UNKNOWN_RANK, Signature, Tensor

FILE_NAME = "saved_model.pb"
SERVE = {"serve"}
"""The tags of the graph for serving; TensorFlow Serving requires exactly these."""
INIT_OP = "__saved_model_init_op"
VARIABLE_OPS = frozenset({"VarHandleOp", "VariableV2", "Variable"})
EXPORT = "Export the model again, with model.export(...) in Keras or tf.saved_model.save(...) in TensorFlow."

# Message -> number -> (field, type, repeated), from saved_model.proto and meta_graph.proto in TensorFlow's
# core/protobuf, and graph.proto, node_def.proto and tensor_shape.proto in its core/framework. protobuf keeps
# undeclared fields as they are, so that a message can be changed and written back without loss.
_FIELDS: dict[str, dict[int, tuple[str, str, bool]]] = {
    "SavedModel": {2: ("meta_graphs", "MetaGraphDef", True)},
    "MetaGraphDef": {
        1: ("meta_info_def", "MetaInfoDef", False),
        2: ("graph_def", "GraphDef", False),
        5: ("signature_def", "SignatureEntry", True),
    },
    "MetaInfoDef": {4: ("tags", "string", True)},
    "GraphDef": {1: ("node", "NodeDef", True)},
    "NodeDef": {
        1: ("name", "string", False),
        2: ("op", "string", False),
        3: ("input", "string", True),
        5: ("attr", "AttrEntry", True),
    },
    "AttrEntry": {1: ("key", "string", False), 2: ("value", "AttrValue", False)},
    "AttrValue": {6: ("type", "int32", False), 7: ("shape", "TensorShapeProto", False)},
    "SignatureEntry": {1: ("key", "string", False), 2: ("value", "SignatureDef", False)},
    "SignatureDef": {
        1: ("inputs", "TensorEntry", True),
        2: ("outputs", "TensorEntry", True),
        3: ("method_name", "string", False),
    },
    "TensorEntry": {1: ("key", "string", False), 2: ("value", "TensorInfo", False)},
    "TensorInfo": {
        1: ("name", "string", False),
        2: ("dtype", "int32", False),
        3: ("tensor_shape", "TensorShapeProto", False),
    },
    "TensorShapeProto": {2: ("dim", "Dim", True), 3: ("unknown_rank", "bool", False)},
    "Dim": {1: ("size", "int64", False)},
}
# By number, from tensorflow/core/framework/types.proto.
_DTYPES = (
    "INVALID FLOAT DOUBLE INT32 UINT8 INT16 INT8 STRING COMPLEX64 INT64 BOOL QINT8 QUINT8 QINT32 BFLOAT16"
    " QINT16 QUINT16 UINT16 COMPLEX128 HALF RESOURCE VARIANT UINT32 UINT64"
)


@dataclass(frozen=True)
class ServingGraph:
    """The graph for serving of a saved_model.pb."""

    signatures: Mapping[str, Signature]
    has_variables: bool
    """Whether it reads variables, so that it needs its `variables` folder."""
    _graph: Any

    def with_one_signature(self, signature: str, names: Mapping[str, str]) -> bytes:
        """Return a saved_model.pb with this graph and only this signature, named `serving_default`.

        `names` maps the tensors' names in the graph to their names in the new signature.
        """
        (old,) = [entry.value for entry in self._graph.signature_def if entry.key == signature]
        new = type(self._graph.signature_def[0])(key=SERVING_DEFAULT)
        for tensors, kept in ((old.inputs, new.value.inputs), (old.outputs, new.value.outputs)):
            # Two keys may name the same tensor, which then has one name.
            for name, info in {entry.value.name: entry.value for entry in tensors}.items():
                kept.add(key=names[name], value=info)
        whole: Any = saved_model_class()()
        graph = whole.meta_graphs.add()
        graph.CopyFrom(self._graph)
        _cut_at_inputs(graph.graph_def, new.value.inputs)
        del graph.signature_def[:]
        graph.signature_def.append(new)
        return bytes(whole.SerializeToString())


def read_signatures(folder: Path) -> dict[str, Signature]:
    """Read the signatures of a version folder's graph for serving; raises ModelError.

    The signature by which TensorFlow initialises a model is left out: it is not for clients.
    """
    signatures = read_graph(folder).signatures
    return {name: signature for name, signature in signatures.items() if name != INIT_OP}


def read_graph(folder: Path) -> ServingGraph:
    """Read saved_model.pb of a version folder; raises ModelError if it is missing, unreadable or unfit."""
    message = _parse(folder / FILE_NAME)
    graph = next((graph for graph in message.meta_graphs if set(graph.meta_info_def.tags) == SERVE), None)
    if graph is None:
        found = "; ".join(", ".join(graph.meta_info_def.tags) or "none" for graph in message.meta_graphs)
        problem = f"{folder / FILE_NAME} has no graph whose only tag is `serve`; its tags are: {found}."
        raise ModelError(problem, "Export the model for serving, with the tag `serve`.")
    ops = {node.op for node in graph.graph_def.node}
    signatures = {signature.name: signature for signature in _signatures(graph)}
    return ServingGraph(signatures, bool(ops & VARIABLE_OPS), graph)


def _cut_at_inputs(graph: Any, inputs: Any) -> None:
    """Make placeholders of inputs that the graph computes, which TensorFlow can feed and OpenVINO cannot.

    Floats of unknown rank get the shape UNKNOWN_RANK: OpenVINO multiplies no matrices of unknown rank.
    """
    nodes = {f"{node.name}:0": node for node in graph.node}
    for info in (entry.value for entry in inputs):
        node, shape = nodes.get(info.name), _shape(info)
        is_open = shape is None and _dtype(info.dtype) in FLOATS
        if node and (is_open or node.op != "Placeholder"):
            node.op = "Placeholder"
            del node.input[:], node.attr[:]
            node.attr.add(key="dtype").value.type = info.dtype
            sizes = node.attr.add(key="shape").value.shape
            sizes.unknown_rank = shape is None and not is_open
            for size in UNKNOWN_RANK if is_open else shape or ():
                sizes.dim.add(size=size)


def _parse(path: Path) -> Any:
    content = _read(path)
    message: Any = saved_model_class()()
    try:
        message.ParseFromString(content)
    except DecodeError:
        message = None
    if message is None or not any(graph.HasField("graph_def") for graph in message.meta_graphs):
        reason = "damaged or another kind of file" if content else "empty"
        raise ModelError(f"{path} is not a SavedModel: it is {reason}.", EXPORT)
    return message


def _read(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except FileNotFoundError as err:
        raise ModelError(f"There is no {FILE_NAME} in {path.parent}.", EXPORT) from err
    except OSError as err:
        step = "Let the user who runs the dashboard read it."
        raise ModelError(f"{path} cannot be read: {err.strerror}.", step) from err


def _signatures(graph: Any) -> Iterator[Signature]:
    for entry in graph.signature_def:
        value = entry.value
        yield Signature(entry.key, _tensors(value.inputs), _tensors(value.outputs), value.method_name)


def _tensors(entries: Any) -> dict[str, Tensor]:
    return {
        entry.key: Tensor(entry.value.name, _dtype(entry.value.dtype), _shape(entry.value))
        for entry in entries
    }


def _dtype(number: int) -> str:
    names = _DTYPES.split()
    return f"DT_{names[number] if 0 <= number < len(names) else number}"


def _shape(info: Any) -> tuple[int, ...] | None:
    if not info.HasField("tensor_shape") or info.tensor_shape.unknown_rank:
        return None
    return tuple(dim.size for dim in info.tensor_shape.dim)


@cache
def saved_model_class() -> type[Message]:
    """Return the class of the message SavedModel, built from the table above."""
    pool = DescriptorPool()  # separate, so that TensorFlow's messages may be loaded in the same process
    file = FileDescriptorProto(name="saved_model.proto", package="mnist_dash", syntax="proto3")
    for message_name, fields in _FIELDS.items():
        message = file.message_type.add(name=message_name)
        for number, (name, kind, repeated) in fields.items():
            field = message.field.add(name=name, number=number)
            label = "REPEATED" if repeated else "OPTIONAL"
            field.label = FieldDescriptorProto.Label.Value(f"LABEL_{label}")
            is_message = kind in _FIELDS
            field.type = FieldDescriptorProto.Type.Value(f"TYPE_{'MESSAGE' if is_message else kind.upper()}")
            if is_message:
                field.type_name = f".mnist_dash.{kind}"
    pool.Add(file)
    return GetMessageClass(pool.FindMessageTypeByName("mnist_dash.SavedModel"))
