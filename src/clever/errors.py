"""The one error a caller can mend."""


class InputError(ValueError):
    """What was given cannot be used. The message names the bad value and what would be valid.

    Everything that a user can get wrong raises this, before long work starts where that is possible; whatever else is
    raised is a defect of ours.
    """
