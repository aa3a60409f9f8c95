"""What a client computes: pure functions over model states (see shared/components.py)."""
