"""python -m search.verdict: Did the search help? See `search.comparison`."""

from config_file.errors import run_main
from search.comparison.verdict import main

if __name__ == "__main__":
    run_main(main)
