"""Attention over int8 beside ONNX Runtime's own in float32, on layers with random weights."""

from typing import Any

import numpy as np
import onnx
import onnxruntime
import pytest
from onnx import TensorProto, helper, numpy_helper

from dedup.encoders.int8_attention import finish_attention, quantise_attention

HEADS, WIDTH = 4, 64
OUTLIERS = {"key": 30.0, "value": 0.01}


def layer(*, sharpness: float = 1.0, larger: dict[str, float] | None = None, **bias: bool) -> Any:
    """A graph of one layer: from tokens to what is added to them. `sharpness`: of attention."""
    rng = np.random.default_rng(7)
    weights = {
        name: rng.standard_normal((WIDTH, WIDTH)) / np.sqrt(WIDTH) * (larger or {}).get(name, 1.0)
        for name in ("query", "key", "value", "out")
    }
    weights["query"] *= sharpness
    weights |= {"qkv_bias": rng.standard_normal(3 * WIDTH), "out_bias": rng.standard_normal(WIDTH)}
    inputs = ["q", "k", "v", "qkv_bias"]
    if bias.get("by_position"):
        inputs += ["", "by_position"]
        weights["by_position"] = rng.standard_normal((1, HEADS, 12, 12))
    nodes = [
        helper.make_node("MatMul", ["x", "query"], ["q"]),
        helper.make_node("MatMul", ["x", "key"], ["k"]),
        helper.make_node("MatMul", ["x", "value"], ["v"]),
        helper.make_node(
            "MultiHeadAttention", inputs, ["a"], domain="com.microsoft", num_heads=HEADS
        ),
        helper.make_node("MatMul", ["a", "out"], ["o"]),
        helper.make_node("Add", ["o", "out_bias"], ["y"]),
    ]
    graph = helper.make_graph(
        nodes,
        "layer",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, [1, "tokens", WIDTH])],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, [1, "tokens", WIDTH])],
        [
            numpy_helper.from_array(np.asarray(value, dtype=np.float32), name)
            for name, value in weights.items()
        ],
    )
    opsets = [helper.make_opsetid("", 17), helper.make_opsetid("com.microsoft", 1)]
    return helper.make_model(graph, opset_imports=opsets, ir_version=9)


def run(model: Any, x: np.ndarray) -> np.ndarray:
    session = onnxruntime.InferenceSession(
        model.SerializeToString(), providers=["CPUExecutionProvider"]
    )
    rows: np.ndarray = session.run(None, {"x": x})[0][0]
    return rows


def rewritten(model: Any) -> Any:
    copy = onnx.ModelProto.FromString(model.SerializeToString())
    assert quantise_attention(copy) == 1
    finish_attention(copy)
    return copy


def cosines(one: np.ndarray, other: np.ndarray) -> np.ndarray:
    norms = np.linalg.norm(one, axis=1) * np.linalg.norm(other, axis=1)
    found: np.ndarray = (one * other).sum(axis=1) / norms
    return found


def tokens(count: int) -> np.ndarray:
    return np.random.default_rng(count).standard_normal((1, count, WIDTH)).astype(np.float32)


@pytest.mark.parametrize("count", [1, 2, 17, 250])
@pytest.mark.parametrize("sharpness", [0.01, 1.0, 4.0], ids=["even", "usual", "sharp"])
def test_every_token_gets_what_float32_gives_it(count: int, sharpness: float) -> None:
    """Also where 250 tokens share a row's attention evenly, each far below a step of 1/255."""
    model = layer(sharpness=sharpness)
    x = tokens(count)
    assert cosines(run(model, x), run(rewritten(model), x)).min() > 0.998


def test_keys_and_values_may_be_of_very_different_size() -> None:
    """They have one scale, and the smaller of the two would be all noughts."""
    model = layer(sharpness=1 / 30, larger=OUTLIERS)
    x = tokens(40)
    with_values = run(model, x) - run(layer(sharpness=1 / 30, larger={"key": 30.0, "value": 0}), x)
    ours = run(rewritten(model), x) - run(
        rewritten(layer(sharpness=1 / 30, larger={"key": 30.0, "value": 0})), x
    )
    assert cosines(with_values, ours).min() > 0.99


def test_tokens_without_any_direction_are_no_division_by_nought() -> None:
    model = layer(larger={"value": 0.0})
    x = np.zeros((1, 5, WIDTH), dtype=np.float32)
    assert np.allclose(run(model, x), run(rewritten(model), x), atol=1e-5)


def test_attention_that_depends_on_positions_stays_as_it_is() -> None:
    model = layer(by_position=True)
    before = model.SerializeToString()
    assert quantise_attention(model) == 0
    assert (
        run(model, tokens(12)).tolist()
        == run(onnx.ModelProto.FromString(before), tokens(12)).tolist()
    )


def test_what_nothing_uses_any_more_is_gone() -> None:
    """The old weights would stay in the file, and in memory."""
    model = rewritten(layer())
    names = {one.name for one in model.graph.initializer}
    assert not names & {"query", "key", "value", "qkv_bias", "out_bias"}
    assert "MultiHeadAttention" not in {node.op_type for node in model.graph.node}
