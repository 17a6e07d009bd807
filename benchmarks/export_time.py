"""CPU seconds from a network to a checked ONNX graph, in a fresh process each time, by both of PyTorch's exporters.

    python -m benchmarks.export_time [--rounds 3] [--resolution 224]

"before" is the dynamo exporter with every batch norm traced and folded afterwards; "dynamo" folds them first; "legacy"
is the default of export.py. All three pass the same checks and give as many nodes. Each takes a turn per round, and
starts with PyTorch imported but no exporter. Timed in CPU seconds of one thread, which hold on a busy machine; the last
line is JSON, and the exit status is 1 if the default is not at least four times as fast as before.
"""

import argparse
import json
import os
import random
import statistics
import subprocess
import sys
import time
from collections.abc import Sequence

SPACES = ("proxylessnas", "spos")
VARIANTS = {"before": "dynamo", "dynamo": "dynamo", "legacy": "legacy"}
TARGET = 4.0


def one(variant: str, name: str, resolution: int) -> dict[str, float]:
    """Seconds and nodes of one export, in this process."""
    import torch  # noqa: PLC0415 - its import is not counted, the exporters' is

    from supernet import Network, build_space  # noqa: PLC0415

    torch.set_num_threads(1)
    space = build_space(name, resolution=resolution)
    architecture = space.canonical(space.sample(random.Random(0)))
    network = Network(space.decode(architecture), 3).eval()
    start = time.process_time()
    from deployment import onnx_export  # noqa: PLC0415

    if variant == "before":
        setattr(onnx_export, "fold_batch_norms", lambda network: network)  # noqa: B010 - no name for others to use
    model = onnx_export.to_onnx(network, space.image(architecture), exporter=VARIANTS[variant], opset=18)
    return {"seconds": time.process_time() - start, "nodes": len(model.graph.node)}


def main(argv: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--rounds", type=int, default=3, help="turns of each (default: 3)")
    parser.add_argument("--resolution", type=int, default=224, help="pixels (default: 224)")
    parser.add_argument("--one", nargs=2, metavar=("VARIANT", "SPACE"), help=argparse.SUPPRESS)
    asked = parser.parse_args(argv)
    if asked.one:
        print(json.dumps(one(asked.one[0], asked.one[1], asked.resolution)))
        return 0
    medians: dict[str, dict[str, float]] = {}
    for space in SPACES:
        found: dict[str, list[float]] = {variant: [] for variant in VARIANTS}
        nodes = set()
        for _ in range(asked.rounds):
            for variant in VARIANTS:
                command = [sys.executable, "-m", "benchmarks.export_time", "--resolution", str(asked.resolution)]
                command += ["--one", variant, space]
                environment = os.environ | {"OMP_NUM_THREADS": "1"}
                said = subprocess.run(command, env=environment, capture_output=True, text=True, check=True).stdout
                result = json.loads(said.splitlines()[-1])
                found[variant].append(result["seconds"])
                nodes.add(result["nodes"])
        assert len(nodes) == 1, f"the exporters give {nodes} nodes"
        medians[space] = {variant: round(statistics.median(seconds), 2) for variant, seconds in found.items()}
        ratio = medians[space]["before"] / medians[space]["legacy"]
        shown = "  ".join(f"{variant} {seconds:.2f} s" for variant, seconds in medians[space].items())
        print(f"{space:14}{shown}  default: {ratio:.1f} times as fast as before")
    ratios = [seconds["before"] / seconds["legacy"] for seconds in medians.values()]
    print(json.dumps({"seconds": medians, "least_ratio": round(min(ratios), 2), "target": TARGET}))
    return 0 if min(ratios) >= TARGET else 1


if __name__ == "__main__":
    sys.exit(main())
