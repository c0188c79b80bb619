"""`Dense` and `Input` on their own."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from fastnn import Sequential, activations, initializers
from fastnn.layers import Dense, Input


def test_what_a_dense_layer_is_made_of() -> None:
    layer = Dense(3)
    assert (layer.units, layer.activation, layer.use_bias, layer.name) == (3, activations.linear, True, None)
    assert isinstance(layer.kernel_initializer, initializers.GlorotUniform)
    assert isinstance(layer.bias_initializer, initializers.Zeros)
    assert Dense(3, "tanh").activation is activations.tanh
    assert Dense(3, activations.relu).activation is activations.relu
    assert Dense(np.int64(3)).units == 3
    assert type(Dense(np.int64(3)).units) is int


@pytest.mark.parametrize(
    ("make", "error", "message"),
    [
        (lambda: Dense(0), ValueError, "units is 0, expected at least 1"),
        (lambda: Dense(-3), ValueError, "units is -3, expected at least 1"),
        (lambda: Dense(2.0), TypeError, r"units is 2\.0, expected an integer"),
        (lambda: Dense("3"), TypeError, "units is '3', expected an integer"),
        (lambda: Dense(True), TypeError, "units is True, expected an integer"),
        (lambda: Dense(None), TypeError, "units is None, expected an integer"),
        (
            lambda: Dense(3, "gelu"),
            ValueError,
            "activation is 'gelu', expected one of 'linear', 'relu', 'sigmoid', 'tanh', 'softmax'",
        ),
        (
            lambda: Dense(3, np.tanh),
            TypeError,
            "activation is <ufunc 'tanh'>, expected a name or an object of Activation",
        ),
        (
            lambda: Dense(3, kernel_initializer="he"),
            ValueError,
            "initializer is 'he', expected one of 'constant', 'glorot_normal'",
        ),
        (
            lambda: Dense(3, bias_initializer=0),
            TypeError,
            "initializer is 0, expected a name or an object of Initializer",
        ),
        (lambda: Input((0,)), ValueError, r"shape\[0\] is 0, expected at least 1"),
        (lambda: Input((2.5,)), TypeError, r"shape\[0\] is 2\.5, expected an integer"),
        (lambda: Input((None,)), TypeError, r"shape\[0\] is None, expected an integer"),
        (lambda: Input(()), ValueError, r"shape is \(\), expected a tuple such as \(64,\)"),
        (lambda: Input((8, 0)), ValueError, r"shape\[1\] is 0, expected at least 1"),
        (lambda: Input(64), TypeError, r"shape is 64, expected a tuple such as \(64,\)"),
        (lambda: Input("64"), TypeError, r"shape is '64', expected a tuple such as \(64,\)"),
        (lambda: Input(None), TypeError, r"shape is None, expected a tuple such as \(64,\)"),
    ],
)
def test_what_makes_no_layer(make: Callable[[], Any], error: type[Exception], message: str) -> None:
    with pytest.raises(error, match=message):
        make()


def test_an_input_takes_a_list_as_well() -> None:
    assert Input([64]).shape == Input((np.int32(64),)).shape == (64,)


def test_before_and_after_building() -> None:
    layer = Dense(3, "tanh")
    assert repr(layer) == "<Dense  ? → 3, tanh>"
    assert layer.n_in is None
    for use in (layer.count_params, lambda: layer.output, lambda: layer.delta):
        with pytest.raises(ValueError, match=r"the model of <Dense .*> is not built: give it a layers\.Input first"):
            use()
    model = Sequential([Input((4,)), layer])
    assert repr(layer) == "<Dense dense_1 4 → 3, tanh>"
    assert layer.count_params() == model.count_params() == 15
    for use in (lambda: layer.output, lambda: layer.delta):
        with pytest.raises(ValueError, match=r"the buffers hold no forward pass: call forward\(\) first"):
            use()


def test_a_layer_without_bias() -> None:
    layer = Dense(3, use_bias=False)
    Sequential([Input((4,)), layer])
    assert layer.count_params() == 12
    assert layer.bias is layer.bias_gradient is None
