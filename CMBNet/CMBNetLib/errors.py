"""The errors a user can meet, each with the exit code the command line ends with."""

from __future__ import annotations


class CMBNetError(Exception):
    """A problem that is told to the user as one sentence. Any other exception that escapes is a bug."""

    exit_code = 1


class InputError(CMBNetError):
    """The scan, label map, file or argument cannot be used; the message says what was found and what to do."""

    exit_code = 2


class BundleError(InputError):
    """A model bundle is refused: its files, hashes, keys or shapes do not fit."""


class EnvironmentProblem(CMBNetError):
    """A package, memory or a device is missing; the message says how to get it."""

    exit_code = 3


class Cancelled(CMBNetError):
    """The user stopped the job."""

    exit_code = 4

    def __init__(self, message: str = "The job was cancelled.") -> None:
        super().__init__(message)
