"""What tests of attacks share: a mark of what they need left out, and a breach told from an accident."""
import contextlib
import os

# Programs in a test's own environment must be told too.
WEAKENED = {name: os.environ[name] for name in ("WHERRY_WEAKEN",) if name in os.environ}


class Breached(AssertionError):
    """The attack has worked. Anything else that a test fails by is an accident."""


@contextlib.contextmanager
def defended():
    """The assertions in its body are about the attack's success."""
    try:
        yield
    except AssertionError as error:
        raise Breached(str(error)) from error


def weakened_by(*names: str):
    """The attack must work where these defences are left out (src/base/weaken.h), all of them at once."""
    def mark(test):
        test.weakened_by = names
        return test
    return mark
