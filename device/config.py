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
    """Permanent id; also the common name of the gate's certificate and the name in every topic."""
    site: SiteId
    """Opaque permanent id of the site."""
    lane: Annotated[str, StringConstraints(pattern=r"^[a-z0-9-]{1,16}$")] = "1"
    """Lane within the site."""
    direction: Literal["in", "out", "both"] = "in"
    """Which way people pass: always in, always out, or in and out in turn for each person."""
    runtime_dir: FilePath = Path("/run/gate")
    """Folder for the socket and the status file; emptied at boot."""


class CameraSection(_Section):
    """Where frames come from."""

    source: Annotated[str, StringConstraints(pattern=r"^(picamera2|folder:.+|video:.+)$"), AfterValidator(_source_from_its_folder)] = (
        "picamera2"
    )
    """`picamera2`, `folder:PATH` (PNG and JPEG in order of name) or `video:PATH`."""
    width_px: Annotated[int, Field(ge=160, le=4608)] = 2304
    """Width of a camera frame. 2304x1296 reads a 16 mm card at 193 mm."""
    height_px: Annotated[int, Field(ge=120, le=2592)] = 1296
    """Height of a camera frame."""
    fps: Annotated[float, Field(gt=0, le=240)] = 15.0
    """Frames for each second; also the rate at which a folder or video is played. What is too much for the decoders is skipped."""
    loop: bool = True
    """Begin a folder or video again when it ends."""
    exposures_us: Annotated[tuple[Annotated[int, Field(ge=20, le=200_000)], ...], Field(min_length=1, max_length=8)] = (1_000, 8_000)
    """Exposure times taken in turn, one a frame: a short one for cards, a whole screen period for phones."""
    gain: Annotated[float, Field(ge=1, le=64)] = 4.0
    """Analogue gain, fixed."""
    lens_positions_dioptre: Annotated[tuple[Annotated[float, Field(ge=0, le=32)], ...], Field(min_length=1, max_length=4)] = (5.5, 4.0)
    """Focus positions taken in turn, in dioptres (1/m): 5.5 is 18 cm, 4.0 is 25 cm."""
    reference: Annotated[str, StringConstraints(min_length=1, max_length=64, pattern=r"^[ -~]+$")] | None = None
    """What a small QR code says that is stuck to the edge of the target plate, always in view. It is nobody's code: by it the eye knows
    that its camera is alive, sharp and in its place, and says within half a minute when not. Without it the picture has to show that."""
    max_megapixels: Annotated[float, Field(gt=0, le=100)] = 25.0
    """A picture with more pixels is named, skipped and counted, never loaded."""


class EyeSection(_Section):
    """The process that reads frames."""

    socket: FilePath | None = None
    """Unix socket on which a separately run eye is awaited, of the same user or of the group that its folder gives to it; the packaged
    services use `/run/gate/eye/eye.sock`. Without it the gate starts its own eye."""
    silent_limit_s: Annotated[float, Field(ge=0.6, le=2.5)] = 2.0
    """Without a sign of life for so long the gate shows "out of service", and restarts an eye of its own."""
    cpu_share: Annotated[float, Field(ge=0.05, le=1.0)] = 0.6
    """Of one processor core, what looking at frames may take on average; beyond it frames are skipped, the newest wins. Four fifths of a
    second can be saved up."""


class LampSection(_Section):
    """One lamp."""

    pin: Pin
    """BCM number of the pin."""
    active_high: bool = True
    """Whether the lamp is lit when the pin is high."""
    pwm: bool = True
    """Dimmable. False for a lamp behind a relay or a photocoupler."""


class BuzzerSection(_Section):
    """The buzzer."""

    pin: Pin
    """BCM number of the pin."""
    kind: Literal["active", "passive"] = "active"
    """`active` has one pitch of its own; `passive` is driven with a tone."""
    active_high: bool = True
    """Whether the buzzer sounds when the pin is high."""


class RelaySection(_Section):
    """The relay that releases a door or turnstile."""

    pin: Pin
    """BCM number of the pin."""
    pulse_ms: Annotated[int, Field(ge=50, le=30_000)] = 500
    """How long the relay is held."""
    active_high: bool = True
    """Whether the relay pulls when the pin is high."""


class ButtonSection(_Section):
    """The technician's button, inside the case."""

    pin: Pin
    """BCM number of the pin; the button connects it to ground."""
    hold_s: Annotated[float, Field(ge=0.2, le=30)] = 3.0
    """Held for so long, it opens the window in which an order is taken from the camera."""
    window_s: Annotated[int, Field(ge=10, le=3_600)] = 600
    """How long the window stays open."""


