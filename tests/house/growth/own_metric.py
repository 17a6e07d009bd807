"""A cost of one's own: the numbers that a network's blocks write, which is what its memory traffic is made of."""

from math import prod

from supernet.metrics import METRICS, Metric

METRICS["activations"] = Metric(
    "activations",
    unit="values",
    per_flag=1e3,
    counted="values that blocks put out, batch 1",
    count=lambda block, shape: prod(block.output_shape(shape)),
)
