"""The pins of lamps, buzzer and relay, through gpiozero on the pin factory that the configuration names.

gpiozero is never left to choose a factory: each device is given its own. All
pins are off from the moment they are outputs, whatever level that is, and off
again when closed. A write that fails is counted, logged once until it works
again, and tried again by the next `Pins.apply`.
"""

from __future__ import annotations

import logging
import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from importlib import import_module
from pathlib import Path
from types import ModuleType
from typing import Any, Final, Generic, TypeAlias, TypeVar

from gpiozero import Button, DigitalOutputDevice, GPIOZeroError, PWMOutputDevice
from gpiozero.pins.mock import MockFactory, MockPWMPin

from device.config import ButtonSection, BuzzerSection, LampSection, RelaySection, SignalsSection
from device.core.player import Snapshot
from device.core.score import Lamp
from device.edges.machine.files import replace_durably
from device.edges.pins import rest
from device.errors import MissingPackage, PinsUnusable

log = logging.getLogger(__name__)

LAMP_PWM_HZ = 200
"""lgpio applies a new level at the end of a period, so a lamp waits up to 5 ms. Above 100 Hz no eye sees it flicker."""

LOUDEST_DUTY = 0.5
"""A passive buzzer is loudest when the pin is high for half of each period; volume is a share of that."""

DEV = Path("/dev")
"""The folder in which the GPIO chips are."""

V = TypeVar("V")

Tone: TypeAlias = tuple[int | None, float]
Part: TypeAlias = LampSection | BuzzerSection | RelaySection
Opened: TypeAlias = tuple[Any, tuple[type[Exception], ...], Any]
"""The pin factory, what its pins raise, and who pulls a relay without a thread of ours; None where nobody does."""


PRETENDED_STATES: Final = 500


class Wire(Generic[V]):
    """One pin: what of a snapshot it follows, and how that is written."""

    def __init__(self, name: str, follows: Callable[[Snapshot], V], write: Callable[[V], None]) -> None:
        """Nothing is written to the pin before the first ``apply``."""
        self.name = name
        self._follows = follows
        self._write = write
        self._written: V | None = None

    def apply(self, snapshot: Snapshot) -> None:
        """Write what the snapshot says, unless it is written already. Raises what the pin raises; then it counts as unwritten."""
        wanted = self._follows(snapshot)
        if wanted != self._written:
            self._written = None
            self._write(wanted)
            self._written = wanted


class PretendPin(MockPWMPin):  # type: ignore[misc]  # gpiozero has no types
    """A mock pin that remembers only its newest changes: gpiozero's own keeps all of them, which is 5 MiB in an hour of a busy gate."""

    def _change_state(self, value: float) -> bool:
        changed: bool = super()._change_state(value)
        if len(self.states) > 2 * PRETENDED_STATES:
            del self.states[:-PRETENDED_STATES]
        return changed


class Pins:
    """All pins of a gate. Raises PinsUnusable, or MissingPackage, when they cannot be had."""

    def __init__(self, section: SignalsSection, runtime_dir: Path | None = None, on_button: Callable[[], None] | None = None) -> None:
        """``runtime_dir`` is where lgpio may make its FIFO, unless the environment says so in LG_WD.

        ``on_button`` hears, in a thread of gpiozero's, that the button was held.
        """
        self.write_errors = 0
        self._failing: set[str] = set()
        self._wires: list[Wire[Any]] = []
        self._devices: list[Any] = []
        self._inputs: list[Any] = []
        self._factory, self._errors, self._relay_line = _open(section, runtime_dir)
        try:
            self._build(section)
            if self._relay_line is not None and runtime_dir is not None:
                _note_rest(section, self._factory.chip, runtime_dir)
            if section.button is not None and on_button is not None:
                self._listen(section.button, on_button)
        except PinsUnusable:
            self.close()
            raise

    @property
    def failing(self) -> tuple[str, ...]:
        """The names of pins whose last write failed."""
        return tuple(sorted(self._failing))

    def apply(self, snapshot: Snapshot) -> bool:
        """Write what has changed. Returns whether all pins are as the snapshot says."""
        for wire in self._wires:
            try:
                wire.apply(snapshot)
            except self._errors as error:
                self._failed(wire.name, error)
            else:
                self._worked(wire.name)
        return not self._failing

    def close(self) -> None:
        """Switch everything off and free the pins. A second call does nothing."""
        for device in reversed(self._devices):
            self._quietly(device.off)
            self._quietly(device.close)
        for one in self._inputs:
            self._quietly(one.close)
        self._devices.clear()
        self._inputs.clear()
        self._wires.clear()
        self._quietly(self._factory.close)

    def _build(self, section: SignalsSection) -> None:
        # The relay comes first: of all the pins it is the one that must not wait for another.
        numbers = section.pins()
        if section.relay is not None:
            self._add("relay", section.relay, self._relay)
        for lamp in Lamp:
            part = getattr(section, lamp.value)
            if lamp.value in numbers and part is not None:
                self._add(lamp.value, part, self._lamp)
        self._add("buzzer", section.buzzer, self._passive if section.buzzer.kind == "passive" else self._active)

    def _add(self, name: str, part: Part, make: Callable[[str, Any], Wire[Any]]) -> None:
        try:
            self._wires.append(make(name, part))
        except self._errors as error:
            raise PinsUnusable(f"signals.{name}: pin {part.pin}: {error}") from error

    def _listen(self, part: ButtonSection, held: Callable[[], None]) -> None:
        try:
            button = Button(part.pin, pull_up=True, hold_time=part.hold_s, pin_factory=self._factory)
        except self._errors as error:
            raise PinsUnusable(f"signals.button: pin {part.pin}: {error}") from error
        self._inputs.append(button)
        button.when_held = held

    def _relay(self, name: str, part: RelaySection) -> Wire[tuple[bool, int]]:
        if self._relay_line is None:
            switch = self._switch(part)
        else:
            line = self._relay_line(self._factory, part.pin, part.pulse_ms, active_high=part.active_high)
            self._devices.append(line)

            def switch(level: float) -> None:
                line.on() if level else line.off()

        # An opening while the door is open is written too: the pulse begins anew.
        return Wire(name, lambda snapshot: (snapshot.relay, snapshot.openings if snapshot.relay else 0), lambda now: switch(now[0]))

    def _lamp(self, name: str, part: LampSection) -> Wire[float]:
        lamp = Lamp(name)
        write = self._dimmer(part, LAMP_PWM_HZ) if dims(lamp, part) else self._switch(part)
        return Wire(name, lambda snapshot: snapshot.lamps[lamp], write)

    def _active(self, name: str, part: BuzzerSection) -> Wire[bool]:
        return Wire(name, lambda snapshot: snapshot.tone_hz is not None, self._switch(part))

    def _passive(self, name: str, part: BuzzerSection) -> Wire[Tone]:
        set_duty = self._dimmer(part, 1_000)
        device = self._devices[-1]

        def sound(tone: Tone) -> None:
            tone_hz, volume = tone
            if tone_hz is not None:
                device.frequency = tone_hz
            set_duty(LOUDEST_DUTY * volume if tone_hz is not None else 0.0)

        return Wire(name, lambda snapshot: (snapshot.tone_hz, snapshot.volume), sound)

    def _switch(self, part: Part) -> Callable[[float], None]:
        device = DigitalOutputDevice(part.pin, active_high=part.active_high, pin_factory=self._factory)
        self._devices.append(device)
        return lambda level: device.on() if level else device.off()

    def _dimmer(self, part: Part, frequency_hz: int) -> Callable[[float], None]:
        device = PWMOutputDevice(part.pin, active_high=part.active_high, frequency=frequency_hz, pin_factory=self._factory)
        self._devices.append(device)

        def write(level: float) -> None:
            device.value = level

        return write

    def _failed(self, name: str, error: Exception) -> None:
        self.write_errors += 1
        if name not in self._failing:
            self._failing.add(name)
            log.error("signals.%s: the pin cannot be written (%s); trying on", name, error)

    def _worked(self, name: str) -> None:
        if name in self._failing:
            self._failing.discard(name)
            log.info("signals.%s: the pin can be written again", name)

    def _quietly(self, action: Callable[[], None]) -> None:
        try:
            action()
        except self._errors as error:
            log.warning("closing the pins: %s", error)


