"""The `tapestry` command: the local stack, the demo, and a thin client of the API."""
