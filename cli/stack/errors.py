"""The one error that starting or running the local stack can end with."""


class StackError(Exception):
    """The stack cannot start or go on; the text is one sentence that says what to do."""
