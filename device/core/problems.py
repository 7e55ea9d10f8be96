"""What can be wrong with a gate: a stable code, from when on, how bad it is, and what to do, in Vietnamese and in English.

The codes stand in the status file and in ``gate status --json``. A code, once
published, never changes its meaning; sentences may be improved.

Each threshold of "not well" stands here and nowhere else: the status, the
health message, the self-test and so the acceptance, and the province's report
of all gates ask this table. It is in the core because the province reads it
without anything of a gate.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Mapping


class Problem(StrEnum):
    """Stable codes."""

    EYE_SILENT = "eye_silent"
    VIEW = "view"
    STORAGE = "storage"
    SPACE = "space"
    SIGNALS = "signals"
    OFFLINE = "offline"
    HELD = "held"
    CERTIFICATE = "certificate"
    CLOCK = "clock"
    LIST = "list"
    SIBLINGS = "siblings"
    POWER = "power"
    HEAT = "heat"
    MEMORY = "memory"


class Severity(StrEnum):
    """Whether people at the gate are served."""

    OUT_OF_SERVICE = "out of service"
    DEGRADED = "degraded"
    WARNING = "warning"


@dataclass(frozen=True, slots=True)
class Advice:
    """How bad it is, what is wrong and what to do."""

    severity: Severity
    vi: str
    en: str


ADVICE: Final = {
    Problem.EYE_SILENT: Advice(
        Severity.OUT_OF_SERVICE,
        "Mắt đọc không trả lời; kiểm tra camera và cáp.",
        "The eye is silent: check the camera and its cable.",
    ),
    Problem.VIEW: Advice(
        Severity.DEGRADED,
        "Camera không thấy tấm đặt thẻ: bị che, tối, chói, bẩn, mờ, lệch (xem `eye.view`); lau kính, bỏ vật che, che nắng, chỉnh lại.",
        "The camera does not see its plate: covered, dark, dazzled, dirty, blurred, moved (`eye.view`). Wipe, uncover, shade, set right.",
    ),
    Problem.STORAGE: Advice(
        Severity.DEGRADED,
        "Không ghi được bền vững hoặc ghi quá chậm; thẻ nhớ bị đầy, bị khóa ghi hoặc hỏng: thay thẻ.",
        "The record is not durable, or takes too long; the card is full, read-only or failing: replace it.",
    ),
    Problem.SPACE: Advice(
        Severity.WARNING,
        "Thẻ nhớ gần đầy; xóa bớt tệp không thuộc về cổng.",
        "The card is nearly full: remove what is not the gate's.",
    ),
    Problem.SIGNALS: Advice(
        Severity.DEGRADED,
        "Không điều khiển được đèn hoặc còi; xem chân nào trong `gate status`, kiểm tra dây và [signals] chip.",
        "A lamp or the buzzer cannot be driven: `gate status` names it; check the wiring and [signals] chip.",
    ),
    Problem.OFFLINE: Advice(
        Severity.WARNING,
        "Chưa kết nối được với tỉnh; sự kiện được giữ lại. Kiểm tra mạng và [broker].",
        "No connection to the province; events are kept. Check the network and [broker].",
    ),
    Problem.HELD: Advice(
        Severity.WARNING,
        "Máy chủ không nhận sự kiện; báo cho tỉnh.",
        "The broker takes no events: tell the province.",
    ),
    Problem.CERTIFICATE: Advice(
        Severity.WARNING,
        "Chứng thư của cổng sắp hết hạn, đã hết hạn hoặc không đọc được; yêu cầu tỉnh cấp mới.",
        "The gate's certificate is near its end, expired or unreadable: have the province renew it.",
    ),
    Problem.CLOCK: Advice(
        Severity.WARNING,
        "Chưa biết giờ đúng; cần mạng đến máy chủ thời gian, hoặc chờ đồng bộ.",
        "The time is not known: a network to a time server is needed, or wait for it.",
    ),
    Problem.LIST: Advice(
        Severity.DEGRADED,
        "Thiếu danh sách, hoặc danh sách đã hết hạn (xem `lists`); báo tỉnh gửi lại.",
        "A list is missing or has expired (`lists`): have the province send it again.",
    ),
    Problem.SIBLINGS: Advice(
        Severity.WARNING,
        "Một cổng khác hoặc máy chủ của cơ sở im lặng; tạm thời không chặn ai qua hai lần. Kiểm tra cổng đó và mạng nội bộ.",
        "Another gate or the site's broker is silent: nobody is refused for passing twice. Check it and the local network.",
    ),
    Problem.POWER: Advice(
        Severity.WARNING,
        "Điện áp thấp; dùng bộ nguồn chính hãng và cáp ngắn.",
        "Under-voltage: use the official power supply and a short cable.",
    ),
    Problem.HEAT: Advice(
        Severity.WARNING,
        "Bộ xử lý quá nóng; che nắng, mở thông gió.",
        "The processor is too hot: shade it, let air in.",
    ),
    Problem.MEMORY: Advice(
        Severity.WARNING,
        "Bộ nhớ gần hết; khởi động lại, và báo cho tỉnh nếu lặp lại.",
        "Memory is nearly used up: restart, and tell the province if it happens again.",
    ),
}


class Grade(StrEnum):
    """How a figure or a tried part came out."""

    PASS = "pass"  # noqa: S105 - not a password
    WARN = "warn"
    """Somebody has to do something, and the gate works until then."""
    FAIL = "fail"
    """A gate in this state is not put into service."""


@dataclass(frozen=True, slots=True)
class Limit:
    """From when on a figure is not well, and which problem that is.

    A value beyond ``warn`` is a problem; one beyond ``fail`` fails the
    self-test, too, where that asks for the figure. ``high`` says which side
    is beyond: at or above them, or below them. ``per_unit`` of the figure's
    own unit are one of ``unit``, for people.
    """

    problem: Problem
    warn: float
    fail: float | None
    high: bool
    unit: str
    per_unit: int = 1

    def grade(self, value: float) -> Grade:
        """How this value is."""
        if self.fail is not None and self._beyond(value, self.fail):
            return Grade.FAIL
        return Grade.WARN if self._beyond(value, self.warn) else Grade.PASS

    def is_wrong(self, value: float | None) -> bool:
        """Whether the value is a problem. One that the machine does not offer is none."""
        return value is not None and self.grade(value) is not Grade.PASS

    def _beyond(self, value: float, limit: float) -> bool:
        return value >= limit if self.high else value < limit


RECORD_BUDGET_MS: Final = 150
"""So long a lamp waits for the record, where nothing else is configured."""

SPACE, HEAT, MEMORY, CERTIFICATE = "disk_free_bytes", "cpu_celsius", "memory_available_bytes", "certificate_days"
"""Figures by their names in the health message."""
SYNCED_WRITE, RECORD_WAIT = "synced_write_ms", "record_wait_ms"
"""What the self-test measures of a card, and how long an event has waited for it in the running gate."""

LIMITS: Final[Mapping[str, Limit]] = {
    # So much holds some 60,000 events (14,000 take 27 MiB, tests/faults/RESULTS.md): weeks for somebody to come by.
    SPACE: Limit(Problem.SPACE, 128 << 20, 64 << 20, high=False, unit="MiB", per_unit=1 << 20),
    # The Pi's firmware begins to slow the processor at 80 °C and does much more from 85 °C on (Raspberry Pi documentation, throttling).
    HEAT: Limit(Problem.HEAT, 80, 85, high=True, unit="°C"),
    # Gate and eye take 140 MiB together (tests/faults/RESULTS.md); with less left the kernel drops what it will read again at once.
    MEMORY: Limit(Problem.MEMORY, 32 << 20, None, high=False, unit="MiB", per_unit=1 << 20),
    # Renewal begins at day 30 of 90: a certificate with two weeks left has failed to renew for a month and a half.
    CERTIFICATE: Limit(Problem.CERTIFICATE, 14, 0, high=False, unit="days"),
    # A third of what the lamp waits for leaves room for two events at once.
    SYNCED_WRITE: Limit(Problem.STORAGE, RECORD_BUDGET_MS / 3, RECORD_BUDGET_MS, high=True, unit="ms"),
    # Far beyond any good card, and short enough that somebody who stands there sees it named.
    RECORD_WAIT: Limit(Problem.STORAGE, 1_000, None, high=True, unit="ms"),
}
"""By the figure. What has none, such as a silent eye, has no limit."""
