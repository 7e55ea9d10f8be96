"""TLS with a real broker: whose certificate, authority, name, date or protocol is wrong is told apart, in stable words."""

from __future__ import annotations

import socket
import ssl
import threading
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.serialization import BestAvailableEncryption, Encoding, PrivateFormat, load_pem_private_key

from device.edges.broker.tls import TlsFiles, context_for, failure_of, tls_failure_of
from tests.edges.broker.town_kit import Town
from tests.edges.broker.uplink_kit import GATE, Listener, lines, peer, rig
from tests.mosquitto import Authority, Broker, running


@pytest.mark.parametrize(
    ("gate", "server", "reason"),
    [
        ({}, {"ends_days": -0.5, "hosts": ("localhost",)}, "tls_expired"),
        ({}, {"starts_days": 1, "hosts": ("localhost",)}, "tls_not_yet_valid"),
        ({}, {"hosts": ("broker.elsewhere.test",)}, "tls_wrong_host"),
        ({"ends_days": -0.5}, {"hosts": ("localhost",)}, "tls_own_certificate_refused"),
        ({"starts_days": 1}, {"hosts": ("localhost",)}, "tls_own_certificate_refused"),
    ],
)
def test_each_certificate_that_is_wrong_is_told_apart(
    tmp_path: Path, authority: Authority, gate: dict[str, float], server: dict[str, object], reason: str, caplog: pytest.LogCaptureFixture
) -> None:
    """Expired, not yet valid, another host's; ours or the broker's: in the figures and in one line of the log."""
    serving = authority.issue("broker", **server)  # type: ignore[arg-type]  # a column of the table
    mine = authority.issue(GATE, **gate)  # type: ignore[arg-type]  # a column of the table
    settings = {"ca": mine.ca, "cert": mine.cert, "key": mine.key}
    with running(Broker.mutual(tmp_path, serving, authority.ca)) as started, rig(started.port, host="localhost", **settings) as up:
        up.record.add()
        up.wait_end(reason)
        assert up.record.left == 1
        assert up.stat("connects") == 0
    assert len([line for line in lines(caplog) if f": {reason} " in line]) == 1


def test_a_broker_of_another_authority_is_not_believed(tmp_path: Path, authority: Authority) -> None:
    """Wrong CA, on either side."""
    stranger = Authority(tmp_path / "stranger", "another authority")
    mine = authority.issue(GATE)
    settings = {"ca": mine.ca, "cert": mine.cert, "key": mine.key}
    serving = stranger.issue("broker", hosts=("localhost",))
    with running(Broker.mutual(tmp_path, serving, authority.ca)) as started, rig(started.port, host="localhost", **settings) as up:
        up.wait_end("tls_unknown_authority")


def test_a_gate_of_another_authority_is_refused(town: Town, tmp_path: Path) -> None:
    """The broker does not know who signed the gate's certificate."""
    stranger = Authority(tmp_path / "stranger", "another authority").issue(GATE)
    with rig(town.broker.port, host="localhost", ca=town.authority.ca, cert=stranger.cert, key=stranger.key) as up:
        up.wait_end("tls_own_certificate_refused")


def test_a_key_that_does_not_fit_is_told_before_anything_is_sent(town: Town) -> None:
    """Certificate and key of different pairs; and a file that is gone."""
    other = town.authority.issue("gate-08")
    with rig(town.broker.port, host="localhost", ca=town.gate.ca, cert=town.gate.cert, key=other.key) as up:
        up.wait_end("own_certificate")
    with rig(town.broker.port, host="localhost", ca=town.gate.ca, cert=town.gate.cert, key=Path("/nowhere/key.pem")) as up:
        up.wait_end("own_certificate")


def test_a_renewed_certificate_is_taken_up_without_a_restart(town: Town, tmp_path: Path) -> None:
    """Files are read again for each connection."""
    stale = town.authority.issue(GATE, ends_days=-0.5)
    cert, key = tmp_path / "cert.pem", tmp_path / "key.pem"
    cert.write_bytes(stale.cert.read_bytes())
    key.write_bytes(stale.key.read_bytes())
    with rig(town.broker.port, host="localhost", ca=stale.ca, cert=cert, key=key) as up:
        up.wait_end("tls_own_certificate_refused")
        fresh = town.authority.issue(GATE)
        cert.write_bytes(fresh.cert.read_bytes())
        key.write_bytes(fresh.key.read_bytes())
        up.pass_time_until(lambda: up.stat("phase") == "online", step_s=1)


def test_a_port_that_does_not_speak_tls_is_told_as_such(broker: Broker, authority: Authority) -> None:
    """A plain broker, or a captive portal, on the port of a TLS one."""
    mine = authority.issue(GATE)
    with rig(broker.port, host="localhost", ca=mine.ca, cert=mine.cert, key=mine.key) as up:
        up.wait(lambda: bool(up.stat("ends")))
        assert set(up.stat("ends")) <= {"tls_not_spoken", "tls_failed", "lost"}


def test_a_web_server_on_the_brokers_port_is_told_as_such(authority: Authority) -> None:
    """A captive portal answers TLS with HTTP."""
    mine = authority.issue(GATE)
    with socket.create_server(("127.0.0.1", 0)) as listener:
        answering = threading.Thread(target=_answer_as_portal, args=(listener,))
        answering.start()
        with rig(listener.getsockname()[1], ca=mine.ca, cert=mine.cert, key=mine.key) as up:
            up.wait_end("tls_not_spoken")
        answering.join(5)


