"""A Hypothesis state machine over the real server: what it stands on, and its rules."""
