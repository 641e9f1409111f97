"""Several processes that train one network: started by `torchrun`, they see shares of the same batches.

Gradients are averaged by DistributedDataParallel. Sums of the loss and the statistics of batch norms are added across
processes with gradients, so that the result is that of one process with the whole batch, up to rounding.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import timedelta

import torch
import torch.distributed as dist
from torch import Tensor, nn
from torch.distributed.nn.functional import all_reduce

from CMBNetLib.errors import EnvironmentProblem, InputError

# The others wait while the first process validates.
LONGEST_WAIT = timedelta(hours=12)


@dataclass(frozen=True)
class Team:
    """This process among all: `rank` of `size`; the one of rank 0 writes files."""

    rank: int = 0
    size: int = 1

    @property
    def is_first(self) -> bool:
        """Whether this process writes."""
        return self.rank == 0

    def share(self, count: int) -> slice:
        """Which of `count` patches of a batch are this process's."""
        if count % self.size:
            raise InputError(f"A batch of {count} cannot be shared by {self.size} processes; choose a multiple.")
        return slice(self.rank, None, self.size)

    def total(self, value: Tensor) -> Tensor:
        """The sum of a tensor over all processes, differentiable."""
        return all_reduce(value) if self.size > 1 else value

    def told_by_first(self, value: float) -> float:
        """A number of the first process, on all of them."""
        if self.size == 1:
            return value
        tensor = torch.tensor([value], dtype=torch.float64)
        if dist.get_backend() == "nccl":
            tensor = tensor.cuda()
        dist.broadcast(tensor, 0)
        return float(tensor)

    def wait(self) -> None:
        """Wait until all processes are here."""
        if self.size > 1:
            dist.barrier()


@contextmanager
def team_of_environment(device: str) -> Iterator[Team]:
    """Join the processes that `torchrun` started; alone where it did not.

    Raises
    ------
    EnvironmentProblem
        The processes cannot reach each other.
    """
    size = int(os.environ.get("WORLD_SIZE", "1"))
    if size == 1:
        yield Team()
        return
    if device == "cuda":
        torch.cuda.set_device(int(os.environ.get("LOCAL_RANK", "0")))
    try:
        dist.init_process_group("nccl" if device == "cuda" else "gloo", timeout=LONGEST_WAIT)
    except (RuntimeError, ValueError) as error:
        raise EnvironmentProblem(f"The {size} processes cannot reach each other: {error}") from error
    try:
        yield Team(dist.get_rank(), size)
    finally:
        dist.destroy_process_group()


class SharedBatchNorm(nn.BatchNorm3d):
    """Batch norm with the statistics of all processes; torch's own needs a GPU. Names of tensors stay the same."""

    def forward(self, input: Tensor) -> Tensor:
        if not self.training:
            return super().forward(input)
        x = input.float()
        axes = (0, 2, 3, 4)
        count = torch.full((1,), x.numel() / x.shape[1], device=x.device)
        sums = all_reduce(torch.cat([x.sum(axes), (x * x).sum(axes), count]))
        channels = x.shape[1]
        n = sums[-1]
        mean, variance = sums[:channels] / n, sums[channels:-1] / n - (sums[:channels] / n) ** 2
        self._remember(mean.detach(), (variance * n / (n - 1)).detach())
        scale = self.weight * torch.rsqrt(variance.clamp(min=0) + self.eps)
        shape = (1, -1, 1, 1, 1)
        return (x * scale.view(shape) + (self.bias - mean * scale).view(shape)).to(input.dtype)

    @torch.no_grad()
    def _remember(self, mean: Tensor, variance: Tensor) -> None:
        assert self.running_mean is not None
        assert self.running_var is not None
        assert self.num_batches_tracked is not None
        momentum = 0.1 if self.momentum is None else self.momentum
        self.running_mean.lerp_(mean, momentum)
        self.running_var.lerp_(variance, momentum)
        self.num_batches_tracked += 1


def share_batch_norms(module: nn.Module) -> None:
    """Replace every batch norm inside ``module`` by one with the statistics of all processes."""
    for name, child in module.named_children():
        if isinstance(child, nn.BatchNorm3d):
            shared = SharedBatchNorm(child.num_features, child.eps, child.momentum)
            shared.load_state_dict(child.state_dict())
            setattr(module, name, shared.train(child.training))
        else:
            share_batch_norms(child)
