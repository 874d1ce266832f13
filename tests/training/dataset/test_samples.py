"""Choosing few of many labelled photos."""

from pathlib import Path

from edgeclf_training.dataset.samples import Sample, choose_evenly


def test_a_bounded_sample_takes_evenly_from_all_classes() -> None:
    samples = [Sample(Path(f"{i}"), "rare" if i % 100 == 0 else "common", 1) for i in range(1000)]
    chosen = choose_evenly(samples, 20, 0)
    assert sum(s.label == "rare" for s in chosen) == 10
    assert len(set(chosen)) == 20
    assert chosen == choose_evenly(samples, 20, 0)
    assert choose_evenly(samples[:5], 20, 0) == samples[:5]
