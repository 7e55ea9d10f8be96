"""Kinds of code, assurances, warnings and a camera's views in the words of people, Vietnamese and English.

Codes are stable, words may be improved.
"""

from __future__ import annotations

from typing import Final

from device.core.credentials import plausibility
from device.core.policy import WARN_CLOCK_UNKNOWN, WARN_EARLY, WARN_LATE, WARN_PASSBACK, WARN_PASSBACK_BLIND
from device.core.reasons import Sentence
from device.core.rules import ListUse, Standing
from device.core.types import Assurance, Kind, View

KINDS: Final[dict[str, Sentence]] = {
    Kind.CITIZEN_CARD: Sentence("Thẻ căn cước", "Citizen card"),
    Kind.NATIONAL_QR: Sentence("Mã QR cá nhân quốc gia", "National personal QR code"),
    Kind.HEALTH_INSURANCE: Sentence("Thẻ bảo hiểm y tế", "Health-insurance card"),
    Kind.BARE_NUMBER: Sentence("Mã chỉ có số", "Bare number"),
    Kind.SITE_BADGE: Sentence("Thẻ ra vào của cơ sở", "Site badge"),
    Kind.PHONE_CODE: Sentence("Mã đổi liên tục trên điện thoại", "Rotating phone code"),
    Kind.COMMISSIONING_ORDER: Sentence("Lệnh lắp đặt", "Commissioning order"),
    Kind.HEALTH_CERTIFICATE: Sentence("Giấy chứng nhận sức khỏe", "Health certificate"),
    Kind.SMART_HEALTH_CARD: Sentence("SMART Health Card", "SMART Health Card"),
    Kind.TRAVEL_HEALTH_PROOF: Sentence("Chứng nhận sức khỏe du lịch ICAO", "ICAO travel health proof"),
    Kind.PAYMENT: Sentence("Mã thanh toán", "Payment code"),
    Kind.UTILITY: Sentence("Mã tiện ích", "Utility code"),
    Kind.PLACE: Sentence("Mã địa điểm", "Code of a place"),
    Kind.WEB_ADDRESS: Sentence("Địa chỉ trang web", "Web address"),
    Kind.UNKNOWN: Sentence("Mã lạ", "Unknown code"),
}

ASSURANCES: Final[dict[str, Sentence]] = {
    Assurance.DECLARED: Sentence("danh tính do người đó tự khai", "the identity is declared, not proven"),
    Assurance.LISTED: Sentence("danh tính tự khai và có trong danh sách", "the identity is declared and listed"),
    Assurance.SIGNED: Sentence("mã có chữ ký đúng", "the code's signature is good"),
    Assurance.SIGNED_LIVE: Sentence("mã có chữ ký đúng và vừa được tạo", "the code's signature is good and was made just now"),
}

VIEWS: Final[dict[str, Sentence]] = {
    View.OK: Sentence("Camera nhìn rõ tấm đặt thẻ.", "The camera sees its plate."),
    View.DARK: Sentence(
        "Camera bị tối: bật đèn, hoặc bỏ vật che ống kính.", "It is too dark for the camera: switch the light on, uncover the lens."
    ),
    View.BRIGHT: Sentence(
        "Camera bị chói, ảnh trắng xóa: che nắng, quay camera hoặc đèn đi hướng khác.",
        "The camera is dazzled and sees only white: shade it from the sun, turn it or the light away.",
    ),
    View.COVERED: Sentence("Camera bị che: bỏ vật che ống kính.", "The camera is covered: uncover the lens."),
    View.BLURRED: Sentence(
        "Ảnh của camera bị mờ: lau kính, chỉnh lại nét.", "The camera's picture is blurred: wipe the glass, focus again."
    ),
    View.MOVED: Sentence("Camera bị lệch khỏi vị trí: chỉnh lại.", "The camera has moved: set it right."),
    View.MISSING: Sentence(
        "Không thấy mã tham chiếu: dán lại mã, lau kính, chỉnh lại camera.",
        "The reference code is not seen: stick it on again, wipe the glass, set the camera right.",
    ),
}

_LISTS: Final = {
    ListUse.ALLOW: Sentence("danh sách được phép", "the allow list"),
    ListUse.DENY: Sentence("danh sách cấm", "the deny list"),
    ListUse.STATUS: Sentence("danh sách thu hồi", "the list of revoked codes"),
}
_STANDINGS: Final = {
    Standing.AGEING: Sentence("bắt đầu cũ", "is ageing"),
    Standing.STALE: Sentence("đã cũ", "is stale"),
    Standing.EXPIRED: Sentence("đã hết hạn", "has expired"),
    Standing.MISSING: Sentence("không có", "is missing"),
}

WARNINGS: Final[dict[str, Sentence]] = {
    plausibility.WARN_NUMBER_IMPLAUSIBLE: Sentence("số không giống số định danh", "the number does not look like a citizen's"),
    plausibility.WARN_SEX_MISMATCH: Sentence("giới tính khác với số định danh", "the sex is not the one that the number states"),
    plausibility.WARN_BIRTH_YEAR_MISMATCH: Sentence(
        "năm sinh khác với số định danh", "the birth year is not the one that the number states"
    ),
    plausibility.WARN_BIRTH_IN_FUTURE: Sentence("ngày sinh ở tương lai", "the birth date lies in the future"),
    plausibility.WARN_ISSUED_IN_FUTURE: Sentence("ngày cấp ở tương lai", "the date of issue lies in the future"),
    plausibility.WARN_FIELD_COUNT: Sentence("số trường dữ liệu khác thường", "the number of fields is unusual"),
    WARN_CLOCK_UNKNOWN: Sentence("cổng chưa biết giờ đúng", "the gate does not know the time"),
    WARN_EARLY: Sentence("đến sớm trong khoảng cho phép", "early, within the grace"),
    WARN_LATE: Sentence("đến muộn trong khoảng cho phép", "late, within the grace"),
    WARN_PASSBACK: Sentence("qua hai lần cùng chiều", "passed twice the same way"),
    WARN_PASSBACK_BLIND: Sentence(
        "qua hai lần cùng chiều, nhưng một cổng khác của cơ sở đang im lặng",
        "passed twice the same way, but another gate of the site is silent",
    ),
} | {
    f"{use.value}_list_{standing.value}": Sentence(f"{listed.vi} {old.vi}", f"{listed.en} {old.en}")
    for use, listed in _LISTS.items()
    for standing, old in _STANDINGS.items()
}
"""By code, for every warning that an event can carry."""
