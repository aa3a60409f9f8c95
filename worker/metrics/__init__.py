"""What is measured of a model's outputs: one module for each kind of figure."""
