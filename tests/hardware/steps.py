"""What only a real Raspberry Pi can show: each step with its words, its probe or question, and what it has to come to.

A step is data. A ``probe`` measures by itself; without one the person answers.
``limit`` judges a number: ``(lowest, highest)``, None for no bound.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Final, TypeAlias

from tests.hardware import probes

Value: TypeAlias = "float | str | bool"
Probe: TypeAlias = Callable[[], Value]


@dataclass(frozen=True)
class Step:
    """One thing to show. ``unit`` is of the number that a person or a probe gives; without it the answer is yes or no."""

    code: str
    vi: str
    en: str
    unit: str = ""
    limit: tuple[float | None, float | None] = (None, None)
    expected: str | None = None
    probe: Probe | None = field(default=None, compare=False)

    def good(self, value: Value) -> bool:
        """Whether the value is what it has to be."""
        if isinstance(value, bool):
            return value
        if isinstance(value, str):
            return self.expected is not None and value == self.expected
        low, high = self.limit
        return (low is None or value >= low) and (high is None or value <= high)


STEPS: Final = (
    Step("board", "Bo mạch là Raspberry Pi", "The board is a Raspberry Pi", probe=probes.is_a_pi),
    Step(
        "camera.mode",
        "Camera cho đúng khung 2304x1296",
        "The camera gives frames of 2304x1296",
        expected="2304x1296",
        probe=probes.camera_mode,
    ),
    Step(
        "camera.exposure",
        "Phơi sáng luân phiên như đã đặt (%)",
        "Exposures alternate as commanded",
        "%",
        (95, None),
        probe=probes.exposures_followed,
    ),
    Step(
        "camera.restart", "Đóng và mở lại camera 10 lần", "The camera is closed and opened again, ten times", probe=probes.camera_restarts
    ),
    Step(
        "eye.look",
        "Xem một khung hình (thời gian bộ xử lý)",
        "Looking at one frame (processor time)",
        "ms",
        (None, 40),
        probe=probes.eye_look_ms,
    ),
    Step("camera.copy", "Chép một khung hình", "Copying the luma of one frame", "ms", (None, 10), probe=probes.luma_copy_ms),
    Step("card.150", "Đọc thẻ thật ở 150 mm: số lần đọc được trong 10", "A real card at 150 mm: readings out of ten", "/10", (9, 10)),
    Step("card.180", "Đọc thẻ thật ở 180 mm: số lần đọc được trong 10", "A real card at 180 mm: readings out of ten", "/10", (10, 10)),
    Step("card.210", "Đọc thẻ thật ở 210 mm: số lần đọc được trong 10", "A real card at 210 mm: readings out of ten", "/10", (9, 10)),
    Step("phone", "Đọc mã trên điện thoại: số lần đọc được trong 10", "A code on a telephone: readings out of ten", "/10", (10, 10)),
    Step("answers", "Mỗi kết quả có đèn và còi đúng như bảng", "Each outcome has its lamp and its sound, as in the score"),
    Step("tones", "Còi thụ động: hai âm khác nhau rõ ràng", "Passive buzzer: two clearly different tones (or none is fitted)"),
    Step("pins.power", "Bật nguồn: không đèn nào nháy, rơ-le không đóng", "Power on: no lamp flashes, the relay does not pull"),
    Step("pins.kill", "kill -9 gate: mọi đèn tắt, rơ-le nhả", "kill -9 of the gate: every lamp is off, the relay released"),
    Step(
        "pins.pulse",
        "kill -9 gate giữa lúc rơ-le đang kéo: nhả trong 0,2 giây",
        "kill -9 of the gate while the relay is pulled: it is released within 0.2 s (or no relay is fitted)",
    ),
    Step(
        "pins.crash",
        "echo c > /proc/sysrq-trigger giữa lúc rơ-le đang kéo: nhả và mọi đèn tắt trong 3 giây, không nháy cho đến khi cổng sẵn sàng",
        "A kernel crash while the relay is pulled: released and dark within 3 s, no flash until the gate is ready (or no relay is fitted)",
    ),
    Step(
        "first.light",
        "Thẻ mới: từ lúc cắm điện đến lúc sẵn sàng, đèn ACT hoặc đèn cổng luôn nói đang làm gì",
        "A new card: from power on until it is ready the ACT light or the gate's lamps always say what goes on",
    ),
    Step(
        "first.minutes",
        "Thẻ mới: từ lúc cắm điện đến lúc cổng đăng ký xong",
        "A new card: from power on until the gate is enrolled",
        "min",
        (None, 15),
    ),
    Step(
        "first.wifi", "Thẻ mới: cổng vào được Wi-Fi của địa điểm", "A new card: the gate joins the site's Wi-Fi (or the site has a cable)"
    ),
    Step("first.report", "gate-provision gate report CỔNG lấy được báo cáo", "gate-provision gate report GATE brings the report"),
    Step(
        "sun",
        "Thẻ dưới nắng gắt: báo sáng quá, mắt không khởi động lại",
        "A card in the sun: the view is called bright, the eye is not restarted",
    ),
    Step(
        "phone.after",
        "Điện thoại sau mười thẻ giấy: số lần đọc được trong 10",
        "A telephone after ten cards of paper: readings out of ten",
        "/10",
        (10, 10),
    ),
    Step(
        "zero.rest",
        "Zero 2 W lúc nghỉ: RAM còn trống",
        "A Zero 2 W at rest: memory that is free",
        "MiB",
        (100, None),
        probe=probes.memory_free_mib,
    ),
    Step(
        "zero.rush",
        "Zero 2 W lúc đông: 30 người liền nhau, trung vị đèn",
        "A Zero 2 W in a rush: 30 people in a row, median to the lamp",
        "ms",
        (None, 1000),
    ),
    Step("chip", "Chip GPIO được tìm theo nhãn", "The GPIO chip is found by its label", probe=probes.chip_labelled),
    Step("watchdog", "Watchdog phần cứng đang được nuôi", "The hardware watchdog is armed and fed", probe=probes.watchdog_armed),
    Step(
        "watchdog.reset",
        "echo c > /proc/sysrq-trigger: máy tự khởi động lại",
        "A crashed kernel: seconds until the gate serves again",
        "s",
        (None, 180),
    ),
    Step("power", "Không có điện áp thấp kể từ khi bật", "No under-voltage since power on", probe=probes.power_is_good),
    Step("heat", "Nhiệt độ sau 10 phút đủ tải", "Temperature after ten minutes of load", "°C", (None, 80)),
    Step("fsync.p50", "Ghi bền vững, trung vị", "A durable write, median of 1,000", "ms", (None, 50), probe=probes.fsync_p50_ms),
    Step("fsync.p99", "Ghi bền vững, p99", "A durable write, 99th percentile of 1,000", "ms", (None, 150), probe=probes.fsync_p99_ms),
    Step("plugs", "Rút điện 20 lần khi đang ghi: số sự kiện bị mất", "Twenty pulled plugs while recording: events lost", "", (0, 0)),
    Step(
        "clock",
        "Không pin đồng hồ, không mạng: cổng báo chưa biết giờ",
        "No battery, no network: the gate says that it does not know the time",
    ),
    Step("boot", "Từ lúc cấp điện đến quyết định đầu tiên", "From power to the first decision, by a stopwatch", "s", (None, 60)),
    Step("ready", "Từ kernel đến READY", "From the kernel's start to READY", "s", (None, 40), probe=probes.ready_s),
    Step("memory", "Bộ nhớ cổng và mắt sau một giờ", "Memory of gate and eye after an hour", "MiB", (None, 150), probe=probes.memory_mib),
    Step("idle", "CPU khi không có ai, cổng và mắt", "CPU while nobody comes, gate and eye", "%", (None, 60), probe=probes.idle_percent),
    Step(
        "exposure",
        "systemd-analyze security của mắt",
        "Exposure of the eye by this system's own systemd",
        "",
        (None, 0.8),
        probe=probes.eye_exposure,
    ),
)
