"""Trials: networks of a search that are trained for real, each in files of its own, as far as a fidelity says."""
