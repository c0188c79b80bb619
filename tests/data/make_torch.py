"""Make torch.npz: what PyTorch's optimizers compute, for the tests, which need no PyTorch.

``python tests/data/make_torch.py``, with torch installed.  Each optimizer takes ten steps of float64 with the same
random gradients, in the second half at a quarter of the rate where its name says so; the parameters are kept after
every step.
"""

from pathlib import Path

import numpy as np
import torch

OPTIMIZERS = {
    "momentum": lambda p: torch.optim.SGD(p, 0.01, momentum=0.9),
    "momentum, two rates": lambda p: torch.optim.SGD(p, 0.01, momentum=0.9),
    "Nesterov": lambda p: torch.optim.SGD(p, 0.01, momentum=0.9, nesterov=True),
    "Adam": lambda p: torch.optim.Adam(p, 0.01, eps=1e-3),
    "AMSGrad": lambda p: torch.optim.Adam(p, 0.01, betas=(0.9, 0.5), eps=1e-3, amsgrad=True),
    "Adam, coupled decay": lambda p: torch.optim.Adam(p, 0.01, eps=1e-8, weight_decay=0.1),
    "AdamW": lambda p: torch.optim.AdamW(p, 0.01, eps=1e-8, weight_decay=0.1),
    "Adagrad": lambda p: torch.optim.Adagrad(p, 0.01),
    "RMSprop": lambda p: torch.optim.RMSprop(p, 0.01, alpha=0.9, eps=1e-8),
    "Adadelta": lambda p: torch.optim.Adadelta(p, 0.5, rho=0.95, eps=1e-6),
}
ONE_CYCLES = [
    (0.1, 100, 0.3, 25.0, 1e4),
    (0.5, 37, 0.1, 10.0, 100.0),
    (0.1, 10, 0.05, 25.0, 1e4),
    (0.1, 10, 1.0, 25.0, 1e4),
]


def main() -> None:
    rng = np.random.default_rng(1)
    start, gradients = rng.uniform(0.75, 2, 7), rng.standard_normal((10, 7))
    found = {"start": start, "gradients": gradients}
    for name, make in OPTIMIZERS.items():
        parameter = torch.tensor(start, requires_grad=True)
        optimizer = make([parameter])
        rows = []
        for step, gradient in enumerate(gradients):
            if step == 5 and "two rates" in name:
                optimizer.param_groups[0]["lr"] /= 4
            parameter.grad = torch.tensor(gradient)
            optimizer.step()
            rows.append(parameter.detach().numpy().copy())
        found[name] = np.array(rows)
    found["one cycles"] = np.array(ONE_CYCLES)
    for i, (top, steps, start_share, first, last) in enumerate(ONE_CYCLES):
        optimizer = torch.optim.SGD([torch.zeros(1)], 1.0)
        schedule = torch.optim.lr_scheduler.OneCycleLR(
            optimizer, top, int(steps), pct_start=start_share, div_factor=first, final_div_factor=last
        )
        rates = []
        for _ in range(int(steps)):
            rates.append(optimizer.param_groups[0]["lr"])
            optimizer.step()
            if len(rates) < steps:
                schedule.step()
        found[f"one cycle {i}"] = np.array(rates)
    np.savez_compressed(Path(__file__).with_name("torch.npz"), **found)


if __name__ == "__main__":
    main()
