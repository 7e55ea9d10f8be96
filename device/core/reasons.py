"""Why each decision fell: a stable code for machines, a sentence in Vietnamese and one in English for people.

A code, once published, never changes its meaning; sentences may be improved.
Sentences never quote what was on the code.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum


class Reason(StrEnum):
    """Stable reason codes, as they stand in events (``data.reason``)."""

    # accepted
    ACCEPTED = "accepted"
    LISTED = "listed"
    JUST_SCANNED = "just_scanned"
    # the code cannot be taken
    UNDECODABLE = "undecodable"
    TOO_LONG = "too_long"
    EMPTY = "empty"
    PARTIAL_CODE = "partial_code"
    MALFORMED = "malformed"
    UNSUPPORTED = "unsupported"
    PAYMENT_CODE = "payment_code"
    NOT_A_PERSON = "not_a_person"
    PLACE_CODE = "place_code"
    WEB_ADDRESS = "web_address"
    BARE_NUMBER = "bare_number"
    UNRECOGNISED = "unrecognised"
    NOT_ENABLED = "not_enabled"
    # the signature, or what it vouches for
    UNKNOWN_ISSUER = "unknown_issuer"
    BAD_SIGNATURE = "bad_signature"
    EXPIRED = "expired"
    NOT_YET_VALID = "not_yet_valid"
    ALREADY_USED = "already_used"
    HEALTH_RULES = "health_rules"
    # the rules say no
    KIND_NOT_ACCEPTED = "kind_not_accepted"
    ASSURANCE_TOO_LOW = "assurance_too_low"
    ROLE_NOT_ADMITTED = "role_not_admitted"
    ZONE_NOT_ADMITTED = "zone_not_admitted"
    REVOKED = "revoked"
    DENY_LISTED = "deny_listed"
    NOT_ON_ALLOW_LIST = "not_on_allow_list"
    OUTSIDE_HOURS = "outside_hours"
    CLOSED_TODAY = "closed_today"
    PASSBACK = "passback"
    FULL = "full"
    # a person must look
    VALIDITY_UNCERTAIN = "validity_uncertain"
    CLOCK_UNKNOWN = "clock_unknown"
    LIST_UNAVAILABLE = "list_unavailable"
    LIST_TOO_OLD = "list_too_old"
    TRUST_TOO_OLD = "trust_too_old"
    NOT_RECORDED = "not_recorded"
    # the gate's own fault: fails closed
    RULE_FAILED = "rule_failed"


@dataclass(frozen=True, slots=True)
class Sentence:
    """One reason said to people."""

    vi: str
    en: str


SENTENCES: dict[Reason, Sentence] = {
    Reason.ACCEPTED: Sentence("Mã hợp lệ, mời qua.", "The code is valid: please pass."),
    Reason.LISTED: Sentence("Có trong danh sách được phép, mời qua.", "On the allow list: please pass."),
    Reason.JUST_SCANNED: Sentence(
        "Mã này vừa được quét, không ghi thêm lượt.", "This code was just scanned; no second passage is counted."
    ),
    Reason.UNDECODABLE: Sentence("Nội dung mã không phải văn bản UTF-8.", "The code does not hold UTF-8 text."),
    Reason.TOO_LONG: Sentence("Mã chứa quá nhiều dữ liệu.", "The code holds more data than any accepted kind needs."),
    Reason.EMPTY: Sentence("Mã không có nội dung.", "The code is empty."),
    Reason.PARTIAL_CODE: Sentence("Mã chỉ là một phần của một bộ nhiều mã.", "The code is one part of a set of several codes."),
    Reason.MALFORMED: Sentence("Mã đúng loại nhưng sai cấu trúc.", "The code is of a known kind, but its structure is wrong."),
    Reason.UNSUPPORTED: Sentence("Loại giấy chứng nhận này không được hỗ trợ.", "This kind of certificate is not supported."),
    Reason.PAYMENT_CODE: Sentence("Đây là mã thanh toán, không phải mã cá nhân.", "This is a payment code, not a person's code."),
    Reason.NOT_A_PERSON: Sentence(
        "Đây là mã tiện ích (Wi-Fi, danh bạ…), không phải mã cá nhân.", "This is a utility code (Wi-Fi, contact …), not a person's code."
    ),
    Reason.PLACE_CODE: Sentence("Đây là mã địa điểm, không phải mã cá nhân.", "This is the code of a place, not a person's code."),
    Reason.WEB_ADDRESS: Sentence("Đây là địa chỉ trang web, không phải mã cá nhân.", "This is a web address, not a person's code."),
    Reason.BARE_NUMBER: Sentence("Mã chỉ có một số, cổng này không nhận.", "The code holds only a number, which this gate does not take."),
    Reason.UNRECOGNISED: Sentence("Không nhận ra loại mã này.", "This kind of code is not recognised."),
    Reason.NOT_ENABLED: Sentence("Loại mã này chưa được bật ở cổng này.", "This kind of code is not enabled at this gate."),
    Reason.UNKNOWN_ISSUER: Sentence(
        "Mã được ký bởi nơi cấp mà cổng không biết.", "The code is signed by an issuer that this gate does not know."
    ),
    Reason.BAD_SIGNATURE: Sentence("Chữ ký của mã không đúng: mã bị sửa hoặc giả.", "The code's signature is wrong: altered or forged."),
    Reason.EXPIRED: Sentence("Mã đã hết hạn.", "The code has expired."),
    Reason.NOT_YET_VALID: Sentence("Mã chưa đến ngày có hiệu lực.", "The code is not valid yet."),
    Reason.ALREADY_USED: Sentence(
        "Mã này đã dùng rồi; chờ điện thoại đổi mã mới.", "This code has been used: wait until the telephone shows a new one."
    ),
    Reason.HEALTH_RULES: Sentence(
        "Giấy chứng nhận sức khỏe là thật nhưng không đạt quy định của nơi này.",
        "The health certificate is genuine, but does not meet the rules of this site.",
    ),
    Reason.KIND_NOT_ACCEPTED: Sentence("Cổng này không nhận loại mã này.", "This gate does not accept this kind of code."),
    Reason.ASSURANCE_TOO_LOW: Sentence(
        "Vào giờ này phải dùng mã có mức bảo đảm cao hơn (thẻ hoặc mã có chữ ký).",
        "At this hour a code of higher assurance is needed (a signed badge or phone code).",
    ),
    Reason.ROLE_NOT_ADMITTED: Sentence("Vai trò trên thẻ không được qua vào giờ này.", "The badge's role may not pass at this hour."),
    Reason.ZONE_NOT_ADMITTED: Sentence("Thẻ không dành cho khu vực này.", "The badge is not for this zone."),
    Reason.REVOKED: Sentence("Thẻ này đã bị thu hồi.", "This code has been revoked."),
    Reason.DENY_LISTED: Sentence("Có trong danh sách không được qua.", "On the deny list."),
    Reason.NOT_ON_ALLOW_LIST: Sentence("Không có trong danh sách được phép.", "Not on the allow list."),
    Reason.OUTSIDE_HOURS: Sentence("Ngoài giờ mở cửa.", "Outside the opening hours."),
    Reason.VALIDITY_UNCERTAIN: Sentence(
        "Giờ của cổng chưa đủ chính xác để biết mã còn hạn không, xin gặp người trực.",
        "The gate's clock is not exact enough to tell whether the code is valid: please see the attendant.",
    ),
    Reason.CLOSED_TODAY: Sentence("Hôm nay là ngày nghỉ, cổng đóng.", "Today is a holiday: the gate is closed."),
    Reason.PASSBACK: Sentence(
        "Người này đã qua cùng chiều mà chưa qua chiều ngược lại.", "This person has passed this way and has not passed back since."
    ),
    Reason.FULL: Sentence("Bên trong đã đủ số người cho phép, xin chờ.", "As many people are inside as may be: please wait."),
    Reason.CLOCK_UNKNOWN: Sentence(
        "Cổng chưa biết giờ đúng, xin gặp người trực.", "The gate does not know the time: please see the attendant."
    ),
    Reason.LIST_UNAVAILABLE: Sentence("Không đọc được danh sách, xin gặp người trực.", "A list cannot be read: please see the attendant."),
    Reason.LIST_TOO_OLD: Sentence(
        "Danh sách đã quá cũ, xin gặp người trực.", "A list is too old to be relied on: please see the attendant."
    ),
    Reason.TRUST_TOO_OLD: Sentence(
        "Danh sách khóa ký đã quá cũ, xin gặp người trực.", "The list of signing keys is too old: please see the attendant."
    ),
    Reason.NOT_RECORDED: Sentence(
        "Không ghi được lượt qua, xin gặp người trực.", "The passage could not be recorded: please see the attendant."
    ),
    Reason.RULE_FAILED: Sentence("Lỗi khi xét quy tắc, cổng không cho qua.", "A rule failed, so the gate refuses."),
}


def sentence_of(code: str) -> Sentence:
    """The sentence of a reason as it stands in an event; of one that a newer version wrote, its code."""
    try:
        return SENTENCES[Reason(code)]
    except ValueError:
        return Sentence(code, code)
