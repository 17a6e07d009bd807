"""Commands of one tool, `python -m TOOL COMMAND ...`: which one is meant, and what there is."""

import sys
from collections.abc import Callable, Mapping, Sequence

from config_file.errors import choose

Command = Callable[[Sequence[str]], None]


def run_command(
    prog: str, about: str, commands: Mapping[str, Command], argv: Sequence[str] | None, interrupted: str
) -> None:
    """Run the command that the first word names; without one, or with --help, say what there is.

    Args:
        prog: the words before that command.
        about: the tool in a sentence.
        commands: by name; the first line of a docstring is what the list says of it.
        argv: the words after `prog`; None: those of this process.
        interrupted: what Ctrl-C says where the command itself says nothing.

    Raises:
        UserError: an unknown command, or whatever the user can mend.
    """
    words = list(sys.argv[1:] if argv is None else argv)
    if not words or words[0] in ("-h", "--help"):
        print(f"usage: {prog} {{{','.join(commands)}}} ...\n\n{about}\n")
        width = max(map(len, commands)) + 1
        for name, command in commands.items():
            print(f"  {name:{width}}{(command.__doc__ or '').splitlines()[0]}")
        print(f"\n{prog} COMMAND --help says more.")
        return
    command = choose("command", words[0], commands)
    try:
        command(words[1:])
    except KeyboardInterrupt as interrupt:
        raise KeyboardInterrupt(str(interrupt) or interrupted) from None
