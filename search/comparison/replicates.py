"""Replicated searches: the finished one, and the same with other seeds, over the same supernet."""

from dataclasses import replace
from functools import partial
from pathlib import Path

from config_file.errors import UserError
from config_file.fields import options_of
from config_file.loader import load
from config_file.plugins import is_reference
from config_file.ranks import on_all
from config_file.run_mark import OPTIONS, has_begun
from config_file.stages import STAGES, stage_path
from search.cli import search_stage
from search.comparison.options import VerdictOptions
from search.options import SearchOptions
from search.reporting.finished_search import FinishedSearch, read_search


def folders(options: VerdictOptions, source: Path) -> list[tuple[int, Path]]:
    """(seed, folder) of each search: the finished one, then those beside it."""
    seed = load(SearchOptions, source / OPTIONS).random_seed if options.searches > 1 else options.random_seed
    others = [
        (seed + more, source.with_name(f"{source.name}-seed{seed + more}")) for more in range(1, options.searches)
    ]
    return [(seed, source), *others]


def searched(folder: Path) -> bool:
    """True where a finished search is."""
    return (folder / STAGES["search"].result).is_file()


def replicate(options: VerdictOptions, source: Path) -> list[FinishedSearch]:
    """The searches; those that are not there are run, those that were interrupted go on.

    Raises:
        UserError: one that is there was of other options, or one needs code of the user's own.
        KeyboardInterrupt: Ctrl-C.
    """
    for seed, folder in folders(options, source)[1:]:
        if on_all(partial(searched, folder)):
            _check_alike(source, folder)
        else:
            search_stage(_again(options, source, seed, folder))
    return [read_search(folder, options.search_space) for _, folder in folders(options, source)]


def _again(options: VerdictOptions, source: Path, seed: int, folder: Path) -> SearchOptions:
    """The options of the same search with another seed.

    Raises UserError where they name code of the user's own that was not typed in this command: no file names code.
    """
    first = load(SearchOptions, source / OPTIONS)
    for name, spec in options_of(type(first)).items():
        value = getattr(first, name)
        own = bool(spec.entries) and isinstance(value, str) and is_reference(value)
        if own and getattr(options, name, None) != value:
            raise UserError(
                f"--searches: the search used {spec.flag} {value}, code of your own that only a command can name: run "
                f"it again with that, --random-seed {seed} and --output {folder}"
            )
    supernet = stage_path(replace(first, output=str(source)), "supernet")
    begun = has_begun(folder)
    place = {"output": str(folder), "supernet": str(supernet), "results_csv": None}  # a table is of one search
    return replace(first, random_seed=seed, resume=begun, overwrite=False, **place)  # type: ignore[arg-type]


def _check_alike(first: Path, second: Path) -> None:
    ours, theirs = (load(SearchOptions, folder / OPTIONS) for folder in (first, second))
    same = {name: getattr(ours, name) for name in ("random_seed", "output", "supernet", "results_csv")}
    theirs = replace(theirs, **same)
    specs = options_of(type(ours)).items()
    flags = ", ".join(spec.flag for name, spec in specs if getattr(ours, name) != getattr(theirs, name))
    if flags:
        raise UserError(f"{second} is a search with other options than {first} ({flags}): remove it, or run it again")
