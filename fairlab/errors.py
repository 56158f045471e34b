"""The one kind of error a user sees: a sentence that names what is wrong and what would be right; and the wish to stop."""


class FairLabError(Exception):
    """Something the user can mend. The message is one plain sentence; pages and CLI show it as it is."""


class Refused(FairLabError):
    """Asked for something that must not happen, e.g. starting a run twice or reading a newer workspace."""


class Damaged(FairLabError):
    """A file is not what its manifest or format says: truncated, flipped bits, other version."""


class Stopped(Exception):
    """Not an error: the run was asked to stop and has saved its state."""
