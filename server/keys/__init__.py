"""Keys: who may call, for how long, and no longer."""
