"""The derivative of what lies between the average pool and the head, in closed form, as forward operations.

With m the average over the positions, alpha of Grad-CAM is the gradient of the logit with respect to m. It is carried
back through the layers of ``edgeclf_training.networks.neck.Neck``, for all classes at once: g is ``[N, K, channels]``.

* convolution of 1x1 y = W x + b: g <- g W;
* activation function y = f(x): g <- g * f'(x);
* factors y = s * x + t: g <- g * s;
* layer norm y = s * n + t with n = (x - mean) / std (Ba et al. 2016, arXiv:1607.06450):
  g <- (h - mean(h) - n * mean(h * n)) / std with h = g * s.

The values x are computed anew in float from the activation that the map is drawn on, once for each photo, with the
weights that the network itself has in the file.
"""

from dataclasses import dataclass
from typing import Any, TypeAlias

import numpy as np
from edgeclf_training.networks.neck import ChannelNorm, Neck, NeckActivation, ScaleAndShift
from numpy.typing import NDArray
from onnx import TensorProto
from torch import nn

from edgeclf_export.graph.gradcam_nodes import CamNodes

Floats: TypeAlias = NDArray[np.float32]


@dataclass(frozen=True)
class Convolution:
    """A 1x1 convolution, which the graph has too, with its batch norm folded in."""

    channels: int
    out: int


@dataclass(frozen=True)
class Activation:
    """An activation function of ``edgeclf_training.networks.neck.ACTIVATIONS``."""

    kind: str


@dataclass(frozen=True, eq=False)
class Factors:
    """y = scale * x + shift, float32 ``[channels]`` or ``[1]`` each."""

    scale: Floats
    shift: Floats


@dataclass(frozen=True, eq=False)
class LayerNorm:
    """y = scale * (x - mean) / sqrt(variance + eps) + shift, over the channels; float32 ``[channels]`` each."""

    scale: Floats
    shift: Floats
    eps: float


NeckStep: TypeAlias = Convolution | Activation | Factors | LayerNorm


@dataclass(frozen=True)
class _Done:
    """A step with the names of the tensors that its derivative needs: its input, or a norm's n and 1 / std."""

    step: NeckStep
    tensors: tuple[str, ...]


def neck_steps(pool: nn.Module) -> tuple[NeckStep, ...]:
    """The steps of a pool that is a ``Neck``, in forward order; none for other pools.

    A batch norm behind a convolution is no step: the graph has it in the convolution's weights.
    """
    steps: list[NeckStep] = []
    for layer in pool.layers if isinstance(pool, Neck) else ():
        if isinstance(layer, nn.Conv2d):
            steps.append(Convolution(layer.in_channels, layer.out_channels))
        elif isinstance(layer, nn.BatchNorm2d):
            if not (steps and isinstance(steps[-1], Convolution)):
                steps.append(_fixed_factors(layer))
        elif isinstance(layer, ChannelNorm):
            steps.append(LayerNorm(_floats(layer.weight), _floats(layer.bias), layer.eps))
        elif isinstance(layer, ScaleAndShift):
            steps.append(Factors(_floats(layer.scale).reshape(1), _floats(layer.shift).reshape(1)))
        elif isinstance(layer, NeckActivation):
            steps.append(Activation(layer.kind))
        else:
            raise TypeError(f"no derivative of {type(layer).__name__}")
    return tuple(steps)


def neck_cost(steps: tuple[NeckStep, ...]) -> int:
    """Multiply-adds of carrying the gradient of one class back."""
    return sum(step.channels * step.out for step in steps if isinstance(step, Convolution))


def neck_forward(graph: CamNodes, activation: str, steps: tuple[NeckStep, ...]) -> list[_Done]:
    """Add the steps' values for each photo, from the activation ``[N, channels, h, w]`` on.

    Returns:
        The steps with the names of the tensors that ``carry_back`` needs.
    """
    x = graph.add("Flatten", [graph.add("GlobalAveragePool", [activation])])
    done: list[_Done] = []
    convolutions = iter(graph.necks())
    for number, step in enumerate(steps):
        if isinstance(step, Convolution):
            node = next(convolutions)
            weights = graph.matrix(node.input[1], step.channels)
            done.append(_Done(step, (weights,)))
            bias = graph.values(node.input[2]) if len(node.input) == 3 else np.zeros(step.out, np.float32)
            x = graph.add("Gemm", [x, weights, graph.constant(f"cam_bias_{number}", bias)], transB=1)
        elif isinstance(step, Activation):
            done.append(_Done(step, (x,)))
            x = _activation(graph, step.kind, x)
        elif isinstance(step, Factors):
            done.append(_Done(step, ()))
            x = _scaled(graph, x, step.scale, step.shift, number)
        else:
            normed, inverse = _normed(graph, x, step.eps, number)
            done.append(_Done(step, (normed, inverse)))
            x = _scaled(graph, normed, step.scale, step.shift, number)
    return done


