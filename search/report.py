"""python -m search.report: Compare searches in one page. See `search.reporting`."""

from config_file.errors import run_main
from search.reporting.report import main

if __name__ == "__main__":
    run_main(main)
