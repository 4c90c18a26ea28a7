"""The errors of the core: each says who is at fault.

StarlingError
  UsageError            the caller asked for something that cannot be done
  ProtocolError         the remote party sent something wrong
    DecodeError         bytes that are no such structure
    Invalid             a well-formed structure that breaks a clause; `rule` names it
    VerificationFailed  a signature, MAC or AEAD tag that does not verify; never says more
  Unsupported           valid, but not implemented or not negotiated here
  Pending               cannot be processed yet: wait and ask, never punish
  InternalError         a fault of this program
"""

from __future__ import annotations

import enum


class StarlingError(Exception):
    """The base of all errors of the core."""


class UsageError(StarlingError):
    """The caller's fault. `code` is a short word for programs, the text a sentence for people."""

    def __init__(self, message: str, code: str = "usage") -> None:
        super().__init__(message)
        self.code = code


class ProtocolError(StarlingError):
    """The remote party's fault."""


class DecodeError(ProtocolError):
    """Bytes that do not decode: cut short, too long, out of range, or with something left over."""


class Invalid(ProtocolError):
    """A structure that decodes but breaks a clause of a specification."""

    def __init__(self, rule: enum.Enum, detail: str = "") -> None:
        section, sentence = rule.value
        super().__init__(f"{rule.name} ({section}): {sentence}" + (f": {detail}" if detail else ""))
        self.rule = rule


class VerificationFailed(ProtocolError):
    """A signature, MAC or AEAD tag does not verify."""

    def __init__(self) -> None:
        super().__init__("verification failed")


class Unsupported(StarlingError):
    """A cipher suite, version, type or feature that is not supported or not negotiated."""


class Pending(StarlingError):
    """Something is needed first that may still come."""


class InternalError(StarlingError):
    """An invariant of this program does not hold."""
