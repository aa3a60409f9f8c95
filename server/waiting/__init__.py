"""Why what has not ended waits: decided from plain values, which one query for each table finds."""
