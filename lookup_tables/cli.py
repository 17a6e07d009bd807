"""python -m lookup_tables build --metric flops --search-space proxylessnas
python -m lookup_tables show tables/proxylessnas-flops-224.json
"""

from collections.abc import Sequence

from config_file.subcommands import Command, run_command
from lookup_tables.build import build
from lookup_tables.latency.fit import fit
from lookup_tables.latency.kit import import_table, kit
from lookup_tables.table_options import PROG
from lookup_tables.table_text import show

COMMANDS: dict[str, Command] = {
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
    run_command(
        PROG, "What the networks of a search space cost.", COMMANDS, argv, "a table is written whole or not at all"
    )
