"""What can be wrong with a gate while it runs: a stable code, how bad it is, and what to do, in Vietnamese and in English.

The codes stand in the status file and in ``gate status --json``. A code, once
published, never changes its meaning; sentences may be improved.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import Final


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
        "Camera không nhìn thấy tấm đặt thẻ: bị che, tối, bẩn, mờ hoặc lệch (xem `eye.view`); lau kính, bỏ vật che, chỉnh lại camera.",
        "The camera does not see its plate: covered, dark, dirty, blurred or moved (`eye.view`). Wipe it, uncover it, set it right.",
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
