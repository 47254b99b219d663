"""The private certificate authority of a data directory and the server certificate it signed."""

from __future__ import annotations

import ipaddress
import ssl
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
    load_pem_private_key,
)
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from messaging.simulators.exchange import Certificate
from messaging.simulators.saved_files import read_or_make

VALIDITY = timedelta(days=3650)
WRONG_HOSTS = (x509.DNSName("push.example.org"),)
HOSTS = (x509.DNSName("localhost"), x509.IPAddress(ipaddress.ip_address("127.0.0.1")))


def ca_file(folder: Path) -> Path:
    """Return the path of the authority's certificate (no key in it), made on first use."""
    public = folder / "ca.pem"
    read_or_make(public, lambda: _certificate_of(_authority(folder)))
    return public


class ServerContexts:
    """TLS server contexts with ALPN h2 and http/1.1, one per kind of certificate."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._contexts = {certificate: self._load(certificate) for certificate in Certificate}

    def for_port(self, choose: Callable[[], Certificate]) -> ssl.SSLContext:
        """Return a context whose new connections see the certificate that `choose` names at that moment."""

        def switch(tls: ssl.SSLObject, name: str | None, initial: ssl.SSLContext) -> None:
            tls.context = self._contexts[choose()]

        context = self._load(Certificate.GOOD)
        context.sni_callback = switch
        return context

    def _load(self, certificate: Certificate) -> ssl.SSLContext:
        file = self._folder / f"server-{certificate.value}.pem"
        read_or_make(file, lambda: _new_server_pem(_issuer(self._folder, certificate), certificate))
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.minimum_version = ssl.TLSVersion.TLSv1_2
        context.num_tickets = 0  # a resumed session would not see a changed certificate
        context.load_cert_chain(file)
        context.set_alpn_protocols(["h2", "http/1.1"])
        return context


def _issuer(folder: Path, certificate: Certificate) -> bytes:
    return _new_authority_pem() if certificate is Certificate.UNTRUSTED else _authority(folder)


def _authority(folder: Path) -> bytes:
    return read_or_make(folder / "ca-with-key.pem", _new_authority_pem)


def _new_authority_pem() -> bytes:
    key = ec.generate_private_key(ec.SECP256R1())
    name = _name("Clarion provider simulators (private CA)")
    usage = _key_usage(is_authority=True)
    builder = (
        _builder(name, name, key.public_key(), _validity(Certificate.GOOD))
        .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
        .add_extension(usage, critical=True)
    )
    return _pem(key) + builder.sign(key, hashes.SHA256()).public_bytes(Encoding.PEM)


def _new_server_pem(authority_pem: bytes, certificate: Certificate) -> bytes:
    authority_key = load_pem_private_key(authority_pem, None)
    if not isinstance(authority_key, ec.EllipticCurvePrivateKey):
        raise ValueError("The simulators' CA key is not an EC key; remove the folder to make a new one.")
    authority = x509.load_pem_x509_certificate(authority_pem)
    key = ec.generate_private_key(ec.SECP256R1())
    # OpenSSL in strict mode (Python 3.13's default) refuses a chain without the authority key identifier.
    issuer_id = x509.AuthorityKeyIdentifier.from_issuer_public_key(authority_key.public_key())
    builder = (
        _builder(_name("localhost"), authority.subject, key.public_key(), _validity(certificate))
        .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
        .add_extension(
            x509.SubjectAlternativeName(WRONG_HOSTS if certificate is Certificate.WRONG_HOST else HOSTS), critical=False
        )
        .add_extension(x509.ExtendedKeyUsage([ExtendedKeyUsageOID.SERVER_AUTH]), critical=False)
        .add_extension(_key_usage(is_authority=False), critical=True)
        .add_extension(issuer_id, critical=False)
    )
    return _pem(key) + builder.sign(authority_key, hashes.SHA256()).public_bytes(Encoding.PEM)


def _validity(certificate: Certificate) -> tuple[datetime, datetime]:
    now = datetime.now(UTC)
    until = now - timedelta(hours=1) if certificate is Certificate.EXPIRED else now + VALIDITY
    return now - timedelta(days=1), until


def _builder(
    subject: x509.Name, issuer: x509.Name, public_key: ec.EllipticCurvePublicKey, validity: tuple[datetime, datetime]
) -> x509.CertificateBuilder:
    return (
        x509.CertificateBuilder(subject_name=subject, issuer_name=issuer, public_key=public_key)
        .serial_number(x509.random_serial_number())
        .not_valid_before(validity[0])
        .not_valid_after(validity[1])
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(public_key), critical=False)
    )


def _key_usage(*, is_authority: bool) -> x509.KeyUsage:
    return x509.KeyUsage(
        digital_signature=not is_authority,
        content_commitment=False,
        key_encipherment=False,
        data_encipherment=False,
        key_agreement=False,
        key_cert_sign=is_authority,
        crl_sign=is_authority,
        encipher_only=False,
        decipher_only=False,
    )


def _name(common_name: str) -> x509.Name:
    return x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, common_name)])


def _pem(key: ec.EllipticCurvePrivateKey) -> bytes:
    return key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())


def _certificate_of(authority_pem: bytes) -> bytes:
    return x509.load_pem_x509_certificate(authority_pem).public_bytes(Encoding.PEM)
