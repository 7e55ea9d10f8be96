"""Every error this program raises on purpose.

The docstring of a class is what a person reads: what happened and what to do
next. The message of an instance says on what and why. Each is also the
builtin that a caller would expect. Hostile input is never an error: it is a
``Rejection``.
"""

from __future__ import annotations


class GateError(Exception):
    """Something the gate needs is not as it should be."""

    @property
    def advice(self) -> str:
        """What to do next: the class's docstring on one line."""
        return " ".join((type(self).__doc__ or "").split())


class ConfigError(GateError, ValueError):
    """The configuration cannot be used. Mend the named key, then run `gate check-config FILE` again."""


class CameraMissing(GateError, OSError):
    """No camera answers. Check that its cable sits straight at both ends. The gate tries again by itself."""


class CameraStopped(GateError, OSError):
    """The camera no longer gives frames. The eye restarts it; if it happens daily, change cable or camera."""


class MissingPackage(GateError, ImportError):
    """A part of the system is not installed. Install the named package and start again."""


class LaptopOnly(GateError, ImportError):
    """A gate's package holds what a gate needs, and this is not in it."""


class DecoderBroken(GateError, RuntimeError):
    """The decoder misreads the bundled Vietnamese symbol, so it would mangle names. Install libzbar 0.23.1 or newer."""


class SourceUnreadable(GateError, OSError):
    """The frames cannot be read. Check that the folder or file exists and that this user may read it."""


class JournalError(GateError, OSError):
    """The record cannot be written. Decisions go on; look at the disk: full, read-only or failing."""


class JournalBusy(GateError, OSError):
    """Another gate process owns the record. Stop it first (`systemctl stop gate`), or give this one a journal of its own."""


class KeyUnusable(GateError, ValueError):
    """A key or certificate cannot be used. Put a good file in its place; `gate check-config` names it."""


class PinsUnusable(GateError, OSError):
    """The pins cannot be driven. Check [signals] pin_factory, the wiring, and that this user may use the GPIO chip."""


class BrokerMissing(GateError, OSError):
    """The program for a private broker is missing. Install the package `mosquitto`."""


class BrokerNotStarted(GateError, OSError):
    """The private broker does not start. Its own words stand in the message; most often another program has its port."""


class NotRunning(GateError, RuntimeError):
    """No gate is running here, or it hangs. Look at `systemctl status gate` and the log; start it with `gate run`."""


class Unsigned(GateError, ValueError):
    """The package is not signed by a key that this gate trusts. Do not install it by other means: ask where it came from."""


class UpdateRefused(GateError, RuntimeError):
    """The package is signed, but not for this gate now. The message says why; `dpkg -l gate` says what is installed."""


class EnrolmentRefused(GateError, RuntimeError):
    """The gate is not enrolled. Mend what is named (line, clock, card), then start it again; for a used claim write a new card."""
