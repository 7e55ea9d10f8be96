"""From hostile bytes to text that the parsers may look at.

Nothing is guessed and nothing is repaired: bytes that are not UTF-8 are
refused, and spaces stay where they are, because Base45 contains the space.
"""

from __future__ import annotations

import unicodedata
from dataclasses import dataclass
from typing import Final

from device.core.reasons import Reason
from device.core.types import PAYLOAD_LIMIT_BYTES, Kind, Rejection

_BOM: Final = b"\xef\xbb\xbf"
_TRAILERS: Final = "\x00\r\n"
"""What card printers and readers leave after the content."""
_UNSAFE_CATEGORIES: Final = frozenset({"Cc", "Cs", "Co", "Zl", "Zp"})
_BIDI_CONTROLS: Final = frozenset("\u061c\u200e\u200f\u202a\u202b\u202c\u202d\u202e\u2066\u2067\u2068\u2069")


@dataclass(frozen=True, slots=True)
class Text:
    """A payload that is text.

    ``wire`` is what stood in the code, for checksums; ``nfc`` is its canonical
    composition (Unicode NFC), for everything else. Both are without a leading
    byte order mark and without trailing NUL, CR and LF. ``length`` is that of
    the payload in bytes.
    """

    wire: str
    nfc: str
    length: int

    def refuse(self, kind: Kind, reason: Reason) -> Rejection:
        """The answer to a code that is recognised and not taken."""
        return Rejection(kind, reason, self.length)


def read(payload: bytes) -> Text | Rejection:
    """The text in a payload, or why there is none: too long, not UTF-8, empty. Never raises."""
    length = len(payload)
    if length > PAYLOAD_LIMIT_BYTES:
        return Rejection(Kind.UNKNOWN, Reason.TOO_LONG, length)
    try:
        wire = payload.removeprefix(_BOM).decode("utf-8", "strict").rstrip(_TRAILERS)
    except UnicodeDecodeError:
        return Rejection(Kind.UNKNOWN, Reason.UNDECODABLE, length)
    if not wire:
        return Rejection(Kind.UNKNOWN, Reason.EMPTY, length)
    return Text(wire, unicodedata.normalize("NFC", wire), length)


def is_name(value: str) -> bool:
    """Whether a field can be a person's name as it stands.

    It says something, and holds neither control characters nor characters
    that turn the reading direction, which no name has and which would make it
    look like another. Anything else goes through exactly as it is: Jrai and
    Bahnar names hold apostrophes and letters that have no composed form.
    """
    return bool(value.strip()) and not any(unicodedata.category(char) in _UNSAFE_CATEGORIES or char in _BIDI_CONTROLS for char in value)
