"""What a client's data are like, before anything trains; no sample leaves the machine."""