class SignalsSection(_Section):
    """Lamps, buzzer and relay."""

    pin_factory: Literal["lgpio", "mock"] = "lgpio"
    """`lgpio` on a Pi; `mock` pretends, on a laptop. Never guessed."""
    chip: str | None = None
    """Label of the GPIO chip (`pinctrl-rp1`, `pinctrl-bcm2711` …). Without it gpiozero's choice for the board."""
    kit: Literal["full", "basic"] = "full"
    """`full`: five lamps and the buzzer. `basic`: green, red and the buzzer; amber is both together."""
    profile: Literal["normal", "night", "noisy"] = "normal"
    """`night` is quiet, `noisy` lets the light carry alone."""
    green: LampSection = LampSection(pin=17)
    """Accept."""
    red: LampSection = LampSection(pin=27)
    """Reject."""
    amber: LampSection | None = LampSection(pin=22)
    """Look again, refer, out of service. Only in the full kit."""
    blue: LampSection | None = LampSection(pin=23)
    """Ready. Only in the full kit."""
    white: LampSection | None = LampSection(pin=24)
    """Light on the card. Only in the full kit."""
    buzzer: BuzzerSection = BuzzerSection(pin=18)
    """The buzzer."""
    relay: RelaySection | None = None
    """Opens the door on each accept, where one is fitted."""
    button: ButtonSection | None = None
    """Without it no order is taken from the camera."""

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
    """One span in which people may pass. A span whose end is before its start runs over midnight."""

    days: tuple[Day, ...] = tuple(Day)
    """Days on which the span begins."""
    start: time
    """From this local time on."""
    end: time
    """Until before this local time."""
    grace_before_min: Annotated[int, Field(ge=0, le=240)] = 0
    """Whoever comes so many minutes too early still passes; the event says `early`."""
    grace_after_min: Annotated[int, Field(ge=0, le=240)] = 0
    """Whoever comes so many minutes too late still passes; the event says `late`."""

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
    """When."""
    accept: tuple[Kind, ...] | None = None
    """Kinds of code that are accepted then."""
    min_assurance: Assurance | None = None
    """How sure the gate must be of the identity then."""
    roles: tuple[Role, ...] | None = None
    """Roles whose badges may pass then."""


class PassbackSection(_Section):
    """What is done about a person who comes in twice without having left, or leaves twice. Not with direction `both`."""

    mode: PassbackMode = PassbackMode.OFF
    """`off`; `soft` lets pass and says so in the event; `timed` refuses for a while; `hard` refuses until the passage is forgiven. While
    another gate of the site is silent, nobody is refused."""
    timed_min: Annotated[float, Field(gt=0, le=1_440)] = 15.0
    """With `timed`: minutes after the passage in which the same way is refused."""
    forget_h: Annotated[float, Field(gt=0, le=720)] = 16.0
    """A passage is forgiven after so many hours."""
    forgive_at: time | None = None
    """Local time at which all passages are forgiven, each day."""


class HealthSection(_Section):
    """Which health certificates count. Needs `health_certificate` in `accept`, and keys in `[trust]`."""

    accept: tuple[HealthEvent, ...] = (HealthEvent.VACCINATION, HealthEvent.TEST, HealthEvent.RECOVERY)
    """What a certificate may be about."""
    vaccination_min_days: Annotated[int, Field(ge=0, le=3_650)] = 14
    """A vaccination, with all its doses, counts from so many days after the last on."""
    vaccination_max_days: Annotated[int, Field(ge=1, le=3_650)] = 270
    """And so long."""
    recovery_min_days: Annotated[int, Field(ge=0, le=3_650)] = 11
    """A recovery counts from so many days after the first positive test on."""
    recovery_max_days: Annotated[int, Field(ge=1, le=3_650)] = 180
    """And so long."""
    test_max_h: Annotated[float, Field(gt=0, le=8_760)] = 72.0
    """A negative test counts so many hours."""
    rapid_test_max_h: Annotated[float, Field(ge=0, le=8_760)] = 24.0
    """A negative rapid test; 0 for none at all."""


