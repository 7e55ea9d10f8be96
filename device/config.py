"""GateConfig: the whole configuration of a gate, one TOML file, checked in full before anything starts.

Frozen, unknown keys refused, units in the names. The reference document is
generated from the descriptions here.
"""

from __future__ import annotations

import os
import tomllib
from datetime import date, time
from enum import StrEnum
from pathlib import Path
from typing import Annotated, Final, Literal, Self

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, StringConstraints, ValidationError, ValidationInfo, model_validator

from device.core.problems import RECORD_BUDGET_MS
from device.core.rules import ListUse, PassbackMode, Reliance
from device.core.types import Assurance, HealthEvent, Kind
from device.errors import ConfigError

CREDENTIAL: Final = "credential:"
"""Before the name of a key or certificate that the service manager hands over (systemd.exec(5), credentials)."""

CREDENTIAL_STORE: Final = Path("/etc/credstore")
"""Where the service manager finds credentials by name, and where they are read outside the service, by root."""


def _from_its_folder(path: Path, info: ValidationInfo) -> Path:
    """A relative path is meant from the folder of the configuration file; `credential:NAME` is a credential of the service."""
    if str(path).startswith(CREDENTIAL):
        return Path(os.environ.get("CREDENTIALS_DIRECTORY", CREDENTIAL_STORE)) / str(path).removeprefix(CREDENTIAL)
    base = (info.context or {}).get("base")
    return path if base is None else Path(base) / path


def _source_from_its_folder(source: str, info: ValidationInfo) -> str:
    """The same for the path in `folder:PATH` and `video:PATH`."""
    scheme, colon, path = source.partition(":")
    return f"{scheme}:{_from_its_folder(Path(path), info)}" if colon else source


FilePath = Annotated[Path, AfterValidator(_from_its_folder)]
GateId = Annotated[str, StringConstraints(pattern=r"^[a-z0-9-]{3,32}$")]
SiteId = Annotated[str, StringConstraints(pattern=r"^[a-z0-9-]{3,64}$")]
Pin = Annotated[int, Field(ge=0, le=57)]


