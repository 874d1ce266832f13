"""The ranking in JavaScript is that of ``edgeclf.results.ranked``, as records hold it."""

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from edgeclf.field.record import Record
from edgeclf.results import Prediction, ranked

RANK = """
    const { rank } = await load("softmax-rank.js");
    return argument.map(({ scores, ...rules }) => rank(Float32Array.from(scores), rules));"""


def test_rankings_are_those_of_the_records(in_node: Callable[..., Any]) -> None:
    rng = np.random.default_rng(0)
    jobs, expected = [], []
    for number in range(4000):
        classes = int(rng.choice([1, 2, 3, 7, 8, 9, 18, 100, 129, 300, 1000], p=[0.1] * 9 + [0.05] * 2))
        scores = rng.normal(0, rng.uniform(0.1, 12), classes).astype(np.float32)
        if number % 7 == 0:
            scores = np.round(scores)  # equal logits
        labels = [f"class {index}" for index in range(classes)]
        names = {label: f"Name of {label}" for label in labels[::2]}
        temperature, top_k = float(rng.choice([1.0, rng.uniform(0.3, 4)])), int(rng.integers(1, 20))
        ranking = ranked(scores, temperature, labels, names, top_k)
        # Not the best probability itself: `Math.exp` may differ from numpy's in the last bit.
        threshold = float(rng.choice([0.5, 0.0, *(ranking[0].probability * share for share in (0.9999, 1.0001))]))
        record = Record.of("-", Prediction(ranking, ranking[0].probability < threshold)).to_dict()
        jobs.append(
            {
                **{"scores": scores.tolist(), "labels": labels, "displayNames": names, "topK": top_k},
                **{"temperature": temperature, "threshold": threshold},
            }
        )
        expected.append({"unknown": record["unknown"], "predictions": record["predictions"]})
    found = in_node(RANK, jobs)
    assert [n for n, pair in enumerate(zip(found, expected, strict=True)) if pair[0] != pair[1]] == []


@pytest.mark.parametrize("value", ["NaN", "Infinity", "-Infinity"])
def test_logits_that_are_no_numbers_are_refused(in_node: Callable[..., Any], value: str) -> None:
    script = f"""
        const {{ rank }} = await load("softmax-rank.js");
        try {{ rank(new Float32Array([1, {value}]), {{ labels: ["a", "b"] }}); }}
        catch (error) {{ return [error.kind, error.message]; }}"""
    kind, message = in_node(script)
    assert kind == "model"
    assert "not finite" in message
