"""The values that flow from a code held up to an event recorded.

Everything here is immutable. Times are integer nanoseconds and the clock they
were read from is part of the name.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import TYPE_CHECKING, TypeAlias

if TYPE_CHECKING:
    from device.core.reasons import Reason

Json: TypeAlias = "bool | int | float | str | list[Json] | dict[str, Json] | None"
JsonObject: TypeAlias = "Mapping[str, Json]"

PAYLOAD_LIMIT_BYTES = 2048
"""A payload longer than this is refused unread. A QR code can hold 2,953 bytes; no accepted class needs 2,048."""


class Kind(StrEnum):
    """The class of a code, as it stands in events (``data.kind``)."""

    CITIZEN_CARD = "citizen_card"
    NATIONAL_QR = "national_qr"
    HEALTH_INSURANCE = "health_insurance"
    BARE_NUMBER = "bare_number"
    SITE_BADGE = "site_badge"
    PHONE_CODE = "phone_code"
    COMMISSIONING_ORDER = "commissioning_order"
    HEALTH_CERTIFICATE = "health_certificate"
    SMART_HEALTH_CARD = "smart_health_card"
    TRAVEL_HEALTH_PROOF = "travel_health_proof"
    PAYMENT = "payment"
    UTILITY = "utility"
    PLACE = "place"
    WEB_ADDRESS = "web_address"
    UNKNOWN = "unknown"


class Verdict(StrEnum):
    """What was decided about one showing of one code."""

    ACCEPT = "accept"
    REJECT = "reject"
    REFER = "refer"


class Direction(StrEnum):
    """Which way a person passed."""

    IN = "in"
    OUT = "out"


class Assurance(StrEnum):
    """How sure the gate is of the identity, weakest first."""

    DECLARED = "declared"
    LISTED = "listed"
    SIGNED = "signed"
    SIGNED_LIVE = "signed-live"


class Sign(StrEnum):
    """What the lamps and the buzzer say: one row each of the signal score."""

    READY = "ready"
    UNREADABLE = "unreadable"
    ACCEPT_IN = "accept_in"
    ACCEPT_OUT = "accept_out"
    ALREADY = "already"
    REJECT = "reject"
    REFER = "refer"
    OUT_OF_SERVICE = "out_of_service"
    COMMISSIONING = "commissioning"
    ORDER_TAKEN = "order_taken"


class Sex(StrEnum):
    """As printed on the document."""

    MALE = "male"
    FEMALE = "female"


class SubjectClass(StrEnum):
    """Which number identifies the person; hashed together with the number."""

    CITIZEN = "citizen"
    NATIONAL_QR = "qid"
    HEALTH_INSURANCE = "bhyt"
    BADGE = "badge"
    HEALTH_CERTIFICATE = "certificate"


class DatePrecision(StrEnum):
    """How much of a date the document states."""

    DAY = "day"
    YEAR = "year"
    MASKED = "masked"


@dataclass(frozen=True, slots=True)
class PartialDate:
    """A date as a document states it.

    ``text`` is ISO 8601 (``1990-01-31``) or, by ``precision``, its known part
    (``1990``).
    """

    text: str
    precision: DatePrecision


class Cause(StrEnum):
    """Why a code that is in view cannot be read. Stable: counted in the health message."""

    TOO_FAR = "too_far"
    TOO_NEAR = "too_near"
    BLURRED = "blurred"
    GLARE = "glare"
    DARK = "dark"
    BANDED = "banded"
    UNREADABLE = "unreadable"


class View(StrEnum):
    """Whether the camera sees what it was put up to see. Stable: in status, health and audit."""

    OK = "ok"
    DARK = "dark"
    BRIGHT = "bright"
    COVERED = "covered"
    BLURRED = "blurred"
    MOVED = "moved"
    MISSING = "missing"


@dataclass(frozen=True, slots=True)
class Box:
    """Where a symbol stands in its frame, in pixels of that frame: the upright rectangle around it."""

    left: int
    top: int
    width: int
    height: int

    @property
    def area(self) -> int:
        """Square pixels."""
        return self.width * self.height


@dataclass(frozen=True, slots=True, repr=False)
class Sighting:
    """One symbol read in one frame. It lives only until it is decided.

    ``taken_ns`` and ``read_ns`` are CLOCK_MONOTONIC, which both processes
    share: when the frame was taken, and when the decoder had the bytes.
    ``frame`` counts the frames since the eye started. ``step`` names the rung
    of the ladder that read it. ``partial`` marks one part of a
    structured-append set, whose bytes are not a whole message.
    """

    payload: bytes
    frame: int
    taken_ns: int
    read_ns: int
    box: Box
    step: str
    partial: bool = False

    def __repr__(self) -> str:
        """Without the payload, so that no log line can hold one."""
        return f"Sighting(frame={self.frame}, bytes={len(self.payload)}, step={self.step!r})"


@dataclass(frozen=True, slots=True)
class SignedTerms:
    """What a signature vouches for beside the identity. Times are seconds since 1970, None where nothing limits them.

    ``role`` and ``zone`` are the site's own numbers. ``live`` marks a code
    that is made anew every ``period_s`` and may be used once: it is good for
    one period more at the beginning, and ``once`` is what it is known by.
    """

    not_before_s: int | None = None
    not_after_s: int | None = None
    role: int | None = None
    zone: int | None = None
    period_s: int = 0
    once: bytes | None = None

    @property
    def live(self) -> bool:
        """Whether it is a code of the moment."""
        return self.once is not None


class HealthEvent(StrEnum):
    """What a health certificate is about. Medical: never in an event."""

    VACCINATION = "vaccination"
    TEST = "test"
    RECOVERY = "recovery"


@dataclass(frozen=True, slots=True, repr=False)
class HealthStatement:
    """The medical content of a certificate, for the rules of a site and nothing else: never logged, stored or sent.

    ``at_s`` is when it happened, in seconds since 1970 (a day without an hour
    counts from its first second in UTC). ``complete`` is of a vaccination:
    all doses; ``negative`` and ``rapid`` are of a test.
    """

    event: HealthEvent
    at_s: int
    complete: bool = False
    negative: bool = False
    rapid: bool = False

    @property
    def counts(self) -> bool:
        """Whether it can count at all: all doses, or nothing found."""
        return self.event is HealthEvent.RECOVERY or (self.complete if self.event is HealthEvent.VACCINATION else self.negative)

    def __repr__(self) -> str:
        """Without anything personal."""
        return "Health()"


@dataclass(frozen=True, slots=True, repr=False)
class Credential:
    """An accepted class of code, parsed. Holds a person's data: never logged, never stored in the clear.

    ``number`` within ``subject_class`` is what identifies the person.
    ``variant`` tells forms of one kind apart (``7``, ``11``, ``masked``,
    ``new``, ``old``). ``warnings`` are stable codes for implausible but
    possible content (``sex_mismatch``, ``birth_year_mismatch``,
    ``birth_in_future`` …): they travel with the event and refuse nobody.
    ``claim`` is of a signed code whose signature is good; whether it is
    valid now is for the rules, which know the time.
    """

    kind: Kind
    variant: str
    subject_class: SubjectClass
    number: str
    name: str | None = None
    birth: PartialDate | None = None
    sex: Sex | None = None
    issued: PartialDate | None = None
    assurance: Assurance = Assurance.DECLARED
    warnings: tuple[str, ...] = ()
    claim: SignedTerms | None = None
    health: HealthStatement | None = None

    def __repr__(self) -> str:
        """Without anything personal."""
        return f"Credential(kind={self.kind.value!r}, variant={self.variant!r})"


@dataclass(frozen=True, slots=True)
class Rejection:
    """A code that names nobody whom this gate could admit. Nothing of its content is kept but its length in bytes."""

    kind: Kind
    reason: Reason
    length: int


@dataclass(frozen=True, slots=True)
class ClockReading:
    """All the clocks of one moment.

    ``boot_ns`` is CLOCK_BOOTTIME of the boot named by ``boot_id``; ``wall_ns``
    is the raw CLOCK_REALTIME since 1970 and means something only when
    ``trusted`` (synchronised in this boot, or held over from it).
    ``held_over`` says that synchronisation has been lost since.
    ``uncertainty_ms`` is how far a trusted ``wall_ns`` may be off.
    """

    monotonic_ns: int
    boot_ns: int
    wall_ns: int
    boot_id: str
    trusted: bool
    held_over: bool = False
    uncertainty_ms: int = 0


@dataclass(frozen=True, slots=True)
class Passage:
    """The last time a person was let through, remembered across restarts for duplicates and for in/out in turn."""

    subject: str
    direction: Direction
    at: ClockReading


@dataclass(frozen=True, slots=True)
class Decision:
    """What was decided about one showing, and why.

    ``direction`` is None when nobody passed: a rejection, a referral, or a
    code that was just scanned. ``subject`` is the keyed hash (lower-case hex),
    None for a rejected payload. ``sign`` is what the lamps answer.
    """

    verdict: Verdict
    reason: Reason
    sign: Sign
    kind: Kind
    variant: str = ""
    direction: Direction | None = None
    assurance: Assurance | None = None
    subject: str | None = None
    warnings: tuple[str, ...] = ()


class Channel(StrEnum):
    """Which topic below ``up/`` a journalled event is published on."""

    CHECKIN = "checkin"
    AUDIT = "audit"


@dataclass(frozen=True, slots=True)
class Entry:
    """One thing to be recorded. ``data`` is the event's data member as it will be published, but for the chain.

    An entry that is not to be ``kept`` is dropped when the disk fails, instead
    of being held in memory until it is back: what it says did not come true.
    (Where a commit fails after it reached the disk, the entry is there.)
    """

    channel: Channel
    data: JsonObject
    at: ClockReading
    passage: Passage | None = None
    kept: bool = True


@dataclass(frozen=True, slots=True)
class Stored:
    """An entry with its place in the record, as it is handed to whoever makes the published body of it.

    ``id`` is a UUIDv7 and never an order; the order is ``seq`` within ``epoch``.
    """

    epoch: str
    seq: int
    id: str
    channel: Channel
    data: JsonObject
    at: ClockReading


@dataclass(frozen=True, slots=True)
class Receipt:
    """Proof that an entry is durable: its place in the record."""

    epoch: str
    seq: int