class _Section(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid", use_attribute_docstrings=True)


class GateSection(_Section):
    """Which gate this is."""

    id: GateId
    """The gate's permanent id is the common name of its certificate and its name in every topic: 3 to 32 lower-case letters, digits or
    hyphens."""
    site: SiteId
    """The site's permanent id says nothing about the place: 3 to 64 lower-case letters, digits or hyphens."""
    lane: Annotated[str, StringConstraints(pattern=r"^[a-z0-9-]{1,16}$")] = "1"
    """The lane tells the gates of one site apart: 1 to 16 lower-case letters, digits or hyphens."""
    direction: Literal["in", "out", "both"] = "in"
    """People pass always `in`, always `out`, or with `both` each person in and out in turn."""
    runtime_dir: FilePath = Path("/run/gate")
    """The gate keeps its socket and its status file in this folder, which the system empties at boot."""


class CameraSection(_Section):
    """Where frames come from."""

    source: Annotated[str, StringConstraints(pattern=r"^(picamera2|folder:.+|video:.+)$"), AfterValidator(_source_from_its_folder)] = (
        "picamera2"
    )
    """Frames come from the camera (`picamera2`), from the PNG and JPEG files of a folder in order of name (`folder:PATH`) or from a video
    (`video:PATH`)."""
    model: Annotated[str, StringConstraints(pattern=r"^[a-z0-9_-]{1,32}$")] | None = None
    """The camera is one with this sensor: `imx708` is Camera Module 3, `imx219` Camera Module 2, `ov5647` Camera Module 1, `imx477` the
    High Quality Camera and `imx296` the Global Shutter Camera. A sensor that the gate does not know works with general values. Without
    the setting any camera is taken, and its sensor's values with it."""
    number: Annotated[int, Field(ge=0, le=7)] = 0
    """Of the cameras of that model, or of all, it is the one with this number, as `rpicam-hello --list-cameras` counts from 0: 1 is the
    second camera of a Pi 5."""
    width_px: Annotated[int, Field(ge=160, le=4608)] | None = None
    """A camera frame is so many pixels wide. Without `width_px` and `height_px` it is as large as the sensor's own mode: 2304x1296 of
    Camera Module 3, which reads a 16 mm card at 193 mm."""
    height_px: Annotated[int, Field(ge=120, le=3040)] | None = None
    """A camera frame is so many pixels high."""
    fps: Annotated[float, Field(gt=0, le=240)] = 15.0
    """The camera gives so many frames each second, and a folder or video is played at this rate. Frames that are too many for the decoders
    are skipped."""
    loop: bool = True
    """A folder or video begins again when it ends; with `false` every picture is seen once, however late."""
    exposures_us: Annotated[tuple[Annotated[int, Field(ge=20, le=200_000)], ...], Field(min_length=1, max_length=8)] = (1_000, 8_000)
    """Exposure times in microseconds are taken in turn, one for each frame: a short one for cards, a whole screen period for phones."""
    gain: Annotated[float, Field(ge=1, le=64)] = 4.0
    """The camera's analogue gain is fixed at this factor."""
    lens_positions_dioptre: Annotated[tuple[Annotated[float, Field(ge=0, le=32)], ...], Field(min_length=1, max_length=4)] = (5.5, 4.0)
    """Focus positions in dioptres (1/m) are taken in turn: 5.5 is 18 cm, 4.0 is 25 cm."""
    reference: Annotated[str, StringConstraints(min_length=1, max_length=64, pattern=r"^[ -~]+$")] | None = None
    """This is the text of a small QR code that is stuck to the edge of the target plate, always in view and nobody's code. By it the eye
    knows that its camera is alive, sharp and in its place, and says within half a minute when it is not. Without it the picture itself has
    to show that."""
    max_megapixels: Annotated[float, Field(gt=0, le=100)] = 25.0
    """A picture of more than so many million pixels is named, skipped and counted, never loaded."""

    @model_validator(mode="after")
    def _check(self) -> Self:
        if (self.width_px is None) != (self.height_px is None):
            raise ValueError("width_px and height_px belong together: one is missing")
        return self


class EyeSection(_Section):
    """The process that reads frames."""

    socket: FilePath | None = None
    """The gate waits at this Unix socket for an eye that runs separately, as the same user or in the group that owns the socket's folder;
    the packaged services use `/run/gate/eye/eye.sock`. Without it the gate starts an eye of its own."""
    silent_limit_s: Annotated[float, Field(ge=0.6, le=2.5)] = 2.0
    """After so many seconds without a sign of life from the eye the gate shows "out of service", and starts an eye of its own again."""
    cpu_share: Annotated[float, Field(ge=0.05, le=1.0)] = 0.6
    """Looking at frames takes at most this share of one processor core on average; beyond it frames are skipped, and the newest wins. Up to
    0.8 s of processor time can be saved up."""


class LampSection(_Section):
    """One lamp and the pin that lights it."""

    pin: Pin
    """The lamp is on the pin with this BCM number."""
    active_high: bool = True
    """The lamp is lit while the pin is high; with `false` while it is low."""
    pwm: bool = True
    """The lamp can be dimmed; `false` is for a lamp behind a relay or a photocoupler."""


class BuzzerSection(_Section):
    """The buzzer and the pin that sounds it."""

    pin: Pin
    """The buzzer is on the pin with this BCM number."""
    kind: Literal["active", "passive"] = "active"
    """`active` is a buzzer with one pitch of its own; `passive` is one that is driven with a tone."""
    active_high: bool = True
    """The buzzer sounds while the pin is high; with `false` while it is low."""


class RelaySection(_Section):
    """The relay that releases a door or turnstile."""

    pin: Pin
    """The relay is on the pin with this BCM number."""
    pulse_ms: Annotated[int, Field(ge=50, le=30_000)] = 500
    """The relay is held for so many milliseconds, and then released."""
    active_high: bool = True
    """The relay pulls while the pin is high; with `false` while it is low."""


class ButtonSection(_Section):
    """The technician's button, inside the case."""

    pin: Pin
    """The button connects the pin with this BCM number to ground."""
    hold_s: Annotated[float, Field(ge=0.2, le=30)] = 3.0
    """Held for so many seconds, the button opens the window in which an order is taken from the camera."""
    window_s: Annotated[int, Field(ge=10, le=3_600)] = 600
    """The window shuts so many seconds after the button was held, and at once when an order was taken."""


class SignalsSection(_Section):
    """Lamps, buzzer and relay."""

    pin_factory: Literal["lgpio", "mock"] = "lgpio"
    """`lgpio` drives the pins of a Pi; `mock` only pretends, for a laptop. The gate never guesses which of them is meant."""
    chip: str | None = None
    """The pins are those of the GPIO chip with this label (`pinctrl-rp1`, `pinctrl-bcm2711` …). Without it gpiozero chooses for the
    board."""
    kit: Literal["full", "basic"] = "full"
    """`full` has five lamps and the buzzer; `basic` has green, red and the buzzer, and shows amber as both lamps together."""
    profile: Literal["normal", "night", "noisy"] = "normal"
    """`normal` is for most places, `night` is dimmer and quieter, and `noisy` lets the light carry alone."""
    green: LampSection = LampSection(pin=17)
    """The green lamp says that a person may pass."""
    red: LampSection = LampSection(pin=27)
    """The red lamp says that a code is refused."""
    amber: LampSection | None = LampSection(pin=22)
    """The amber lamp says to hold the code closer, to see a person, or that the gate is out of service. Only the full kit has it."""
    blue: LampSection | None = LampSection(pin=23)
    """The blue lamp says that the gate is ready. Only the full kit has it."""
    white: LampSection | None = LampSection(pin=24)
    """The white lamp lights the card. Only the full kit has it."""
    buzzer: BuzzerSection = BuzzerSection(pin=18)
    """The buzzer says the same as the lamps to those who do not see them."""
    relay: RelaySection | None = None
    """The relay opens the door on each accept. Without this section nothing is opened."""
    button: ButtonSection | None = None
    """The button opens the window for an order. Without this section no order is taken from the camera."""

    def pins(self) -> dict[str, int]:
        """Pin numbers in use, by key."""
        parts = {name: getattr(self, name) for name in ("green", "red", "amber", "blue", "white", "buzzer", "relay", "button")}
        unused = {"amber", "blue", "white"} if self.kit == "basic" else set()
        return {name: part.pin for name, part in parts.items() if part is not None and name not in unused}

    @model_validator(mode="after")
    def _check(self) -> Self:
        seen: dict[int, str] = {}
        for name, pin in self.pins().items():
            if pin in seen:
                raise ValueError(f"pin {pin} is used twice: by {seen[pin]} and by {name}")
            seen[pin] = name
        if self.kit == "full" and (self.amber is None or self.blue is None):
            raise ValueError('kit = "full" needs amber and blue')
        return self


class Day(StrEnum):
    """Days of the week."""

    MON = "mon"
    TUE = "tue"
    WED = "wed"
    THU = "thu"
    FRI = "fri"
    SAT = "sat"
    SUN = "sun"


class OpeningHours(_Section):
    """One span of hours. A span whose end is before its start runs over midnight."""

    days: tuple[Day, ...] = tuple(Day)
    """The span begins on these days of the week."""
    start: time
    """The span begins at this local time, which belongs to it."""
    end: time
    """The span ends at this local time, which no longer belongs to it."""
    grace_before_min: Annotated[int, Field(ge=0, le=240)] = 0
    """Whoever comes up to so many minutes before the start still passes, and the event says `early`. In the hours of a window there is no
    grace."""
    grace_after_min: Annotated[int, Field(ge=0, le=240)] = 0
    """Whoever comes less than so many minutes after the end still passes, and the event says `late`. In the hours of a window there is no
    grace."""

    @model_validator(mode="after")
    def _check(self) -> Self:
        if self.start == self.end:
            raise ValueError("start and end are the same; leave opening_hours out for a gate that is always open")
        return self


Role = Annotated[int, Field(ge=0, le=23)]
Zone = Annotated[int, Field(ge=0, le=255)]


class WindowSection(_Section):
    """Other terms within some hours. The first window that holds now counts; what it leaves out stays as it is in `[policy]`."""

    hours: Annotated[tuple[OpeningHours, ...], Field(min_length=1)]
    """The terms of the window hold within these spans."""
    accept: tuple[Kind, ...] | None = None
    """Within the window codes of these kinds are accepted, and no others."""
    min_assurance: Assurance | None = None
    """Within the window the gate must be at least so sure of the identity."""
    roles: tuple[Role, ...] | None = None
    """Within the window signed badges of these roles may pass, and no others."""


class PassbackSection(_Section):
    """What is done about a person who comes in twice without having left, or leaves twice. With direction `both` nothing is done."""

    mode: PassbackMode = PassbackMode.OFF
    """`off` does nothing; `soft` lets pass, and the event says so; `timed` refuses for a while; `hard` refuses until the passage is
    forgiven. While another gate of the site is silent, nobody is refused."""
    timed_min: Annotated[float, Field(gt=0, le=1_440)] = 15.0
    """With `timed` the same way is refused for so many minutes after the passage; then it is let pass, and the event says so."""
    forget_h: Annotated[float, Field(gt=0, le=720)] = 16.0
    """A passage is forgiven so many hours after it."""
    forgive_at: time | None = None
    """All passages are forgiven at this local time of every day; without it only `forget_h` counts."""


class HealthSection(_Section):
    """Which health certificates count. The section needs `health_certificate` in `accept`, and keys in `[trust]`."""

    accept: tuple[HealthEvent, ...] = (HealthEvent.VACCINATION, HealthEvent.TEST, HealthEvent.RECOVERY)
    """A certificate may be about one of these: a `vaccination`, a negative `test` or a `recovery`."""
    vaccination_min_days: Annotated[int, Field(ge=0, le=3_650)] = 14
    """A vaccination with all its doses counts from so many days after the last dose on."""
    vaccination_max_days: Annotated[int, Field(ge=1, le=3_650)] = 270
    """A vaccination counts until so many days after the last dose, and then no longer."""
    recovery_min_days: Annotated[int, Field(ge=0, le=3_650)] = 11
    """A recovery counts from so many days after the first positive test on."""
    recovery_max_days: Annotated[int, Field(ge=1, le=3_650)] = 180
    """A recovery counts until so many days after the first positive test, and then no longer."""
    test_max_h: Annotated[float, Field(gt=0, le=8_760)] = 72.0
    """A negative test counts until so many hours after the sample was taken, and then no longer."""
    rapid_test_max_h: Annotated[float, Field(ge=0, le=8_760)] = 24.0
    """A negative rapid test counts until so many hours after the sample was taken; at 0 no rapid test counts."""


class ListSection(_Section):
    """One list of keyed hashes that the province signs and sends. It is refused unless `[trust] province` vouches for it."""

    name: Annotated[str, StringConstraints(pattern=r"^[a-z0-9-]{1,64}$")]
    """The list has this name in topics and files: 1 to 64 lower-case letters, digits or hyphens."""
    use: ListUse
    """`allow` lets only the listed pass; `deny` refuses the listed; `status` refuses the listed codes, because they were revoked."""
    ageing_h: Annotated[float, Field(gt=0, le=8_760)] = 24.0
    """A list is ageing from so many hours after it was issued on. When it expires stands in the list itself."""
    stale_h: Annotated[float, Field(gt=0, le=8_760)] = 168.0
    """A list is stale from so many hours after it was issued on, and always while the gate does not know the time."""
    on_ageing: Reliance = Reliance.USE
    """`use` relies on an ageing list as on a fresh one; `warn` does too, and the event says so; `refer` sends whom it would let pass to a
    person; `ignore` leaves it out, and the event says so."""
    on_stale: Reliance = Reliance.WARN
    """A stale list is treated in one of the ways of `on_ageing`: `use`, `warn`, `refer` or `ignore`."""
    on_expired: Reliance = Reliance.REFER
    """An expired list is treated in one of the ways of `on_ageing`: `use`, `warn`, `refer` or `ignore`."""
    on_missing: Literal[Reliance.REFER, Reliance.IGNORE] = Reliance.REFER
    """`refer` sends everybody to a person where the list never came or cannot be read; `ignore` decides without it, and the event says
    so."""

    @model_validator(mode="after")
    def _check(self) -> Self:
        if self.ageing_h > self.stale_h:
            raise ValueError("ageing_h is above stale_h")
        return self


class PolicySection(_Section):
    """Who may pass."""

    accept: tuple[Kind, ...] = (Kind.CITIZEN_CARD, Kind.NATIONAL_QR, Kind.HEALTH_INSURANCE)
    """Codes of these kinds are accepted. `bare_number` may be added; `site_badge`, `phone_code` and `health_certificate` need keys in
    `[trust]`."""
    min_assurance: Assurance = Assurance.DECLARED
    """The gate must be at least so sure of the identity, in rising order: `declared`, `listed`, `signed` or `signed-live`. Whoever is below
    it is refused."""
    duplicate_window_s: Annotated[float, Field(ge=0, le=86_400)] = 10.0
    """The same person within so many seconds of having passed was "just scanned", which is no second passage."""
    rearm_s: Annotated[float, Field(ge=0.1, le=10)] = 0.5
    """A code must have been out of view for so many seconds before it counts as shown again."""
    in_out_reset_h: Annotated[float, Field(gt=0, le=720)] = 16.0
    """With direction `both` a person comes in again after so many hours without a passage. Nobody counts as inside for longer."""
    opening_hours: tuple[OpeningHours, ...] = ()
    """People may pass within these spans; without any they may pass at every hour."""
    holidays: tuple[date, ...] = ()
    """On these local dates `holiday_hours` count instead of `opening_hours`."""
    holiday_hours: tuple[OpeningHours, ...] = ()
    """On holidays people may pass within these spans; without any the gate is closed."""
    swapped_days: dict[date, Day] = {}
    """These local dates have the hours of another day of the week, as when a working day is moved."""
    windows: tuple[WindowSection, ...] = ()
    """Within the hours of one of these windows other terms hold."""
    roles: tuple[Role, ...] | None = None
    """Signed badges of these roles (0 to 23) may pass; without the setting those of all roles may."""
    zones: tuple[Zone, ...] | None = None
    """Signed badges of these zones (0 to 255) may pass; without the setting those of all zones may."""
    capacity: Annotated[int, Field(ge=1, le=100_000)] | None = None
    """At most so many people may be inside at once, as far as this gate and those of `[siblings]` know; whoever would come in beyond it is
    refused. The count is of remembered passages, so it survives restarts. Without the setting there is no limit."""
    passback: PassbackSection = PassbackSection()
    """Passing twice the same way is judged by `[policy.passback]`."""
    health: HealthSection = HealthSection()
    """Health certificates are judged by the rules in `[policy.health]`."""
    lists: tuple[ListSection, ...] = ()
    """Each of these lists has a say in every decision."""
    unknown_clock: Literal["accept", "refer", "reject"] = "refer"
    """`accept`, `refer` or `reject` is the answer when a rule needs the time and the gate does not know it. A signed code is never rejected
    for it, and a code of the moment never accepted."""
    utc_offset_min: Annotated[int, Field(ge=-720, le=840)] = 420
    """All hours and dates are meant in a local time so many minutes east of UTC; in Viet Nam that is 420 all the year."""

    @model_validator(mode="after")
    def _check(self) -> Self:
        names = [item.name for item in self.lists]
        twice = next((name for name in names if names.count(name) > 1), None)
        if twice is not None:
            raise ValueError(f"the list {twice} is named twice")
        return self


class TrustSection(_Section):
    """Whose signatures count."""

    province: FilePath | None = None
    """Lists, keys and orders count when they are signed with one of the one to four public keys (Ed25519) in this PEM file, none of them
    the broker's. A line `signs: orders` or `signs: lists` before a key says that it is for nothing else. Without the file everything from
    the province but acknowledgements is refused."""
    keys: FilePath | None = None
    """This file is the signed list of public keys for badges, phone codes and health certificates. Without it none of these counts."""
    lists: FilePath = Path("/var/lib/gate/lists")
    """The gate keeps the lists that the policy names in this folder."""
    orders: FilePath = Path("/var/lib/gate/orders")
    """The gate notes in this folder what became of each order."""
    commissioned: FilePath = Path("/var/lib/gate/commissioned")
    """The gate keeps in this folder what it was told through its camera: its lane, direction and site, or a certificate after the old one
    had ended."""
    desired: FilePath = Path("/var/lib/gate/desired")
    """The gate keeps in this folder the configuration that the province desires, and the one before it."""


class PrivacySection(_Section):
    """What is kept of a person, and why."""

    site_key: FilePath
    """This file holds the site's key of 32 bytes as 64 hexadecimal digits: identity is stored only as a hash keyed with it. Like every key
    and certificate it may be `credential:NAME`, a credential that systemd hands over."""
    seal_to: FilePath | None = None
    """Identity is sealed to the province's public key (X25519 or P-256) in this PEM file. Without it no identity leaves the gate, sealed or
    not."""
    purpose: Annotated[str, Field(min_length=1, max_length=200)] = "access control"
    """Every event says with this text of at most 200 letters what the record is for."""
    legal_basis: Annotated[str, Field(min_length=1, max_length=200)] = "not stated"
    """Every event says with this text of at most 200 letters on what legal basis the record is kept."""


class JournalSection(_Section):
    """The record on the gate."""

    path: FilePath = Path("/var/lib/gate/journal.sqlite")
    """The record of events is this SQLite file."""
    max_rows: Annotated[int, Field(ge=100, le=10_000_000)] = 500_000
    """The record holds at most so many events. Beyond it the oldest are dropped, and each dropped range is itself an event."""
    max_mib: Annotated[int, Field(ge=4, le=65_536)] = 512
    """The record takes at most so many MiB. Beyond it the oldest events are dropped, as beyond `max_rows`."""
    retention_days: Annotated[float, Field(gt=0, le=3_650)] = 21.0
    """Events older than so many days are deleted for good, delivered or not; what was not delivered leaves a gap event."""
    budget_ms: Annotated[int, Field(ge=10, le=5_000)] = RECORD_BUDGET_MS
    """The lamp waits at most so many milliseconds for the record; then it is lit, and the delay is counted."""
    unsynced_grace_s: Annotated[float, Field(ge=0, le=3_600)] = 15.0
    """While the clock is not known, events wait at most so many seconds before they are published, so that they can go out with the right
    time."""
    strict: bool = False
    """The lamp waits for the record however long it takes, and when the record fails a person is referred instead of let pass."""


class BrokerSection(_Section):
    """The connection to the province's broker. It is encrypted with TLS and shows the gate's certificate, except on loopback."""

    host: Annotated[str, Field(min_length=1, max_length=253)]
    """The broker has this name or address."""
    port: Annotated[int, Field(ge=1, le=65_535)] = 8883
    """The broker listens on this TCP port."""
    ca: FilePath | None = None
    """The broker's certificate must be signed by the authority in this PEM file. Only a broker on loopback may go without."""
    cert: FilePath | None = None
    """The gate shows the broker the certificate in this PEM file; its common name is the gate's id."""
    key: FilePath | None = None
    """The gate's private key in this PEM file belongs to `cert`; it also signs events."""
    confirm: Literal["collector", "broker"] = "collector"
    """An event is confirmed by the `collector`, with an acknowledgement of its own, or already by the `broker` that has taken it."""
    keep_after_puback_h: Annotated[float, Field(ge=0, le=8_760)] = 72.0
    """With `confirm = "broker"` an event is kept for so many hours after the broker has taken it, and then forgotten."""
    first_connect_spread_s: Annotated[float, Field(ge=0, le=600)] = 30.0
    """The first connection after a start waits a random part of so many seconds, so that a town does not connect at once after a power
    cut."""
    retry_min_s: Annotated[float, Field(ge=0.05, le=60)] = 2.0
    """The wait between two attempts to connect is at least so many seconds, and at most three times the one before."""
    retry_max_s: Annotated[float, Field(ge=1, le=3_600)] = 45.0
    """The wait between two attempts to connect is at most so many seconds. With 45 s and what a hanging attempt takes, a gate is back
    within 90 s after the line is."""
    backlog_per_s: Annotated[float, Field(gt=0, le=100_000)] = 50.0
    """At most so many old events are sent each second, while live ones go first."""
    health_every_s: Annotated[float, Field(ge=1, le=3_600)] = 60.0
    """The gate sends its health message every so many seconds."""

    @property
    def tls(self) -> bool:
        """Whether the connection is encrypted: always, unless on loopback without an authority."""
        return self.ca is not None

    @model_validator(mode="after")
    def _check(self) -> Self:
        if self.ca is None and self.host not in {"127.0.0.1", "::1", "localhost"}:
            raise ValueError("ca, cert and key are needed: a connection without TLS is allowed only on loopback")
        if (self.cert is None) != (self.key is None):
            raise ValueError("cert and key belong together: one is missing")
        if self.ca is not None and self.cert is None:
            raise ValueError("cert and key are needed beside ca: the gate shows its certificate to the broker")
        if self.retry_min_s > self.retry_max_s:
            raise ValueError("retry_min_s is above retry_max_s")
        return self


class EnrolmentSection(_Section):
    """The broker at which the gate's certificate is renewed."""

    host: Annotated[str, Field(min_length=1, max_length=253)]
    """The broker for enrolment has this name or address."""
    port: Annotated[int, Field(ge=1, le=65_535)] = 8884
    """The broker for enrolment listens on this TCP port."""


class SiblingsSection(_Section):
    """The other gates of the site, on the site's own broker: for passing twice, and for how many are inside. All share one site key."""

    gates: Annotated[tuple[GateId, ...], Field(min_length=1, max_length=32)]
    """The other gates of the site have these ids, 1 to 32 of them."""
    host: Annotated[str, Field(min_length=1, max_length=253)]
    """The site's broker has this name or address."""
    port: Annotated[int, Field(ge=1, le=65_535)] = 8883
    """The site's broker listens on this TCP port."""
    ca: FilePath | None = None
    """The certificate of the site's broker must be signed by the authority in this PEM file. Only a broker on loopback may go without."""
    cert: FilePath | None = None
    """This gate shows the site's broker the certificate in this PEM file."""
    key: FilePath | None = None
    """The private key in this PEM file belongs to `cert`."""
    silent_after_s: Annotated[float, Field(ge=6, le=3_600)] = 20.0
    """A gate of which nothing was heard for so many seconds is silent: nobody is refused then for having passed twice, and the event says
    so."""

    @model_validator(mode="after")
    def _check(self) -> Self:
        if self.ca is None and self.host not in {"127.0.0.1", "::1", "localhost"}:
            raise ValueError("ca, cert and key are needed: a connection without TLS is allowed only on loopback")
        if (self.ca is None) != (self.cert is None) or (self.cert is None) != (self.key is None):
            raise ValueError("ca, cert and key belong together: one is missing")
        return self


class GateConfig(_Section):
    """Everything a gate is told."""

    gate: GateSection
    privacy: PrivacySection
    broker: BrokerSection | None = None
    """Without this section the gate works and keeps its record, and tells nobody."""
    enrolment: EnrolmentSection | None = None
    """Without this section the gate's certificate is not renewed."""
    siblings: SiblingsSection | None = None
    """Without this section the gate knows only who passed at itself."""
    camera: CameraSection = CameraSection()
    eye: EyeSection = EyeSection()
    signals: SignalsSection = SignalsSection()
    policy: PolicySection = PolicySection()
    trust: TrustSection = TrustSection()
    journal: JournalSection = JournalSection()

    @property
    def eye_socket(self) -> Path:
        """Where the eye and the gate meet."""
        return self.eye.socket or self.gate.runtime_dir / "eye.sock"


def load(path: Path) -> GateConfig:
    """The configuration in ``path``. Raises ConfigError that names the file, the key and what is wrong with it.

    Relative paths in the file are meant from the file's own folder.
    """
    return parse(read_tree(path), str(path), path.absolute().parent)


def read_tree(path: Path) -> dict[str, object]:
    """What stands in a TOML file, unchecked. Raises ConfigError that names the file."""
    try:
        text = path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigError(f"{path}: cannot be read: {error}") from error
    try:
        return tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        raise ConfigError(f"{path}: not TOML: {error}") from error


def parse(tree: dict[str, object], name: str, base: Path | None = None) -> GateConfig:
    """A checked configuration from parsed TOML. ``name`` stands in the error; relative paths are meant from ``base``."""
    try:
        return GateConfig.model_validate(tree, context={"base": base})
    except ValidationError as error:
        raise ConfigError("\n".join(_line(name, dict(item)) for item in error.errors(include_url=False))) from None


def _line(name: str, item: dict[str, object]) -> str:
    loc = item["loc"]
    key = ".".join(str(part) for part in loc) if isinstance(loc, tuple) else ""
    message = str(item["msg"]).removeprefix("Value error, ")
    hint = {"extra_forbidden": "no such key", "missing": "this key is needed"}.get(str(item["type"]), message)
    return f"{name}: {key}: {hint}"
