"""The job from images to a script that runs the network, and what looks at it: each command a process of its own.

In one process all modules are there once any command has imported them; a shell gives every command only its own. So
does a process that has imported what others wrote, which takes most of the time, and nothing of ours: each command is a
fork of that. (We import from the module of theirs in which a thing stands: nobody else can have imported it for us.)
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from supernet import build_space
from supernet.blocks import Block
from tests.house.test_imports import ROOT

ENVIRONMENT = {**os.environ, "OMP_NUM_THREADS": "1", "PYTHONPATH": str(ROOT)}
TITLE = ["--title", "t"]
SPACE = ["--search-space", "nasbench_macro", "--widths", "4,4,6,8,16"]
DATA = ["--dataset", "digits", "--resolution", "8"]
BEST = "runs/t/search/best.json"
COMMANDS = (
    ["train_supernet.py", *TITLE, *SPACE, *DATA, "--epochs", "1", "--threads", "1"],
    ["search.py", *TITLE, "--search-strategy", "random", "--random-iteration", "4", "--target-hc", "0.06"],
    ["retrain.py", *TITLE, "--epochs", "1", "--threads", "1"],
    ["export.py", *TITLE, "--threads", "1"],
    ["runs/t/export/classify.py", "runs/t/export/sample.png"],
    ["-m", "supernet", "--architecture", BEST],
    ["-m", "search.report", "runs/t"],
    ["-m", "search.rank", *TITLE, "--truth", "runs/t/search/results.csv", "--resamples", "20", "--plan"],
    ["-m", "search.verdict", *TITLE, "--epochs", "1", "--plan"],
    ["-m", "search.zero_cost", *TITLE, *SPACE, *DATA, "--zero-cost", "snip", "--of", "runs/t/search/archive.jsonl"],
    ["retrain.py", "--title", "u", *DATA, "--architecture", "runs/t/retrain/model.safetensors", "--plan"],
    ["-m", "lookup_tables", "build", *SPACE, "--resolution", "8", "--output", "flops.json"],
    ["-m", "lookup_tables", "show", "flops.json"],
)


ONE_AFTER_THE_OTHER = """
import atexit, gc, json, os, runpy, sys, traceback
import matplotlib.figure, onnxscript, sklearn.datasets, torch, torch._dynamo

def run(first, rest):
    if first == "-m":
        sys.argv, sys.path[0] = rest, os.getcwd()
        runpy.run_module(rest[0], run_name="__main__", alter_sys=True)
    else:
        script = os.path.join(root, first) if os.path.exists(os.path.join(root, first)) else first
        sys.argv, sys.path[0] = [script, *rest], os.path.dirname(os.path.abspath(script))
        runpy.run_path(script, run_name="__main__")

root, commands = json.load(sys.stdin)
assert not [name for name in sys.modules if name.partition(".")[0] in ("config_file", "supernet", "training")]
gc.collect()
gc.freeze()
for command in commands:
    child = os.fork()
    if not child:
        status = 1
        try:
            run(command[0], command[1:])
            status = 0
        except SystemExit as end:
            status = end.code or 0
        except BaseException:
            traceback.print_exc()
        atexit._run_exitfuncs()
        sys.stdout.flush()
        os._exit(status)  # to take apart what it had imported would take as long
    if os.waitpid(child, 0)[1]:
        sys.exit("failed: " + " ".join(command))
"""


@pytest.mark.slow
def test_every_command_by_itself(tmp_path: Path) -> None:
    done = subprocess.run(
        [sys.executable, "-c", ONE_AFTER_THE_OTHER],
        cwd=tmp_path,
        env=ENVIRONMENT,
        input=json.dumps([str(ROOT), COMMANDS]),
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr or done.stdout
    assert (tmp_path / "flops.json").exists()


def test_networks_as_data_are_read_by_who_has_imported_nothing_else() -> None:
    """Every kind of block that we ship; a kind enters itself when its module is imported."""
    networks = []
    for name in ("spos", "pfld", "fbnet_s"):
        space = build_space(name, num_classes=10)
        networks += [space.decode(tuple(d % size for size in space.sizes)).to_json() for d in range(max(space.sizes))]
    code = "import sys, json\nfrom supernet.spec import NetSpec\nfrom supernet.blocks import Block\n"
    code += "[NetSpec.from_json(text) for text in json.load(sys.stdin)]\nprint(json.dumps(sorted(Block.kinds)))"
    done = subprocess.run(
        [sys.executable, "-c", code],
        cwd=ROOT,
        env=ENVIRONMENT,
        input=json.dumps(networks),
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    ours = {kind for kind, block in Block.kinds.items() if block.__module__.partition(".")[0] == "supernet"}
    assert ours <= set(json.loads(done.stdout))
