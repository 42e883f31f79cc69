"""A real SoftHSM2 with tokens for tests."""

from __future__ import annotations

import os
import shutil
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPrivateKey
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat

from keyvault.token_uri import TokenUri

PIN = "1234-5678"
PLACES = ("/usr/lib/softhsm", "/usr/lib/x86_64-linux-gnu/softhsm", "/usr/lib/aarch64-linux-gnu/softhsm", "/usr/lib64")


@dataclass(frozen=True)
class SoftToken:
    """The module, and tokens ``lab`` and two that are called ``twin``, all with one PIN."""

    module: Path

    def uri(self, **more: Any) -> TokenUri:
        """The URI of something in token ``lab``."""
        return TokenUri(self.module, **{"token": "lab", **more})

    def text(self, rest: str) -> str:
        """A URI as a user writes it."""
        return f"pkcs11:{rest}?module-path={self.module}"

    @contextmanager
    def session(self) -> Iterator[Any]:
        """A session that can write, of token ``lab``."""
        import pkcs11  # noqa: PLC0415

        with pkcs11.lib(str(self.module)).get_token(token_label="lab").open(rw=True, user_pin=PIN) as session:
            yield session

    def put(self, key: RSAPrivateKey, label: str, ident: bytes, *, extractable: bool = False) -> None:
        """Take a key that exists into token ``lab``."""
        from pkcs11 import Attribute  # noqa: PLC0415
        from pkcs11.util.rsa import decode_rsa_private_key  # noqa: PLC0415

        der = key.private_bytes(Encoding.DER, PrivateFormat.TraditionalOpenSSL, NoEncryption())
        more = {Attribute.LABEL: label, Attribute.ID: ident, Attribute.TOKEN: True, Attribute.SENSITIVE: True}
        more[Attribute.EXTRACTABLE] = extractable
        with self.session() as session:
            session.create_object(decode_rsa_private_key(der) | more)


@contextmanager
def soft_token(folder: Path) -> Iterator[SoftToken]:
    """SoftHSM2 with its tokens under a folder; skips where it is not installed."""
    pkcs11 = pytest.importorskip("pkcs11", reason="python-pkcs11 is not installed")
    found = [path for place in PLACES if (path := Path(place) / "libsofthsm2.so").exists()]
    program = shutil.which("softhsm2-util")
    if program is None or not found:
        pytest.skip("SoftHSM2 is not installed")
    tokens, settings = folder / "tokens", folder / "softhsm2.conf"
    tokens.mkdir()
    settings.write_text(f"directories.tokendir = {tokens}\nobjectstore.backend = file\nlog.level = ERROR\n")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("SOFTHSM2_CONF", str(settings))
        for label in ("lab", "twin", "twin"):
            command = [program, "--init-token", "--free", "--label", label, "--pin", PIN, "--so-pin", PIN]
            subprocess.run(command, capture_output=True, check=True, env=os.environ)
        pkcs11.unload(str(found[0]))
        yield SoftToken(found[0])
        pkcs11.unload(str(found[0]))
