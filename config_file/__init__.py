"""Settings of a run and where the run lives: options, YAML presets, run folders, clear errors.

The lowest room: it imports no other room, and importing it does not import torch.
"""
