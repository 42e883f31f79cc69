"""PKCS#11 URIs (RFC 7512): what they name, and what is refused."""

from __future__ import annotations

from contextlib import suppress
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from keyvault.errors import TokenUriError
from keyvault.token_uri import MAX_URI, TokenUri, is_token_uri, parse

MODULE = "module-path=/usr/lib/softhsm/libsofthsm2.so"
SO = Path("/usr/lib/softhsm/libsofthsm2.so")
TEXT = st.text(st.characters(exclude_characters="\0", codec="utf-8"), max_size=12)


def escaped(data: bytes) -> str:
    """Every octet percent-encoded."""
    return "".join(f"%{octet:02X}" for octet in data)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        (f"pkcs11:token=lab;object=host?{MODULE}", TokenUri(SO, token="lab", object="host")),
        (f"PKCS11:id=%00%fF;type=private?{MODULE}", TokenUri(SO, id=b"\0\xff")),
        (f"pkcs11:?{MODULE}", TokenUri(SO)),
        (f"pkcs11:object=a&b=c?{MODULE}", TokenUri(SO, object="a&b=c")),
        (f"pkcs11:token=The%20Software%20PKCS%2311?{MODULE}", TokenUri(SO, token="The Software PKCS#11")),
        (f"pkcs11:serial=00a;model=SoftHSM%20v2;manufacturer=X?{MODULE}", TokenUri(SO, None, "X", "SoftHSM v2", "00a")),
        (f"pkcs11:?{MODULE}&pin-source=/run/pin", TokenUri(SO, pin_source=Path("/run/pin"))),
        (f"pkcs11:?pin-source=file:/run/pin%20file&{MODULE}", TokenUri(SO, pin_source=Path("/run/pin file"))),
        (f"pkcs11:?pin-source=file:///run/pin&{MODULE}", TokenUri(SO, pin_source=Path("/run/pin"))),
    ],
)
def test_what_a_uri_names(text: str, expected: TokenUri) -> None:
    assert parse(text) == expected


@given(TEXT, TEXT, st.binary(max_size=12))
def test_any_label_can_be_named(token: str, label: str, ident: bytes) -> None:
    text = f"pkcs11:token={escaped(token.encode())};object={escaped(label.encode())};id={escaped(ident)}?{MODULE}"
    assert parse(text) == TokenUri(SO, token=token, object=label, id=ident)


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("host.pem", "not a PKCS#11 URI"),
        ("pkcs11:" + "a" * MAX_URI, "not a PKCS#11 URI"),
        ("pkcs11:token=lab", "without module-path"),
        ("pkcs11:token=lab?module-path=", "without module-path"),
        (f"pkcs11:token=lab?{MODULE}&pin-value=1234", "a PIN in it"),
        (f"pkcs11:token=a;token=b?{MODULE}", "'token' twice"),
        (f"pkcs11:token=a?{MODULE}&{MODULE}", "'module-path' twice"),
        (f"pkcs11:token?{MODULE}", "malformed attribute 'token'"),
        (f"pkcs11:token=a b?{MODULE}", "malformed attribute 'token'"),
        (f"pkcs11:token=a%2?{MODULE}", "malformed attribute 'token'"),
        (f"pkcs11:token=a#b?{MODULE}", "malformed attribute 'token'"),
        (f"pkcs11:token=a;?{MODULE}", "malformed attribute"),
        (f"pkcs11:Token=a?{MODULE}", "'Token', which is not known"),
        (f"pkcs11:slot-id=3?{MODULE}", "'slot-id', which is not known"),
        (f"pkcs11:?{MODULE}&module-name=p11", "'module-name', which is not known"),
        (f"pkcs11:type=cert?{MODULE}", "something else than a private key"),
        (f"pkcs11:token=%ff?{MODULE}", "not UTF-8"),
        (f"pkcs11:token=a%00?{MODULE}", "zero byte"),
        (f"pkcs11:?{MODULE}&pin-source=|/bin/cat", "not a file"),
        (f"pkcs11:?{MODULE}&pin-source=pin", "not a file"),
        (f"pkcs11:?{MODULE}&pin-source=file://elsewhere/pin", "not a file"),
    ],
)
def test_other_uris_are_refused_and_not_shown(text: str, says: str) -> None:
    with pytest.raises(TokenUriError, match=says) as caught:
        parse(text)
    assert caught.value.hint
    assert "1234" not in str(caught.value) + caught.value.hint


@given(st.text("pkcs11:;=?&%2fFtokenid-module/_ \0é", max_size=60))
def test_nothing_but_a_refusal_comes_of_other_text(text: str) -> None:
    with suppress(TokenUriError):
        assert isinstance(parse("pkcs11:" + text), TokenUri)


@pytest.mark.parametrize(("value", "expected"), [("pkcs11:", True), ("PkCs11:a", True), ("a", False), (None, False)])
def test_a_uri_is_told_from_a_file(value: object, expected: bool) -> None:
    assert is_token_uri(value) is expected
