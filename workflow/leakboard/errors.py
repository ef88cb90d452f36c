"""The one error meant for people."""


class UserError(Exception):
    """Something the person at the keyboard can mend.

    The message names the file and key, says what was expected, and what to do. It is shown as it
    is, without a traceback.
    """
