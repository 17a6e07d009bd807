"""python -m lookup_tables build|show ..."""

from config_file.errors import run_main
from lookup_tables.cli import main

if __name__ == "__main__":
    run_main(main)
