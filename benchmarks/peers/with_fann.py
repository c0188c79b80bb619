"""FANN, the C library, through ctypes."""

from __future__ import annotations

import ctypes
import ctypes.util

import numpy as np

from ..cases import Case, Weights, data

INCREMENTAL = 0  # FANN's number for updates after every sample
SIGMOID = 3


class TrainData(ctypes.Structure):
    """struct fann_train_data, as far as it is needed."""

    _fields_ = [
        ("error_number", ctypes.c_int),
        ("error_log", ctypes.c_void_p),
        ("error_text", ctypes.c_char_p),
        ("samples", ctypes.c_uint),
        ("inputs", ctypes.c_uint),
        ("outputs", ctypes.c_uint),
        ("input", ctypes.POINTER(ctypes.POINTER(ctypes.c_float))),
        ("output", ctypes.POINTER(ctypes.POINTER(ctypes.c_float))),
    ]


class Fann:
    """Epochs of `fann_train_epoch`.  It knows updates after every sample only, and trains another loss: the squared
    error of sigmoid units, on the same sizes."""

    def __init__(self, case: Case, threads: int) -> None:
        self.case, self.unit = case, case.steps
        self.fann = library()
        x, y = data(case)
        y = np.eye(case.sizes[-1], dtype=np.float32)[y] if case.loss == "ce" else y
        self.data = self.fann.fann_create_train(case.samples, case.sizes[0], case.sizes[-1])
        rows = self.data.contents
        for i in range(case.samples):
            ctypes.memmove(rows.input[i], x[i].ctypes.data, x[i].nbytes)
            ctypes.memmove(rows.output[i], y[i].ctypes.data, y[i].nbytes)
        self.network: ctypes.c_void_p | None = None
        self.start()

    def start(self) -> None:
        if self.network:
            self.fann.fann_destroy(self.network)
        sizes = self.case.sizes
        self.network = ctypes.c_void_p(
            self.fann.fann_create_standard_array(len(sizes), (ctypes.c_uint * len(sizes))(*sizes))
        )
        self.fann.fann_set_training_algorithm(self.network, INCREMENTAL)
        self.fann.fann_set_activation_function_hidden(self.network, SIGMOID)
        self.fann.fann_set_activation_function_output(self.network, SIGMOID)
        self.fann.fann_set_learning_rate(self.network, ctypes.c_float(self.case.learning_rate))

    def train(self, units: int, shuffle: bool) -> None:
        for _ in range(units):
            if shuffle:
                self.fann.fann_shuffle_train_data(self.data)
            self.fann.fann_train_epoch(self.network, self.data)

    def weights(self) -> Weights:
        raise NotImplementedError("another model: nothing to compare")


def library() -> ctypes.CDLL:
    fann = ctypes.CDLL(ctypes.util.find_library("floatfann"))
    fann.fann_create_standard_array.restype = ctypes.c_void_p
    fann.fann_create_train.restype = ctypes.POINTER(TrainData)
    fann.fann_train_epoch.restype = ctypes.c_float
    return fann
