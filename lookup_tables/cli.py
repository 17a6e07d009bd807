"""python -m lookup_tables build --metric flops --search-space proxylessnas
python -m lookup_tables show tables/proxylessnas-flops-224.json
"""

import sys
from collections.abc import Callable, Sequence

from config_file.errors import choose
from lookup_tables.build import build
from lookup_tables.latency.fit import fit
from lookup_tables.latency.kit import import_table, kit
from lookup_tables.table_options import PROG
from lookup_tables.table_text import show

COMMANDS: dict[str, Callable[[Sequence[str]], None]] = {
    "build": build,
    "kit": kit,
    "import": import_table,
    "fit": fit,
    "show": show,
}
"""By name: the word after `python -m lookup_tables`."""


def main(argv: Sequence[str] | None = None) -> None:
    """Run a command.

    Raises:
        UserError: an unknown command, or whatever the user can mend.
    """
    words = list(sys.argv[1:] if argv is None else argv)
    if not words or words[0] in ("-h", "--help"):
        print(f"usage: {PROG} {{{','.join(COMMANDS)}}} ...\n\nWhat the networks of a search space cost.\n")
        for name, command in COMMANDS.items():
            print(f"  {name:8}{(command.__doc__ or '').splitlines()[0]}")
        print(f"\n{PROG} COMMAND --help says more.")
        return
    command = choose("command", words[0], COMMANDS)
    try:
        command(words[1:])
    except KeyboardInterrupt as interrupt:
        raise KeyboardInterrupt(str(interrupt) or "a table is written whole or not at all") from None
