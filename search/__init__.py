"""Which network to pick: strategies, evaluators, cost limits, the archive and its report."""
