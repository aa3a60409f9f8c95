"""The personal-model shelf: what a client has the server keep for it alone."""
