"""python train_supernet.py --title first --dataset cifar10 --search-space proxylessnas --sample-strategy fair

Train a supernet, the shared weights of all networks of a search space, into runs/<title>/supernet/. Without further
options it trains on the embedded digits. `--help` lists the options, `--plan` says what would run and how long it
takes, `--resume` goes on after an interruption as if there had been none. Afterwards: python search.py --title first
"""

from config_file.errors import run_main
from training.cli import main_train_supernet

if __name__ == "__main__":
    run_main(main_train_supernet)
