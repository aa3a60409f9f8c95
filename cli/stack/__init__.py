"""The local stack: real servers out of wheels and Tapestry's own processes, without containers."""
