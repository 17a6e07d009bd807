"""python -m search.rank: How well does a supernet rank networks? See `search.ranking`."""

from config_file.errors import run_main
from search.ranking.rank import main

if __name__ == "__main__":
    run_main(main)