class ListSection(_Section):
    """One list of keyed hashes that the province signs and sends. It is refused unless `[trust] province` vouches for it."""

    name: Annotated[str, StringConstraints(pattern=r"^[a-z0-9-]{1,64}$")]
    """Its name in topics and files."""
    use: ListUse
    """`allow`: only the listed pass; `deny`: the listed do not; `status`: the listed codes were revoked."""
    ageing_h: Annotated[float, Field(gt=0, le=8_760)] = 24.0
    """So many hours after it was issued a list is ageing. When it expires stands in the list itself."""
    stale_h: Annotated[float, Field(gt=0, le=8_760)] = 168.0
    """And stale. Without a known time every list is."""
    on_ageing: Reliance = Reliance.USE
    """`use`; `warn`, and the event says so; `refer` whom it would let pass to a person; or `ignore` it, and the event says so."""
    on_stale: Reliance = Reliance.WARN
    """The same for a stale list."""
    on_expired: Reliance = Reliance.REFER
    """The same for an expired list."""
    on_missing: Literal[Reliance.REFER, Reliance.IGNORE] = Reliance.REFER
    """The same where there is none, or it cannot be read."""

    @model_validator(mode="after")
    def _check(self) -> Self:
        if self.ageing_h > self.stale_h:
            raise ValueError("ageing_h is above stale_h")
        return self


class PolicySection(_Section):
    """Who may pass."""

    accept: tuple[Kind, ...] = (Kind.CITIZEN_CARD, Kind.NATIONAL_QR, Kind.HEALTH_INSURANCE)
    """Kinds of code that are accepted. `bare_number` may be added; `site_badge`, `phone_code` and `health_certificate` need `[trust]`."""
    min_assurance: Assurance = Assurance.DECLARED
    """How sure the gate must be of the identity: `declared`, `listed`, `signed` or `signed-live`."""
    duplicate_window_s: Annotated[float, Field(ge=0, le=86_400)] = 10.0
    """The same person within so many seconds of having passed was "just scanned": no second passage."""
    rearm_s: Annotated[float, Field(ge=0.1, le=10)] = 0.5
    """A code must have been out of view for so long before it counts as shown again."""
    in_out_reset_h: Annotated[float, Field(gt=0, le=720)] = 16.0
    """With direction `both`: after so many hours without a passage a person comes in again. Nobody counts as inside for longer."""
    opening_hours: tuple[OpeningHours, ...] = ()
    """Spans in which people may pass; none means always."""
    holidays: tuple[date, ...] = ()
    """Local dates on which `holiday_hours` count instead."""
    holiday_hours: tuple[OpeningHours, ...] = ()
    """Spans in which people may pass on holidays; none means closed."""
    swapped_days: dict[date, Day] = {}
    """Local dates that have the hours of another day of the week, as when a working day is moved."""
    windows: tuple[WindowSection, ...] = ()
    """Hours with terms of their own."""
    roles: tuple[Role, ...] | None = None
    """Roles whose signed badges may pass; none given means all."""
    zones: tuple[Zone, ...] | None = None
    """Zones whose signed badges may pass; none given means all."""
    capacity: Annotated[int, Field(ge=1, le=100_000)] | None = None
    """How many may be inside at once, as far as this gate and those of `[site]` know. The count is of remembered passages: it survives
    restarts."""
    passback: PassbackSection = PassbackSection()
    health: HealthSection = HealthSection()
    lists: tuple[ListSection, ...] = ()
    """Lists that decide."""
    unknown_clock: Literal["accept", "refer", "reject"] = "refer"
    """What to do when a rule needs the time and the gate does not know it. A signed code is never rejected for it, and a code of the moment
    never accepted."""
    utc_offset_min: Annotated[int, Field(ge=-720, le=840)] = 420
    """Local time of all hours and dates, minutes east of UTC. Viet Nam is 420 all the year."""

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
    """PEM file of one or two public keys (Ed25519) that sign lists, keys and orders: none of them the broker's. A line `signs: orders` or
    `signs: lists` before a key says that it is for nothing else. Without the file everything from the province but acknowledgements is
    refused."""
    keys: FilePath | None = None
    """The signed list of public keys for badges, phone codes and health certificates. Without it these are not enabled."""
    lists: FilePath = Path("/var/lib/gate/lists")
    """Folder of the lists that the policy names; the gate keeps it itself."""
    orders: FilePath = Path("/var/lib/gate/orders")
    """Folder in which the gate notes what became of each order."""
    commissioned: FilePath = Path("/var/lib/gate/commissioned")
    """Folder of what the gate was told through its camera: its lane and direction, or a certificate after the old one had ended."""
    desired: FilePath = Path("/var/lib/gate/desired")
    """Folder of the configuration that the province desires, and of the one before it."""


