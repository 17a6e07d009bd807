"""Scores as sums over decisions: fitted to ranks, chosen by cross-validation, with exact optima and fronts."""
