"""What learns: network, moving average, optimiser, precision; one step, and all tensors of its state."""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Mapping
from contextlib import AbstractContextManager, nullcontext
from fnmatch import fnmatch
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.parallel import DistributedDataParallel

from CMBNetLib.errors import InputError
from CMBNetLib.network import STACK, AnisotropicUNet, NetworkSpec
from CMBNetLib.places import PLACES
from CMBNetTrainingLib.patches import Patches
from CMBNetTrainingLib.training_config import NetworkConfig, OptimiserConfig, PhaseConfig, TrainingConfig
from CMBNetTrainingLib.training_losses import downsampled, loss_of
from CMBNetTrainingLib.training_processes import Team, share_batch_norms

# Share of the loss of each coarser output, halved from level to level.
DEEP_SHARE = 0.5
POLY_POWER = 0.9
# The rate at the end of a schedule, as a share of its top: 0 would waste the last steps.
LAST_RATE = 0.004


def network_spec(config: NetworkConfig) -> NetworkSpec:
    """The network as a bundle describes it."""
    return NetworkSpec(
        filters=tuple(config.filters),
        classes=config.classes,
        pixel_mm=config.pixel_mm,
        places=len(PLACES) - 1 if config.places else 0,
    )


def new_network(config: NetworkConfig) -> AnisotropicUNet:
    """A network with random weights.

    Where nearly all is background at first (Lin et al. 2017), microbleeds have to be told by what is seen: at even odds
    a network may learn to tell them by no feature being active, and all of them get one score. A very small one at a
    high learning rate, on the other hand, learns that there is nothing but background, and stays with it.
    """
    network = AnisotropicUNet(network_spec(config))
    if config.first_probability:
        with torch.no_grad():
            network.head.bias[STACK**2 :] += math.log(config.first_probability)  # type: ignore[index]
    return network


class Supervised(nn.Module):
    """The network and, for deep supervision, an output at each coarser level of the way up. Only training has those."""

    def __init__(self, network: AnisotropicUNet, *, deep: bool) -> None:
        super().__init__()
        self.network = network
        filters = network.spec.filters
        levels = range(1, len(network.up)) if deep else ()
        self.heads = nn.ModuleDict({str(n): nn.Conv3d(filters[n], network.spec.classes, 1) for n in levels})
        self._seen: dict[str, Tensor] = {}
        for level in levels:
            network.up[level].register_forward_hook(self._hook(str(level)))

    def _hook(self, level: str) -> Any:
        def keep(_module: nn.Module, _inputs: Any, output: Tensor) -> None:
            self._seen[level] = output

        return keep

    def forward(self, x: Tensor, slice_mm: float, places: Tensor) -> list[Tensor]:
        """Logits of the finest level first."""
        logits = [self.network(x, slice_mm, places)]
        logits += [head(self._seen.pop(level)) for level, head in self.heads.items()]
        return logits


class Learner:
    """Network, moving average and optimiser.

    Attributes
    ----------
    network, average : AnisotropicUNet
        What is trained, and the moving average of its weights, which is validated and exported.
    step : int
        Steps over all phases.
    """

    def __init__(self, config: TrainingConfig, team: Team, device: str) -> None:
        self._config, self._team, self.device = config, team, device
        torch.manual_seed(config.seed)
        self.network, self.average = new_network(config.network), new_network(config.network)
        spec = self.network.spec
        self._model = Supervised(self.network, deep=config.network.deep_supervision)
        self._model.to(device=device, memory_format=torch.channels_last_3d)  # type: ignore[call-overload]
        self.average.to(device)
        self.average.load_state_dict(self.network.state_dict())
        self._sums, self._loss = loss_of(config.loss, spec.classes)
        self._precision, self._dtype = precision_of(config.precision, device)
        self.scaler = torch.amp.GradScaler(device, enabled=self._precision == "float16")
        self.step = 0
        self._wrapped: nn.Module = self._model
        self.frozen = freeze(self.network, config.freeze)
        if team.size > 1:
            share_batch_norms(self._model)
            self._wrapped = DistributedDataParallel(self._model, broadcast_buffers=False)
        self.begin_phase(config.phases[0])

    def begin_phase(self, phase: PhaseConfig) -> None:
        """A fresh optimiser for a phase."""
        self.phase = phase
        trained = [p for p in self._model.parameters() if p.requires_grad]
        self.optimiser = optimiser_of(self._config.optimiser, trained, phase.learning_rate)

    def learn(self, patches: Patches, phase_step: int) -> float:
        """One step on a batch (this process's share); returns the loss of the whole batch."""
        for group in self.optimiser.param_groups:
            group["lr"] = rate_at(self.phase, phase_step)
        self._model.train()
        for module in self.frozen:
            module.eval()
        loss = self._total_loss(self._wrapped, patches)
        self.optimiser.zero_grad(set_to_none=True)
        self.scaler.scale(loss).backward()
        self.scaler.unscale_(self.optimiser)
        trained = [p for group in self.optimiser.param_groups for p in group["params"]]
        nn.utils.clip_grad_norm_(trained, self._config.optimiser.clip_norm)
        self.scaler.step(self.optimiser)
        self.scaler.update()
        self.step += 1
        self._update_average()
        return float(loss.detach())

    @torch.no_grad()
    def loss_without_learning(self, patches: Patches) -> float:
        """Loss of the moving average on a batch; this process alone."""
        x, classes, places = self._on_device(patches)
        with self._autocast():
            logits = self.average.eval()(x, patches.slice_mm, places)
        return float(self._loss(self._sums(logits, classes)))

    def tensors(self) -> dict[str, Tensor]:
        """Everything that decides how training goes on, by name."""
        out = {f"model.{key}": value for key, value in self._model.state_dict().items()}
        out |= {f"average.{key}": value for key, value in self.average.state_dict().items()}
        for index, state in self.optimiser.state_dict()["state"].items():
            out |= {f"optimiser.{index}.{key}": value for key, value in state.items() if value is not None}
        return {key: value.detach().cpu().contiguous() for key, value in out.items()}

    def load(self, tensors: Mapping[str, Tensor]) -> None:
        """Take over what `tensors` returned."""
        for prefix, module in (("model.", self._model), ("average.", self.average)):
            module.load_state_dict(_under(tensors, prefix))
        state: dict[int, dict[str, Tensor]] = defaultdict(dict)
        for key, value in _under(tensors, "optimiser.").items():
            index, slot = key.split(".", 1)
            state[int(index)][slot] = value
        self.optimiser.load_state_dict({**self.optimiser.state_dict(), "state": dict(state)})

    def take_weights(self, tensors: Mapping[str, Tensor]) -> None:
        """Go on from other weights of the same network, for both the network and its average."""
        self.network.load_state_dict(dict(tensors))
        self.average.load_state_dict(dict(tensors))

    def _on_device(self, patches: Patches) -> tuple[Tensor, Tensor, Tensor]:
        """Images with a channel, classes and places of a batch."""
        x = patches.images[:, None].to(self.device).contiguous(memory_format=torch.channels_last_3d)
        return x, patches.classes.to(self.device).long(), patches.places.to(self.device)

    def _total_loss(self, model: nn.Module, patches: Patches) -> Tensor:
        x, classes, places = self._on_device(patches)
        with self._autocast():
            outputs = model(x, patches.slice_mm, places)
        loss = torch.zeros((), device=self.device)
        for level, logits in enumerate(outputs):
            target = classes if level == 0 else downsampled(classes, tuple(logits.shape[2:]))
            loss = loss + DEEP_SHARE**level * self._loss(self._team.total(self._sums(logits, target)))
        return loss

    def _autocast(self) -> AbstractContextManager[object]:
        return torch.autocast(self.device, dtype=self._dtype) if self._dtype else nullcontext()

    @torch.no_grad()
    def _update_average(self) -> None:
        # At the beginning the average follows quickly: the first weights are of no use to anybody.
        decay = min(self._config.optimiser.average_decay, (1 + self.step) / (10 + self.step))
        for kept, new in zip(self.average.state_dict().values(), self.network.state_dict().values(), strict=True):
            if kept.dtype.is_floating_point:
                kept.lerp_(new, 1 - decay)
            else:
                kept.copy_(new)


