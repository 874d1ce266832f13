"""Parts of the training step: parameter groups, optimiser, schedule, loss, mixed batches, moving average."""

import math
from collections.abc import Sequence

import torch
from torch import Tensor, nn
from torch.nn import functional as F
from torch.optim.swa_utils import AveragedModel
from torchvision.transforms import v2

from edgeclf_training.config.options import TrainOptions
from edgeclf_training.networks import Network


def parameter_groups(network: Network, options: TrainOptions, head_lr: float) -> list[dict[str, object]]:
    """Trainable parameters by learning rate and decay.

    The head learns at ``head_lr``, the last stage and the pool at ``backbone_lr``, each stage before it slower by
    ``stage_decay`` (Howard and Ruder 2018, arXiv:1801.06146): edges and textures need less change than what is specific
    to a task.
    Norms and biases are not decayed unless the options say so (He et al. 2019, arXiv:1812.01187).
    """
    backbone_lr, decay = options.backbone_lr or 0.0, options.stage_decay
    stages = list(network.features.children())
    parts: list[tuple[nn.Module, float]] = [(network.head, head_lr), (network.pool, backbone_lr)]
    parts += [(stage, backbone_lr * decay ** (len(stages) - 1 - i)) for i, stage in enumerate(stages)]
    groups: list[dict[str, object]] = []
    for part, rate in parts:
        trainable = [p for p in part.parameters() if p.requires_grad]
        for weight_decay, chosen in (
            (options.weight_decay, [p for p in trainable if p.ndim > 1 or options.decay_norms]),
            (0.0, [p for p in trainable if p.ndim <= 1 and not options.decay_norms]),
        ):
            if chosen:
                groups.append({"params": chosen, "lr": rate, "weight_decay": weight_decay})
    return groups


def make_optimizer(groups: list[dict[str, object]], options: TrainOptions) -> torch.optim.Optimizer:
    """AdamW, SGD or RMSprop; RMSprop uses Keras' decay (0.9) and epsilon, as the tutorials do."""
    if options.optimizer == "sgd":
        return torch.optim.SGD(groups, momentum=options.momentum)
    if options.optimizer == "rmsprop":
        return torch.optim.RMSprop(groups, alpha=0.9, eps=1e-7, momentum=options.momentum)
    return torch.optim.AdamW(groups)


def rate_factor(step: int, steps: int, schedule: str, warmup_share: float) -> float:
    """Learning-rate factor 0..1: linear warm-up over a share of the steps, then constant, or half a cosine to 1 %."""
    warmup = round(steps * warmup_share)
    if step < warmup:
        return (step + 1) / warmup
    if schedule == "constant":
        return 1.0
    return max(0.01, 0.5 * (1 + math.cos(math.pi * (step - warmup) / max(1, steps - warmup))))


def class_weights(counts: Sequence[int]) -> Tensor:
    """Loss weights float32 ``[classes]``: proportional to 1 / sqrt(photos of the class), with mean 1 over the photos.

    This is a compromise. Without weights, rare classes are never predicted; with weights of 1 / photos, a single
    unusual photo of a rare class changes the network as much as a hundred photos of a common class.
    """
    weights = torch.tensor(counts, dtype=torch.float).clamp(min=1).rsqrt()
    photos = torch.tensor(counts, dtype=torch.float)
    return weights * (photos.sum() / (weights * photos).sum())


class Mixer:
    """MixUp (Zhang et al. 2018, arXiv:1710.09412) or CutMix (Yun et al. 2019, arXiv:1905.04899) for some batches.

    Draws from torch's global generator, which the training step seeds.
    """

    def __init__(self, options: TrainOptions, classes: int) -> None:
        self._ways = [v2.MixUp(alpha=options.mixup, num_classes=classes)] if options.mixup else []
        self._ways += [v2.CutMix(alpha=options.cutmix, num_classes=classes)] if options.cutmix else []
        self._share = options.mix_share or 0.0

    def __call__(self, images: Tensor, labels: Tensor) -> tuple[Tensor, Tensor]:
        """Photos uint8 or float32 ``[N, S, S, 3]`` and labels int64 ``[N]`` or soft labels float32 ``[N, classes]``."""
        if not self._ways or float(torch.rand(())) >= self._share:
            return images, labels
        way = self._ways[int(torch.randint(len(self._ways), ()))]
        mixed, soft = way(images.permute(0, 3, 1, 2).float(), labels)
        return mixed.permute(0, 2, 3, 1), soft


def loss(logits: Tensor, labels: Tensor, smoothing: float, weights: Tensor | None) -> Tensor:
    """Cross-entropy of hard labels int64 ``[N]`` or soft ones float32 ``[N, classes]``."""
    return F.cross_entropy(logits, labels, weight=weights, label_smoothing=smoothing)


def moving_average(network: Network, decay: float) -> AveragedModel:
    """An exponential moving average (EMA) of weights and batch-norm statistics.

    The decay is smaller in the first steps. Fine-tuning on a few hundred photos takes only a few dozen steps; with the
    full decay the average would stay close to the initial weights.
    """

    @torch.no_grad()
    def average(averages: Sequence[Tensor], currents: Sequence[Tensor], count: Tensor | int) -> None:
        steps = int(count)
        keep = min(decay, (1 + steps) / (10 + steps))
        if averages[0].is_floating_point():
            torch._foreach_lerp_(list(averages), list(currents), 1 - keep)
        else:
            for mine, current in zip(averages, currents, strict=True):
                mine.copy_(current)

    averaged = AveragedModel(network, multi_avg_fn=average, use_buffers=True)
    return averaged.requires_grad_(False)
