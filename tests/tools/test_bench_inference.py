"""The inference section runs; what it prints is for people to read."""

from __future__ import annotations

from torch import nn

import bench_inference


def test_a_network_is_compared_with_both_backends() -> None:
    network = nn.Sequential(nn.Conv2d(3, 4, 3, padding=1), nn.BatchNorm2d(4), nn.ReLU(), nn.AdaptiveAvgPool2d(1))
    comparison = bench_inference.networks("tiny", network, (6, 5), 2, 1)
    assert [timing.name for timing in comparison.timings] == ["plain", "keyed, gather", "keyed, reference"]
    assert comparison.timings[0].ratio == 1
