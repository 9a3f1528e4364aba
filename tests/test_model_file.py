"""A model reads its own weights beside it, and no other file."""

import contextlib
from pathlib import Path

import pytest

pytest.importorskip("onnx", reason="onnx is absent: models are built with it")

import numpy as np
import onnx
from hypothesis import given
from hypothesis import strategies as st
from onnx import TensorProto, helper, numpy_helper

from wav2edge.runtime.errors import ModelFormatError, UnsafePathError
from wav2edge.runtime.model_file import MalformedError, external_files
from wav2edge.runtime.session import open_session


def outside(location: str, name: str = "w") -> TensorProto:
    """A tensor of four floats whose values are in another file."""
    tensor = TensorProto(name=name, data_type=TensorProto.FLOAT, dims=[4])
    tensor.data_location = TensorProto.EXTERNAL
    for key, value in {"offset": "0", "location": location, "length": "16"}.items():
        entry = tensor.external_data.add()
        entry.key, entry.value = key, value
    return tensor


def adding(tensor: TensorProto) -> onnx.GraphProto:
    """A graph that adds a tensor to its input."""
    return helper.make_graph(
        [helper.make_node("Add", ["x", tensor.name], ["y"])],
        "adding",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, [4])],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, [4])],
        [tensor],
    )


def saved(graph: onnx.GraphProto, path: Path) -> Path:
    """Write a model of a graph."""
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=10)
    path.write_bytes(model.SerializeToString())
    return path


def in_branch(location: str) -> onnx.GraphProto:
    """A graph whose outside tensor stands in a branch of an If."""
    value = helper.make_tensor_value_info("b", TensorProto.FLOAT, [4])
    branch = helper.make_graph(
        [helper.make_node("Identity", ["w"], ["b"])], "branch", [], [value], [outside(location)]
    )
    node = helper.make_node("If", ["c"], ["y"], then_branch=branch, else_branch=branch)
    condition = helper.make_tensor_value_info("c", TensorProto.BOOL, [])
    result = helper.make_tensor_value_info("y", TensorProto.FLOAT, [4])
    return helper.make_graph([node], "choosing", [condition], [result])


def in_constant(location: str) -> onnx.GraphProto:
    """A graph whose outside tensor is the value of a Constant."""
    node = helper.make_node("Constant", [], ["y"], value=outside(location))
    result = helper.make_tensor_value_info("y", TensorProto.FLOAT, [4])
    return helper.make_graph([node], "constant", [], [result])


HIDDEN = {"initializer": lambda at: adding(outside(at)), "If": in_branch, "Constant": in_constant}


@pytest.mark.parametrize("place", HIDDEN)
@pytest.mark.parametrize(
    "location", ["../secret", "/etc/passwd", "other.data", "sub/model.onnx.data", ""]
)
def test_no_other_file_is_read(tmp_path: Path, place: str, location: str) -> None:
    """Wherever in a model another file is named, it is refused before anything is loaded."""
    path = saved(HIDDEN[place](location), tmp_path / "model.onnx")
    assert external_files(path) == (location,)
    with pytest.raises(UnsafePathError, match="nothing else"):
        open_session(path, threads=1, provider="cpu")


def test_weights_beside_the_model_are_read(tmp_path: Path) -> None:
    """`model.onnx.data` is the one further file; without it the error names it."""
    path = saved(adding(outside("model.onnx.data")), tmp_path / "model.onnx")
    with pytest.raises(ModelFormatError, match=r"model\.onnx\.data is missing"):
        open_session(path, threads=1, provider="cpu")
    (tmp_path / "model.onnx.data").write_bytes(np.arange(4, dtype=np.float32).tobytes())
    (found,) = open_session(path, threads=1, provider="cpu").run(
        ("y",), {"x": np.ones(4, np.float32)}
    )
    np.testing.assert_array_equal(found, [1, 2, 3, 4])


def test_weights_may_not_be_a_link_out_of_the_folder(tmp_path: Path) -> None:
    """A link beside the model that leads elsewhere is refused."""
    (tmp_path / "bundle").mkdir()
    (tmp_path / "secret").write_bytes(bytes(16))
    path = saved(adding(outside("model.onnx.data")), tmp_path / "bundle" / "model.onnx")
    (tmp_path / "bundle" / "model.onnx.data").symlink_to(tmp_path / "secret")
    with pytest.raises(UnsafePathError):
        open_session(path, threads=1, provider="cpu")


def test_a_model_of_one_file_names_none(tmp_path: Path) -> None:
    """Weights inside, whatever bytes they hold, are not entered."""
    inner = outside("../secret").SerializeToString()
    values = np.frombuffer(inner + bytes(-len(inner) % 4), np.float32)
    path = saved(adding(numpy_helper.from_array(values, "w")), tmp_path / "model.onnx")
    assert external_files(path) == ()


@given(st.binary(max_size=200))
def test_any_bytes_are_a_model_or_an_error(
    tmp_path_factory: pytest.TempPathFactory, contents: bytes
) -> None:
    """Whatever the bytes, reading ends, with names or with the one error."""
    path = tmp_path_factory.getbasetemp() / "any.onnx"
    path.write_bytes(contents)
    with contextlib.suppress(MalformedError):
        assert isinstance(external_files(path), tuple)
