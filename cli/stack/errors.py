"""The errors that starting or running the local stack can end with."""


class StackError(Exception):
    """The stack cannot start or go on; the text is one sentence that says what to do."""


class ClientFileError(StackError):
    """A file or directory that was named for clients is none; nothing was started."""
