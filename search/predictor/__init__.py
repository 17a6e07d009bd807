"""Predictors that are kept: trained from the results of a search, asked, searched on, and the start of another one."""
