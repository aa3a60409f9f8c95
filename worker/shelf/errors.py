"""What goes wrong with a model on the shelf."""


class ShelfError(Exception):
    """It cannot be put or got; the text is one sentence with the remedy."""
