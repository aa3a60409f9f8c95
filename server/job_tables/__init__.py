"""A job's results as flat tables, while it runs and afterwards."""
