"""Speed and quality against a limit or a table; run by hand, never part of the tests."""
