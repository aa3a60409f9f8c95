"""Dry runs: what a job would need and cost, before anything is stored for it or trains."""