def carry_back(graph: CamNodes, gradient: str, done: list[_Done]) -> str:
    """Carry the gradient ``[N, K, out channels]`` back to the average, ``[N, K, channels]``."""
    for number, one in reversed(list(enumerate(done))):
        step = one.step
        if isinstance(step, Convolution):
            gradient = graph.add("MatMul", [gradient, one.tensors[0]])
        elif isinstance(step, Activation):
            gradient = graph.add("Mul", [gradient, _for_all_classes(graph, _slope(graph, step.kind, one.tensors[0]))])
        elif isinstance(step, Factors):
            gradient = graph.add("Mul", [gradient, graph.constant(f"cam_factor_{number}", step.scale)])
        else:
            normed, inverse = (_for_all_classes(graph, name) for name in one.tensors)
            scaled = graph.add("Mul", [gradient, graph.constant(f"cam_factor_{number}", step.scale)])
            mean = graph.add("ReduceMean", [scaled, _last_axis(graph)])
            along = graph.add("ReduceMean", [graph.add("Mul", [scaled, normed]), _last_axis(graph)])
            rest = graph.add("Sub", [graph.add("Sub", [scaled, mean]), graph.add("Mul", [normed, along])])
            gradient = graph.add("Mul", [rest, inverse])
    return gradient


def _activation(graph: CamNodes, kind: str, x: str) -> str:
    if kind == "relu":
        return graph.add("Relu", [x])
    if kind == "relu6":
        return graph.add("Clip", [x, _scalar(graph, 0), _scalar(graph, 6)])
    if kind == "hardswish":
        return graph.add("HardSwish", [x])
    gate = graph.add("Sigmoid", [x]) if kind == "silu" else _normal_cdf(graph, x)
    return graph.add("Mul", [x, gate])


def _slope(graph: CamNodes, kind: str, x: str) -> str:
    """The derivative of an activation function at x, ``[N, channels]``."""
    if kind in ("relu", "relu6"):
        positive = graph.add("Greater", [x, _scalar(graph, 0)])
        inside = positive if kind == "relu" else graph.add("And", [positive, graph.add("Less", [x, _scalar(graph, 6)])])
        return graph.add("Cast", [inside], to=TensorProto.FLOAT)
    if kind == "hardswish":  # 0 below -3, 1 above 3, (2 x + 3) / 6 between
        line = graph.add("Add", [graph.add("Div", [x, _scalar(graph, 3)]), _scalar(graph, 0.5)])
        left = graph.add("Cast", [graph.add("Greater", [x, _scalar(graph, -3)])], to=TensorProto.FLOAT)
        below = graph.add("Less", [x, _scalar(graph, 3)])
        return graph.add("Where", [below, graph.add("Mul", [line, left]), _scalar(graph, 1)])
    if kind == "silu":  # s + x s (1 - s)
        gate = graph.add("Sigmoid", [x])
        rest = graph.add("Sub", [_scalar(graph, 1), gate])
        return graph.add("Mul", [gate, graph.add("Add", [_scalar(graph, 1), graph.add("Mul", [x, rest])])])
    # gelu: the normal distribution's cdf + x times its density
    square = graph.add("Mul", [graph.add("Mul", [x, x]), _scalar(graph, -0.5)])
    density = graph.add("Mul", [graph.add("Exp", [square]), _scalar(graph, 1 / np.sqrt(2 * np.pi))])
    return graph.add("Add", [_normal_cdf(graph, x), graph.add("Mul", [x, density])])


def _normal_cdf(graph: CamNodes, x: str) -> str:
    error = graph.add("Erf", [graph.add("Mul", [x, _scalar(graph, np.sqrt(0.5))])])
    return graph.add("Mul", [graph.add("Add", [error, _scalar(graph, 1)]), _scalar(graph, 0.5)])


def _normed(graph: CamNodes, x: str, eps: float, number: int) -> tuple[str, str]:
    """n = (x - mean) / std and 1 / std."""
    centred = graph.add("Sub", [x, graph.add("ReduceMean", [x, _last_axis(graph)])])
    variance = graph.add("ReduceMean", [graph.add("Mul", [centred, centred]), _last_axis(graph)])
    std = graph.add("Sqrt", [graph.add("Add", [variance, _scalar(graph, eps)])])
    inverse = graph.add("Reciprocal", [std])
    return graph.add("Mul", [centred, inverse]), inverse


def _scaled(graph: CamNodes, x: str, scale: Floats, shift: Floats, number: int) -> str:
    product = graph.add("Mul", [x, graph.constant(f"cam_scale_{number}", scale)])
    return graph.add("Add", [product, graph.constant(f"cam_shift_{number}", shift)])


def _for_all_classes(graph: CamNodes, values: str) -> str:
    """``[N, channels]`` -> ``[N, 1, channels]``."""
    return graph.add("Unsqueeze", [values, graph.shared("cam_classes_axis", np.array([1]))])


def _last_axis(graph: CamNodes) -> str:
    return graph.shared("cam_last_axis", np.array([-1]))


def _scalar(graph: CamNodes, value: float) -> str:
    return graph.shared(f"cam_scalar_{value}", np.array(value, np.float32))


def _fixed_factors(norm: nn.BatchNorm2d) -> Factors:
    assert norm.running_mean is not None
    assert norm.running_var is not None
    scale = _floats(norm.weight) / np.sqrt(_floats(norm.running_var) + norm.eps)
    return Factors(scale, _floats(norm.bias) - _floats(norm.running_mean) * scale)


def _floats(tensor: Any) -> Floats:
    return np.asarray(tensor.detach().cpu().numpy(), np.float32)
