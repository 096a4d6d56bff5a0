"""A self-signed certificate for servers on the loopback."""

from __future__ import annotations

import datetime as dt
import ipaddress
import secrets
import ssl
from pathlib import Path
from typing import NamedTuple

from tests.support.loopback import Loopback


class Certificate(NamedTuple):
    """A self-signed certificate for 127.0.0.1, and its key: two files."""

    certificate: Path
    key: Path

    def context(self) -> ssl.SSLContext:
        """Return a server's context."""
        made = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        made.load_cert_chain(self.certificate, self.key)
        return made


def make_certificate(folder: Path) -> Certificate:
    """Make a certificate in a folder."""
    from cryptography import x509
    from cryptography.hazmat.primitives import hashes, serialization
    from cryptography.hazmat.primitives.asymmetric import ec
    from cryptography.x509.oid import NameOID

    key = ec.generate_private_key(ec.SECP256R1())
    # Unique: of two certificates with one subject OpenSSL may find the wrong one.
    subject = f"loopback {secrets.token_hex(8)}"
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, subject)])
    now = dt.datetime.now(dt.UTC)
    made = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - dt.timedelta(days=1))
        .not_valid_after(now + dt.timedelta(days=1))
        .add_extension(
            x509.SubjectAlternativeName([x509.IPAddress(ipaddress.ip_address("127.0.0.1"))]),
            critical=False,
        )
        .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
        .sign(key, hashes.SHA256())
    )
    files = Certificate(folder / "certificate.pem", folder / "key.pem")
    files.certificate.write_bytes(made.public_bytes(serialization.Encoding.PEM))
    files.key.write_bytes(
        key.private_bytes(
            serialization.Encoding.PEM,
            serialization.PrivateFormat.PKCS8,
            serialization.NoEncryption(),
        )
    )
    return files


class TlsLoopback(Loopback):
    """The loopback server behind TLS."""

    context: ssl.SSLContext

    def _serve(self, connection: object, number: int) -> None:
        try:
            secured = self.context.wrap_socket(connection, server_side=True)  # type: ignore[arg-type]
        except OSError:
            return
        super()._serve(secured, number)

    @property
    def url(self) -> str:
        """The server's root URL, without a slash."""
        return super().url.replace("http:", "https:")
