"""Rounds: who takes part, when one closes, what it published."""