def dims(lamp: Lamp, part: LampSection) -> bool:
    """Whether the lamp is driven by PWM. The light on the card never is: the camera would see it flicker."""
    return part.pwm and lamp is not Lamp.WHITE


def rest_levels(section: SignalsSection) -> dict[int, int]:
    """The physical level at which each output does nothing, by its BCM number."""
    parts = [getattr(section, name) for name in section.pins() if name != "button"]
    return {part.pin: 0 if part.active_high else 1 for part in parts}


def _note_rest(section: SignalsSection, chip: int, runtime_dir: Path) -> None:
    """For whoever puts the pins to rest when this process is dead. Without it they are taken all the same."""
    try:
        replace_durably(runtime_dir / rest.NOTE, rest.note(chip, rest_levels(section)).encode(), mode=0o644)
    except OSError as error:
        log.error("%s: %s; when the gate dies nobody puts its pins to rest", runtime_dir / rest.NOTE, error)  # noqa: TRY400 - one line says it


def _open(section: SignalsSection, runtime_dir: Path | None) -> Opened:
    """Open the pin factory that the configuration names. Returns it, and what its pins raise."""
    if section.pin_factory == "mock":
        # As board it pretends to be a Pi 4; a factory chosen by the environment is not asked.
        return MockFactory(revision="c03115", pin_class=PretendPin), (GPIOZeroError, OSError), None
    factory, errors, relay = _open_lgpio(section, runtime_dir)
    return factory, (GPIOZeroError, OSError, *errors), relay


def _open_lgpio(section: SignalsSection, runtime_dir: Path | None) -> Opened:
    lgpio_pins: Any = _import_lgpio(runtime_dir)
    errors: tuple[type[Exception], ...] = lgpio_pins.errors
    idle_high = {pin for pin, level in rest_levels(section).items() if level}
    if section.button is not None:
        idle_high.add(section.button.pin)
    try:
        chip = None if section.chip is None else lgpio_pins.chip_number(section.chip, DEV)
        return lgpio_pins.IdleFactory(chip, idle_high), errors, lgpio_pins.RelayLine
    except (GPIOZeroError, *errors) as error:
        raise PinsUnusable(f"signals.pin_factory: lgpio cannot open the GPIO chip: {error}") from error


def _import_lgpio(runtime_dir: Path | None) -> ModuleType:
    """Only on a Pi, and only when named: lgpio makes its FIFO as it is imported."""
    if runtime_dir is not None:
        os.environ.setdefault("LG_WD", str(runtime_dir))
    try:
        with _same_folder():
            return import_module("device.edges.pins.lgpio")
    except OSError as error:
        raise PinsUnusable(f"lgpio cannot make its FIFO in {os.environ.get('LG_WD', '.')}: {error}") from error
    except (ImportError, AttributeError) as error:
        raise MissingPackage(f"lgpio cannot be imported ({error}): install the package python3-lgpio") from error


@contextmanager
def _same_folder() -> Iterator[None]:
    """Come back to the working directory: importing lgpio moves the process to LG_WD, and relative paths would mean others."""
    before = Path.cwd()
    try:
        yield
    finally:
        os.chdir(before)
