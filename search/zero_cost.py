"""python -m search.zero_cost: What do untrained networks tell? See `search.ranking.untrained`."""

from config_file.errors import run_main
from search.ranking.untrained import main

if __name__ == "__main__":
    run_main(main)
