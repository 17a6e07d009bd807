"""Tables of published benchmarks: every network of a space trained before, looked up instead of trained.

`find_benchmark` reads one; the files are described in `search.tabular.files`, made from the public ones by
``python -m search.tabular convert`` and, with numbers that mean nothing, by ``python -m search.tabular generate``.
"""

from search.tabular.benchmark import Benchmark
from search.tabular.benchmarks import BENCHMARKS
from search.tabular.files import find_benchmark, write_benchmark

__all__ = ["BENCHMARKS", "Benchmark", "find_benchmark", "write_benchmark"]
