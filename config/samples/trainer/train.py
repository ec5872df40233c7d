"""Fit a small network to the two-moons data set; the standard library is all it needs.

Prints one line of ``name=value`` pairs per epoch, which is what Katib's StdOut collector reads:
``loss`` and ``accuracy`` are those of 200 points that training never saw.
"""

# ruff: noqa: S311 — pseudo-random numbers with a fixed seed are what makes a trial repeatable

import argparse
import math
import random
from collections.abc import Callable, Sequence
from typing import NamedTuple

Point = tuple[float, float]


class Sample(NamedTuple):
    """One point of the plane and the moon (0 or 1) that it belongs to."""

    x: Point
    label: int


class Activation(NamedTuple):
    """A function and its slope, the slope as a function of the value."""

    value: Callable[[float], float]
    slope: Callable[[float], float]


def sigmoid(z: float) -> float:
    """The logistic function; ``z`` is cut where the result would be 0 or 1 anyway."""
    return 1.0 / (1.0 + math.exp(-max(-60.0, min(60.0, z))))


ACTIVATIONS = {
    "relu": Activation(lambda z: max(z, 0.0), lambda a: 1.0 if a > 0 else 0.0),
    "tanh": Activation(math.tanh, lambda a: 1.0 - a * a),
    "sigmoid": Activation(sigmoid, lambda a: a * (1.0 - a)),
}


def make_moons(count: int, *, noise: float, seed: int) -> list[Sample]:
    """Two interleaved half circles, ``count`` points in all, with Gaussian noise."""
    rng = random.Random(seed)
    samples = []
    for i in range(count):
        label, angle = i % 2, rng.uniform(0.0, math.pi)
        x, y = math.cos(angle), math.sin(angle)
        if label:
            x, y = 1.0 - x, 0.5 - y
        samples.append(Sample((x + rng.gauss(0.0, noise), y + rng.gauss(0.0, noise)), label))
    return samples


class Network:
    """One hidden layer, one logistic output; trained by stochastic gradient descent with momentum."""

    def __init__(self, hidden: int, activation: Activation, *, seed: int) -> None:
        rng = random.Random(seed)
        self._activation = activation
        self._inner = [[rng.gauss(0.0, 1.0) for _ in range(3)] for _ in range(hidden)]
        self._outer = [rng.gauss(0.0, 1.0 / math.sqrt(hidden)) for _ in range(hidden + 1)]
        self._inner_speed = [[0.0] * 3 for _ in range(hidden)]
        self._outer_speed = [0.0] * (hidden + 1)

    def predict(self, x: Point) -> float:
        """The probability of moon 1."""
        return self._output(self._hidden(x))

    def _hidden(self, x: Point) -> list[float]:
        return [self._activation.value(w[0] * x[0] + w[1] * x[1] + w[2]) for w in self._inner]

    def _output(self, hidden: Sequence[float]) -> float:
        return sigmoid(self._outer[-1] + sum(w * h for w, h in zip(self._outer, hidden, strict=False)))

    def learn(self, sample: Sample, *, rate: float, momentum: float) -> None:
        """One step down the gradient of the cross entropy of one sample."""
        hidden = self._hidden(sample.x)
        error = self._output(hidden) - sample.label
        inputs = (*sample.x, 1.0)
        for j, h in enumerate(hidden):
            back = error * self._outer[j] * self._activation.slope(h)
            speed, weights = self._inner_speed[j], self._inner[j]
            for k, value in enumerate(inputs):
                speed[k] = momentum * speed[k] - rate * back * value
                weights[k] += speed[k]
        for j, h in enumerate((*hidden, 1.0)):
            self._outer_speed[j] = momentum * self._outer_speed[j] - rate * error * h
            self._outer[j] += self._outer_speed[j]


def evaluate(network: Network, samples: Sequence[Sample]) -> tuple[float, float]:
    """Mean cross entropy and the share of points put on the right side."""
    loss, right = 0.0, 0
    for sample in samples:
        p = min(max(network.predict(sample.x), 1e-9), 1.0 - 1e-9)
        loss -= math.log(p if sample.label else 1.0 - p)
        right += (p > 0.5) == bool(sample.label)
    return loss / len(samples), right / len(samples)


def train(options: argparse.Namespace) -> None:
    """Train for ``options.epochs`` rounds and print the figures after each."""
    training = make_moons(300, noise=0.2, seed=1)
    unseen = make_moons(200, noise=0.2, seed=2)
    network = Network(options.hidden, ACTIVATIONS[options.activation], seed=3)
    order = random.Random(4)
    for epoch in range(1, options.epochs + 1):
        order.shuffle(training)
        for sample in training:
            network.learn(sample, rate=options.lr, momentum=options.momentum)
        loss, accuracy = evaluate(network, unseen)
        print(f"epoch={epoch} loss={loss:.5f} accuracy={accuracy:.4f}", flush=True)  # noqa: T201 — the metrics


def parse_options() -> argparse.Namespace:
    """The hyperparameters, from the command line."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--lr", type=float, default=0.05, help="learning rate")
    parser.add_argument("--momentum", type=float, default=0.5, help="share of the last step that is kept")
    parser.add_argument("--hidden", type=int, default=8, help="neurons of the hidden layer")
    parser.add_argument("--activation", choices=sorted(ACTIVATIONS), default="tanh")
    parser.add_argument("--epochs", type=int, default=60, help="rounds over the training points")
    return parser.parse_args()


if __name__ == "__main__":
    train(parse_options())
