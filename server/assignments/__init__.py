"""Assignments: claim, heartbeat, result, failure."""