def test_a_tls_handshake_that_never_ends_is_given_up(authority: Authority) -> None:
    """The other side takes the connection and says nothing."""
    mine = authority.issue(GATE)
    with socket.create_server(("127.0.0.1", 0)) as listener:
        talk = peer(listener.getsockname()[1], tls=TlsFiles(mine.ca, mine.cert, mine.key), connect_timeout_s=0.3)
        silent = Listener(talk)
        silent._connection.start()  # noqa: SLF001 - it will never be ready
        assert silent._ended.wait(5)  # noqa: SLF001 - nor is that said otherwise
        assert silent.end is not None
        assert silent.end.reason == "timeout"


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("[SSL: TLSV13_ALERT_CERTIFICATE_REQUIRED] tlsv13 alert certificate required", "tls_own_certificate_refused"),
        ("[SSL: SSLV3_ALERT_CERTIFICATE_REVOKED]", "tls_own_certificate_refused"),
        ("[SSL: WRONG_VERSION_NUMBER]", "tls_not_spoken"),
        ("[SSL: RECORD_LAYER_FAILURE]", "tls_not_spoken"),
        ("EOF occurred in violation of protocol", "tls_failed"),
    ],
)
def test_tls_errors_are_sorted_by_who_is_to_blame(text: str, reason: str) -> None:
    """An alert comes from the broker and is about our certificate."""
    assert tls_failure_of(text) == reason


@pytest.mark.parametrize(
    ("error", "reason"),
    [
        (socket.gaierror(-2, "unknown"), "dns"),
        (TimeoutError(), "timeout"),
        (ConnectionRefusedError(), "connection_refused"),
        (ConnectionResetError(), "lost"),
        (OSError(101, "no network"), "unreachable"),
        (OSError(113, "no route"), "unreachable"),
        (OSError(99, "no address"), "connect_failed"),
    ],
)
def test_network_errors_are_sorted_for_the_operator(error: OSError, reason: str) -> None:
    """No network, no route, nobody there, no name."""
    assert failure_of(error) == reason


def test_tls_1_1_and_unchecked_names_are_not_to_be_had(authority: Authority) -> None:
    """There is no switch."""
    mine = authority.issue(GATE)
    context = TlsFiles(mine.ca, mine.cert, mine.key).context()
    assert context.minimum_version >= 0x0303
    assert context.check_hostname
    assert context.verify_mode == 2


def _answer_as_portal(listener: socket.socket) -> None:
    connection, _ = listener.accept()
    with connection:
        connection.recv(4096)
        connection.sendall(b"HTTP/1.1 302 Found\r\nLocation: /login\r\n\r\n")


def test_a_private_key_with_a_password_is_refused_and_nobody_is_asked(authority: Authority, tmp_path: Path) -> None:
    """A service that waited for somebody at a terminal would wait for ever."""
    mine = authority.issue(GATE)
    key = load_pem_private_key(mine.key.read_bytes(), None)
    locked = tmp_path / "locked.pem"
    locked.write_bytes(key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, BestAvailableEncryption(b"secret")))
    with pytest.raises(ssl.SSLError, match="the private key has a password, which nobody is there to type"):
        TlsFiles(mine.ca, mine.cert, locked).context()


def test_who_shows_no_certificate_needs_none(authority: Authority) -> None:
    """The other side's is checked all the same."""
    context = TlsFiles(authority.ca).context()
    assert (context.verify_mode, context.check_hostname) == (ssl.CERT_REQUIRED, True)
    assert len(context.get_ca_certs()) == 1


def test_https_believes_the_machines_authorities_and_the_provinces(authority: Authority) -> None:
    """Lists may lie on a server with a certificate of either kind; a file that is no certificate is no reason to go without."""
    before = len(context_for(None).get_ca_certs())
    context = context_for(authority.ca)
    assert len(context.get_ca_certs()) == before + 1
    assert (context.verify_mode, context.check_hostname) == (ssl.CERT_REQUIRED, True)
    with pytest.raises(OSError, match="No such file"):
        context_for(Path("/nowhere/ca.pem"))


@pytest.mark.parametrize(
    ("code", "reason"),
    [(2, "tls_unknown_authority"), (9, "tls_not_yet_valid"), (10, "tls_expired"), (18, "tls_unknown_authority")]
    + [(code, "tls_unknown_authority") for code in (19, 20, 21)]
    + [(23, "tls_revoked"), (62, "tls_wrong_host"), (64, "tls_wrong_host"), (7, "tls_certificate")],
)
def test_certificates_are_told_apart_by_what_openssl_found(code: int, reason: str) -> None:
    """By the numbers of x509_vfy.h; one that is not in the table is a certificate all the same."""
    error = ssl.SSLCertVerificationError("certificate verify failed")
    error.verify_code = code
    assert failure_of(error) == reason


@pytest.mark.parametrize("number", [100, 101, 112, 113])
def test_a_network_that_is_not_there_is_unreachable(number: int) -> None:
    """Network down or without a way, host down or without a way."""
    assert failure_of(OSError(number, "")) == "unreachable"


def test_a_tls_error_without_a_reason_is_told_by_its_text() -> None:
    """As OpenSSL has it for an end in the middle."""
    for text, reason in (("[SSL] http request", "tls_not_spoken"), ("EOF", "tls_failed")):
        error = ssl.SSLError(text)
        error.reason = None  # type: ignore[assignment]  # as the library has it where OpenSSL gave none
        assert failure_of(error) == reason