class PrivacySection(_Section):
    """What is kept of a person, and why."""

    site_key: FilePath
    """File with the site's key of 32 bytes as 64 hexadecimal digits: identity is stored only as a hash keyed with it. Like every key and
    certificate, `credential:NAME` names one that systemd hands over."""
    seal_to: FilePath | None = None
    """PEM file with the province's public key (X25519 or P-256). Without it no identity leaves the gate, sealed or not."""
    purpose: Annotated[str, Field(min_length=1, max_length=200)] = "access control"
    """Purpose of the record; travels with each event."""
    legal_basis: Annotated[str, Field(min_length=1, max_length=200)] = "not stated"
    """Legal basis of the record; travels with each event."""


class JournalSection(_Section):
    """The record on the gate."""

    path: FilePath = Path("/var/lib/gate/journal.sqlite")
    """The journal file."""
    max_rows: Annotated[int, Field(ge=100, le=10_000_000)] = 500_000
    """Bound by number. Beyond it the oldest are dropped, and each dropped range is itself an event."""
    max_mib: Annotated[int, Field(ge=4, le=65_536)] = 512
    """Bound by size."""
    retention_days: Annotated[float, Field(gt=0, le=3_650)] = 21.0
    """Older events are deleted for good, delivered or not; what was not delivered leaves a gap event."""
    budget_ms: Annotated[int, Field(ge=10, le=5_000)] = RECORD_BUDGET_MS
    """How long the lamp waits for the record."""
    unsynced_grace_s: Annotated[float, Field(ge=0, le=3_600)] = 15.0
    """While the clock is not known, events wait so long before they are published, so that they can go out with the right time."""
    strict: bool = False
    """Wait for the record however long it takes, and refuse when it fails."""


class BrokerSection(_Section):
    """The road to the province. TLS with the gate's certificate, except on loopback."""

    host: Annotated[str, Field(min_length=1, max_length=253)]
    """Name or address of the broker."""
    port: Annotated[int, Field(ge=1, le=65_535)] = 8883
    """TCP port."""
    ca: FilePath | None = None
    """PEM file with the authority that signed the broker's certificate."""
    cert: FilePath | None = None
    """PEM file with the gate's certificate; its common name is the gate's id."""
    key: FilePath | None = None
    """PEM file with the gate's private key; it also signs events."""
    confirm: Literal["collector", "broker"] = "collector"
    """When an event may be forgotten: on the collector's own ack, or some hours after the broker's."""
    keep_after_puback_h: Annotated[float, Field(ge=0, le=8_760)] = 72.0
    """With confirm = "broker": how long an event is kept after the broker has taken it."""
    first_connect_spread_s: Annotated[float, Field(ge=0, le=600)] = 30.0
    """The first connection after start waits a random part of this, so that a town does not connect at once after a power cut."""
    retry_min_s: Annotated[float, Field(ge=0.05, le=60)] = 2.0
    """Shortest wait between attempts."""
    retry_max_s: Annotated[float, Field(ge=1, le=3_600)] = 45.0
    """Longest wait between attempts. With what a hanging attempt takes, a gate is back within 90 s after the line is."""
    backlog_per_s: Annotated[float, Field(gt=0, le=100_000)] = 50.0
    """Cap on old events sent for each second while live ones go first."""
    health_every_s: Annotated[float, Field(ge=1, le=3_600)] = 60.0
    """Period of the health message."""

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
    """Where certificates are renewed."""

    host: Annotated[str, Field(min_length=1, max_length=253)]
    """Name or address of the broker for enrolment."""
    port: Annotated[int, Field(ge=1, le=65_535)] = 8884
    """TCP port."""


class SiblingsSection(_Section):
    """The other gates of the site, over the site's own broker: for passing twice, and for how many are inside. All of one site key."""

    gates: Annotated[tuple[GateId, ...], Field(min_length=1, max_length=32)]
    """Their ids."""
    host: Annotated[str, Field(min_length=1, max_length=253)]
    """Name or address of the site's broker."""
    port: Annotated[int, Field(ge=1, le=65_535)] = 8883
    """TCP port."""
    ca: FilePath | None = None
    """PEM file with the authority that signed the broker's certificate; without it only on loopback."""
    cert: FilePath | None = None
    """PEM file with the certificate that this gate shows there."""
    key: FilePath | None = None
    """PEM file with its private key."""
    silent_after_s: Annotated[float, Field(ge=6, le=3_600)] = 20.0
    """A gate that was not heard for so long is silent: nobody is refused then for having passed twice, and the event says so."""

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
    """Without it the gate works and keeps its record, and tells nobody."""
    enrolment: EnrolmentSection | None = None
    """Without it the gate's certificate is not renewed."""
    siblings: SiblingsSection | None = None
    """Without it the gate knows only who passed here."""
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
