"""The doors that files from outside come through: one for each kind, each with one line for whatever goes wrong."""
