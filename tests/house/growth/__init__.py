"""Additions as a user would write them: each one small file outside of our packages, entered under a name."""