def rate_at(phase: PhaseConfig, step: int) -> float:
    """Learning rate of a step (0, 1, ...) of a phase: linear warm-up, then the schedule down to 0.4 % of the top."""
    warm = min(1.0, (step + 1) / max(phase.warm_up, 1))
    done = min(step / phase.steps, 1.0)
    shape = {
        "cosine": 0.5 + 0.5 * math.cos(math.pi * done), "poly": (1 - done) ** POLY_POWER, "constant": 1.0
    }[phase.schedule]  # fmt: skip
    return phase.learning_rate * warm * max(shape, LAST_RATE)


def optimiser_of(config: OptimiserConfig, parameters: list[nn.Parameter], rate: float) -> torch.optim.Optimizer:
    """AdamW, or SGD with Nesterov's momentum."""
    if config.name == "adamw":
        return torch.optim.AdamW(parameters, lr=rate, weight_decay=config.weight_decay)
    nesterov = config.momentum > 0
    return torch.optim.SGD(
        parameters, lr=rate, momentum=config.momentum, weight_decay=config.weight_decay, nesterov=nesterov
    )


def precision_of(wanted: str, device: str) -> tuple[str, torch.dtype | None]:
    """Name and autocast type (None: none) for ``auto``, ``float32``, ``bfloat16`` or ``float16``."""
    if wanted == "auto":
        # On a CPU the gradients of small networks are worth more than the time bfloat16 saves.
        wanted = "float32" if device == "cpu" else "bfloat16" if torch.cuda.is_bf16_supported() else "float16"
    if wanted == "float16" and device == "cpu":
        raise InputError("precision float16 needs a GPU; choose bfloat16 or float32.")
    return wanted, {"float32": None, "bfloat16": torch.bfloat16, "float16": torch.float16}[wanted]


def freeze(network: AnisotropicUNet, patterns: tuple[str, ...]) -> list[nn.Module]:
    """Stop the parameters whose names fit a pattern from learning; returns the batch norms that stay as they are.

    Raises
    ------
    InputError
        A pattern fits nothing, or nothing is left to learn.
    """
    names = [name for name, _ in network.named_parameters()]
    for pattern in patterns:
        if not any(_fits(name, pattern) for name in names):
            raise InputError(
                f"freeze: no tensor of the network fits '{pattern}'. There are {names[0]}, {names[-1]} ..."
            )
    for name, parameter in network.named_parameters():
        parameter.requires_grad_(not any(_fits(name, pattern) for pattern in patterns))
    if not any(p.requires_grad for p in network.parameters()):
        raise InputError("freeze: all of the network is frozen, so there is nothing to train.")
    norms = [m for m in network.modules() if isinstance(m, nn.BatchNorm3d)]
    return [m for m in norms if not m.weight.requires_grad]


def _fits(name: str, pattern: str) -> bool:
    return fnmatch(name, pattern) or fnmatch(name, f"{pattern}.*")


def _under(tensors: Mapping[str, Tensor], prefix: str) -> dict[str, Tensor]:
    return {key.removeprefix(prefix): value for key, value in tensors.items() if key.startswith(prefix)}
