"""Versions: immutable maps from component to artifact, with lineage."""
