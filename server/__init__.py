"""The coordinator: the HTTP API and the process that drives jobs. Never imports torch."""
