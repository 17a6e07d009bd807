"""Files of options of other tools: `python search.py --config FILE.yml` reads them like our own.

A new one is one file with a `Form` and one entry in FOREIGN.
"""

from config_file.foreign import Form
from search.foreign.mf_nas import MF_NAS
from search.foreign.neural_compressor import NEURAL_COMPRESSOR
from search.foreign.vega import VEGA

FOREIGN: dict[str, Form] = {"vega": VEGA, "neural_compressor": NEURAL_COMPRESSOR, "mf_nas": MF_NAS}
"""Asked in this order: the first that recognises a file reads it."""
