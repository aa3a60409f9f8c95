"""A client's data: read, checked and turned into tensors, once."""
