"""Behavioural suites for what others add to a search, as pytest classes to inherit."""
