"""NumPy as one who knows it would write it: no array is made in a step."""

from __future__ import annotations

import numpy as np

from ..cases import Case, Weights, data, first_weights
from . import Batches

f32 = np.float32


class Buffers:
    """Every array is made once; parameters and gradients are views of two flat vectors, which the optimizer updates."""

    unit = 1

    def __init__(self, case: Case, threads: int) -> None:
        self.case = case
        self.x, self.y = data(case)
        self.p, self.g, self.m, self.v, self.t1 = (np.empty(case.parameters, f32) for _ in range(5))
        self.kernels, self.biases = self._views(self.p)
        self.kernel_gradients, self.bias_gradients = self._views(self.g)
        self.a = [np.empty((case.batch, n), f32) for n in case.sizes]  # a[0] is the batch
        self.d = [np.empty((case.batch, n), f32) for n in case.sizes]  # gradients with respect to pre-activations
        self.scratch = [np.empty((case.batch, n), f32) for n in case.sizes]
        self.mask = [np.empty((case.batch, n), bool) for n in case.sizes]
        self.target = np.empty((case.batch, *self.y.shape[1:]), self.y.dtype)
        self.rows = np.arange(case.batch)
        self.activate = {"relu": relu, "tanh": tanh, "sigmoid": sigmoid}[case.activation]
        self.step_loss = {"mse": self._mse, "bce": self._bce, "ce": self._ce}[case.loss]
        self.update = {"sgd": self._sgd, "adam": self._adam}[case.optimizer]
        self.start()

    def _views(self, flat: np.ndarray) -> tuple[list[np.ndarray], list[np.ndarray]]:
        kernels, biases, at = [], [], 0
        for n_in, n_out in zip(self.case.sizes, self.case.sizes[1:], strict=False):
            kernels.append(flat[at : at + n_in * n_out].reshape(n_in, n_out))
            at += n_in * n_out
            biases.append(flat[at : at + n_out])
            at += n_out
        return kernels, biases

    def start(self) -> None:
        for (kernel, bias), own_kernel, own_bias in zip(
            first_weights(self.case), self.kernels, self.biases, strict=True
        ):
            own_kernel[...], own_bias[...] = kernel, bias
        self.m[...] = self.v[...] = 0
        self.t = 0
        self.batches = Batches(self.case)
        if self.case.steps == 1:  # the full batch: nothing to gather
            self.a[0], self.target = self.x, self.y

    def train(self, units: int, shuffle: bool) -> None:
        for _ in range(units):
            if self.case.steps > 1:
                rows = self.batches.next(shuffle)
                self.x.take(rows, 0, out=self.a[0], mode="clip")
                self.y.take(rows, 0, out=self.target, mode="clip")
            self._forward()
            self.cost = self.step_loss(self.a[-1], self.target, self.d[-1])
            self._backward()
            self.update()

    def weights(self) -> Weights:
        return list(zip(self.kernels, self.biases, strict=True))

    def _forward(self) -> None:
        last = len(self.kernels) - 1
        for i, (kernel, bias) in enumerate(zip(self.kernels, self.biases, strict=True)):
            z = self.a[i + 1]
            np.matmul(self.a[i], kernel, out=z)
            z += bias
            if i < last:
                self.activate(z)

    def _backward(self) -> None:
        for i in range(len(self.kernels) - 1, -1, -1):
            a, d = self.a[i], self.d[i + 1]
            if len(d) == 1:
                np.multiply(a.T, d, out=self.kernel_gradients[i])  # matmul has no fast path for a product of rank 1
            else:
                np.matmul(a.T, d, out=self.kernel_gradients[i])
            np.add.reduce(d, 0, out=self.bias_gradients[i])
            if i:
                e = self.d[i]
                np.matmul(d, self.kernels[i].T, out=e)
                self._through_activation(a, e, self.scratch[i], self.mask[i])

    def _through_activation(self, a: np.ndarray, e: np.ndarray, scratch: np.ndarray, mask: np.ndarray) -> None:
        if self.case.activation == "relu":
            np.greater(a, f32(0), out=mask)
            e *= mask
        elif self.case.activation == "tanh":
            np.multiply(a, a, out=scratch)
            np.subtract(f32(1), scratch, out=scratch)
            e *= scratch
        else:
            np.subtract(f32(1), a, out=scratch)
            scratch *= a
            e *= scratch

    def _mse(self, z: np.ndarray, y: np.ndarray, d: np.ndarray) -> float:
        np.subtract(z, y, out=d)
        cost = np.vdot(d, d) / d.size
        d *= f32(2 / d.size)
        return float(cost)

    def _bce(self, z: np.ndarray, y: np.ndarray, d: np.ndarray) -> float:
        e = self.scratch[-1]  # log(1 + exp(-|z|)) + max(z, 0) - z y
        np.abs(z, out=e)
        np.negative(e, out=e)
        np.exp(e, out=e)
        np.log1p(e, out=e)
        np.maximum(z, f32(0), out=d)
        e += d
        np.multiply(z, y, out=d)
        e -= d
        cost = e.mean()
        np.copyto(d, z)
        sigmoid(d)
        d -= y
        d *= f32(1 / d.size)
        return float(cost)

    def _ce(self, z: np.ndarray, labels: np.ndarray, d: np.ndarray) -> float:
        z -= z.max(1, keepdims=True)
        np.exp(z, out=d)
        total = d.sum(1, keepdims=True)
        cost = (np.log(total[:, 0]) - z[self.rows, labels]).mean()
        d /= total
        d[self.rows, labels] -= f32(1)
        d *= f32(1 / len(d))
        return float(cost)

    def _sgd(self) -> None:
        self.g *= f32(self.case.learning_rate)
        self.p -= self.g

    def _adam(self) -> None:
        self.t += 1
        m, v, g, t1 = self.m, self.v, self.g, self.t1
        root = (1 - 0.999**self.t) ** 0.5
        np.multiply(g, f32(0.1), out=t1)
        m *= f32(0.9)
        m += t1
        np.multiply(g, g, out=t1)
        t1 *= f32(0.001)
        v *= f32(0.999)
        v += t1
        np.sqrt(v, out=t1)
        t1 += f32(1e-8 * root)
        np.divide(m, t1, out=t1)
        t1 *= f32(self.case.learning_rate * root / (1 - 0.9**self.t))
        self.p -= t1


def relu(z: np.ndarray) -> None:
    np.maximum(z, f32(0), out=z)


def tanh(z: np.ndarray) -> None:
    np.tanh(z, out=z)


def sigmoid(z: np.ndarray) -> None:
    np.negative(z, out=z)
    np.exp(z, out=z)
    z += f32(1)
    np.reciprocal(z, out=z)
