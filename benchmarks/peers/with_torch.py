"""PyTorch."""

from __future__ import annotations

from typing import Any

import torch
from torch.nn import functional

from ..cases import Case, Weights, data, first_weights
from . import Batches

LOSSES = {
    "mse": functional.mse_loss,
    "bce": functional.binary_cross_entropy_with_logits,
    "ce": functional.cross_entropy,
}
ACTIVATIONS = {"relu": torch.nn.ReLU, "tanh": torch.nn.Tanh, "sigmoid": torch.nn.Sigmoid}


class _Torch:
    """The model, and the data as tensors that batches are gathered from by index."""

    unit = 1
    parameters: list[Any]

    def __init__(self, case: Case, threads: int) -> None:
        if threads:
            torch.set_num_threads(threads)
        self.case = case
        self.x, self.y = map(torch.from_numpy, data(case))
        self.y = self.y.long() if case.loss == "ce" else self.y
        self.loss = LOSSES[case.loss]
        modules: list[Any] = []
        for n_in, n_out in zip(case.sizes, case.sizes[1:], strict=False):
            modules += [torch.nn.Linear(n_in, n_out), ACTIVATIONS[case.activation]()]
        self.model = torch.nn.Sequential(*modules[:-1])
        self.start()

    def start(self) -> None:
        self.batches = Batches(self.case)
        linears = [module for module in self.model if isinstance(module, torch.nn.Linear)]
        with torch.no_grad():
            for linear, (kernel, bias) in zip(linears, first_weights(self.case), strict=True):
                linear.weight.copy_(torch.from_numpy(kernel.T.copy()))
                linear.bias.copy_(torch.from_numpy(bias))

    def index(self, shuffle: bool) -> Any:
        return torch.from_numpy(self.batches.next(shuffle)) if self.case.steps > 1 else None

    def weights(self) -> Weights:
        arrays = [p.detach().numpy().copy() for p in self.parameters]
        return [(kernel.T, bias) for kernel, bias in zip(arrays[::2], arrays[1::2], strict=True)]


class Eager(_Torch):
    """Autograd and the fused optimizer."""

    def start(self) -> None:
        super().start()
        self.parameters = list(self.model.parameters())
        make = {"sgd": torch.optim.SGD, "adam": torch.optim.Adam}[self.case.optimizer]
        self.optimizer = make(self.parameters, lr=self.case.learning_rate, fused=True)

    def train(self, units: int, shuffle: bool) -> None:
        for _ in range(units):
            index = self.index(shuffle)
            if index is None:
                cost = self.loss(self.model(self.x), self.y)
            else:
                cost = self.loss(self.model(self.x[index]), self.y[index])
            self.optimizer.zero_grad()
            cost.backward()
            self.optimizer.step()


class Compiled(_Torch):
    """Gather, forward, loss, gradient and update as one graph."""

    def __init__(self, case: Case, threads: int) -> None:
        super().__init__(case, threads)
        torch._dynamo.reset()  # the graphs of other cases would be looked through at every call
        self.step = torch.compile(self._step, fullgraph=True)

    def start(self) -> None:
        super().start()
        self.names = [name for name, _ in self.model.named_parameters()]
        self.parameters = [p.detach().clone() for p in self.model.parameters()]
        self.means = [torch.zeros_like(p) for p in self.parameters]
        self.variances = [torch.zeros_like(p) for p in self.parameters]
        self.t = torch.zeros(())

    def train(self, units: int, shuffle: bool) -> None:
        with torch.no_grad():
            for _ in range(units):
                index = self.index(shuffle)
                self.step(self.parameters, self.means, self.variances, self.t, self.x, self.y, index)

    def _step(self, parameters: Any, means: Any, variances: Any, t: Any, x: Any, y: Any, index: Any) -> Any:
        if index is not None:
            x, y = x[index], y[index]

        def cost(parameters: Any) -> Any:
            named = dict(zip(self.names, parameters, strict=True))
            return self.loss(torch.func.functional_call(self.model, named, (x,)), y)

        gradients, value = torch.func.grad_and_value(cost)(parameters)
        rate = self.case.learning_rate
        if self.case.optimizer == "sgd":
            for p, g in zip(parameters, gradients, strict=True):
                p.sub_(rate * g)
            return value
        t.add_(1)
        root = torch.sqrt(1 - 0.999**t)
        rate = rate * root / (1 - 0.9**t)
        for p, g, m, v in zip(parameters, gradients, means, variances, strict=True):
            m.mul_(0.9).add_(g, alpha=0.1)
            v.mul_(0.999).addcmul_(g, g, value=0.001)
            p.sub_(rate * m / (v.sqrt() + 1e-8 * root))
        return value
