"""The one training loop, its batches, its randomness, and the measuring of models."""
