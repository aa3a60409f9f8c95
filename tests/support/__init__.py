"""Small jobs, networks and data that several tests use."""
