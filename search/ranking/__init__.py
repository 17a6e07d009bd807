"""The ranking of networks by an evaluator, beside that of networks trained alone."""
