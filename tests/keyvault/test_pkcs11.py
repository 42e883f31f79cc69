"""Keys in a real SoftHSM2: they open what was sealed for them, never leave, and each refusal is an error of its own."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric import rsa
from cryptography.hazmat.primitives.asymmetric.padding import MGF1, OAEP, PKCS1v15
from cryptography.hazmat.primitives.hashes import SHA1, SHA256
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from parties import ISSUER, NOW, TERMS, host_key, issued
from soft_token import PIN, SoftToken, soft_token

from keyvault import envelope, errors
from keyvault.pkcs11 import TokenKey, make_key, open_key
from keyvault.token_sessions import pin_error
from keyvault.token_uri import TokenUri

WORD = PIN.encode()
PADDING = OAEP(MGF1(SHA256()), SHA256(), None)
SLOW = settings(max_examples=25, suppress_health_check=[HealthCheck.function_scoped_fixture])


@pytest.fixture(scope="module")
def tokens(tmp_path_factory: pytest.TempPathFactory) -> Iterator[SoftToken]:
    """Token ``lab`` holds host lab's key, a weak one, and two of one label."""
    with soft_token(tmp_path_factory.mktemp("softhsm")) as made:
        made.put(host_key("lab"), "host", b"\x01")
        made.put(rsa.generate_private_key(65_537, 2048), "weak", b"\x02")
        made.put(host_key("mobile"), "pair", b"\x03")
        made.put(host_key("mobile"), "pair", b"\x04")
        yield made


@pytest.fixture
def key(tokens: SoftToken) -> Iterator[TokenKey]:
    with open_key(tokens.uri(object="host"), WORD) as opened:
        yield opened


def test_a_token_opens_what_was_sealed_for_its_host(key: TokenKey) -> None:
    made = issued()
    sealed = envelope.verify(made.data, ISSUER.public_key())
    (by_token,) = sealed.open_as_host(key, NOW)
    (by_file,) = sealed.open_as_host(host_key("lab"), NOW)
    assert by_token.epoch_key == by_file.epoch_key
    assert key.public_key() == host_key("lab").public_key()
    assert "lab" not in repr(key)


def test_a_key_of_another_host_in_a_token_opens_nothing(tokens: SoftToken) -> None:
    sealed = envelope.verify(issued(replace(TERMS, hosts=("lab",))).data, ISSUER.public_key())
    with open_key(tokens.uri(id=b"\x03"), WORD) as other, pytest.raises(errors.WrongHostError):
        sealed.open_as_host(other, NOW)


@SLOW
@given(st.binary(max_size=318))
def test_what_was_encrypted_comes_back(key: TokenKey, message: bytes) -> None:
    assert key.decrypt(key.public_key().encrypt(message, PADDING), PADDING) == message


@SLOW
@given(st.integers(0, 8 * 384 - 1))
def test_a_changed_ciphertext_is_refused(key: TokenKey, bit: int) -> None:
    changed = bytearray(key.public_key().encrypt(b"k" * 32, PADDING))
    changed[bit // 8] ^= 1 << bit % 8
    with pytest.raises(ValueError, match=r"Incorrect|modulus"):
        key.decrypt(bytes(changed), PADDING)


def modulus(key: TokenKey) -> int:
    return key.public_key().public_numbers().n


@pytest.mark.parametrize("add", [0, 1, 2**3071])
def test_a_number_that_is_no_residue_is_refused(key: TokenKey, add: int) -> None:
    number = min(modulus(key) + add, 2**3072 - 1)
    with pytest.raises(ValueError, match="modulus"):
        key.decrypt(number.to_bytes(384, "big"), PADDING)


@pytest.mark.parametrize("length", [0, 1, 383, 385])
def test_another_length_is_refused(key: TokenKey, length: int) -> None:
    with pytest.raises(ValueError, match="length"):
        key.decrypt(bytes(length), PADDING)


OLD = OAEP(MGF1(SHA1()), SHA1(), None)  # noqa: S303


@pytest.mark.parametrize("other", [OLD, OAEP(MGF1(SHA256()), SHA256(), b"label")])
def test_other_ways_to_pad_are_refused(key: TokenKey, other: OAEP) -> None:
    sealed = key.public_key().encrypt(b"k" * 32, other)
    with pytest.raises(ValueError, match="Incorrect"):
        key.decrypt(sealed, PADDING)
    for padding in (OLD, PKCS1v15()):
        with pytest.raises(UnsupportedAlgorithm):
            key.decrypt(sealed, padding)


def test_the_private_key_stays_in_the_token(tokens: SoftToken) -> None:
    from pkcs11 import Attribute, AttributeSensitive  # noqa: PLC0415

    public, new = make_key(tokens.uri(object="made"), WORD)
    assert new
    assert (public.key_size, public.public_numbers().e) == (3072, 65_537)
    assert make_key(tokens.uri(object="made"), WORD) == (public, False)
    with open_key(tokens.uri(object="made"), WORD) as opened:
        assert opened.decrypt(public.encrypt(b"k" * 32, PADDING), PADDING) == b"k" * 32
        private = opened._key
        stays = (Attribute.SENSITIVE, Attribute.ALWAYS_SENSITIVE, Attribute.NEVER_EXTRACTABLE)
        assert [private[name] for name in stays] == [True] * 3
        assert not private[Attribute.EXTRACTABLE]
        assert not private[Attribute.SIGN]
        for name in (Attribute.PRIVATE_EXPONENT, Attribute.PRIME_1):
            with pytest.raises(AttributeSensitive):
                private[name]


def test_two_sessions_of_one_process(tokens: SoftToken, key: TokenKey) -> None:
    sealed = key.public_key().encrypt(b"k" * 32, PADDING)
    with open_key(tokens.uri(object="host"), WORD) as second:
        assert second.decrypt(sealed, PADDING) == b"k" * 32
    assert key.decrypt(sealed, PADDING) == b"k" * 32


REFUSALS: list[tuple[str, dict[str, Any], type[errors.PrivcamError], str, str]] = [
    ("no such token", {"token": "other"}, errors.TokenMissingError, "no token", "'lab', 'twin', 'twin'"),
    ("two tokens", {"token": "twin"}, errors.TokenAmbiguousError, "2 tokens", "add ;serial="),
    ("no such serial", {"serial": "0"}, errors.TokenMissingError, "no token", "'lab'"),
    ("no such key", {"object": "none"}, errors.TokenKeyMissingError, "'none'", "keyvault host-key --token"),
    ("two keys", {"object": "pair"}, errors.TokenAmbiguousError, "2 RSA private keys", "add ;id= with one of %03, %04"),
    ("a weak key", {"object": "weak"}, errors.WeakKeyError, "2048 bits", "keyvault host-key"),
    ("no module", {"module": Path("/nowhere.so")}, errors.TokenModuleError, "no PKCS#11 module", "absolute path"),
    ("no path", {"module": Path("libsofthsm2.so")}, errors.TokenModuleError, "no PKCS#11 module", "absolute path"),
]


@pytest.mark.parametrize(
    ("uri", "error", "says", "hint"), [case[1:] for case in REFUSALS], ids=[c[0] for c in REFUSALS]
)
def test_refusals(
    tokens: SoftToken, uri: dict[str, Any], error: type[errors.PrivcamError], says: str, hint: str
) -> None:
    named = {"module": tokens.module, "token": "lab", **uri}
    with pytest.raises(error, match=says) as caught:
        open_key(TokenUri(**named), WORD)
    assert hint in caught.value.hint
    assert PIN not in str(caught.value) + caught.value.hint


def test_a_library_that_is_no_module_is_refused(tokens: SoftToken, tmp_path: Path) -> None:
    junk = tmp_path / "junk.so"
    junk.write_bytes(b"junk")
    with pytest.raises(errors.TokenModuleError, match="cannot be used as a PKCS#11 module"):
        open_key(TokenUri(module=junk), WORD)


def test_wrong_pins_are_refused(tokens: SoftToken) -> None:
    for wrong in (b"wrong pin", b"1", b"\xff\xfe"):
        with pytest.raises(errors.TokenPinError) as caught:
            open_key(tokens.uri(object="host"), wrong)
        assert "'lab'" in str(caught.value)
        assert caught.value.exit_code == errors.PassphraseError.exit_code
    open_key(tokens.uri(object="host"), WORD).close()


@pytest.mark.parametrize(
    ("flags", "locked", "error", "says"),
    [
        ((), False, errors.TokenPinError, "give the right one"),
        (("USER_PIN_COUNT_LOW",), False, errors.TokenPinError, "give the right one"),
        (("USER_PIN_FINAL_TRY",), False, errors.TokenPinError, "the next wrong one locks it"),
        (("USER_PIN_LOCKED",), False, errors.TokenPinLockedError, "security officer"),
        ((), True, errors.TokenPinLockedError, "security officer"),
    ],
)
def test_what_a_token_says_of_the_tries_left_is_told(
    flags: tuple[str, ...], locked: bool, error: type[errors.PrivcamError], says: str
) -> None:
    flag = pytest.importorskip("pkcs11").TokenFlag
    set_ = flag(0)
    for name in flags:
        set_ |= flag[name]
    found = pin_error(SimpleNamespace(label="lab", flags=set_), locked=locked)  # type: ignore[arg-type]
    assert type(found) is error
    assert says in found.hint


def test_keys_are_not_made_weak_or_nameless(tokens: SoftToken) -> None:
    with pytest.raises(errors.WeakKeyError, match="2048 bits"):
        make_key(tokens.uri(object="small"), WORD, 2048)
    with pytest.raises(errors.TokenError, match="what the key is to be called"):
        make_key(tokens.uri(), WORD)
    with pytest.raises(errors.WeakKeyError, match="2048 bits"):
        make_key(tokens.uri(object="weak"), WORD)


class WholeOaep:
    """A token's key that does all of OAEP with SHA-256, as SoftHSM 2.6 does not."""

    def __init__(self) -> None:
        self.asked: list[tuple[Any, Any]] = []

    def decrypt(self, data: bytes, *, mechanism: Any, mechanism_param: Any = None) -> bytes:
        import pkcs11  # noqa: PLC0415

        self.asked.append((mechanism, mechanism_param))
        try:
            return host_key("lab").decrypt(data, PADDING)
        except ValueError as error:
            raise pkcs11.EncryptedDataInvalid from error


def test_a_token_that_knows_the_padding_does_all_of_it() -> None:
    pkcs11 = pytest.importorskip("pkcs11")
    inside = WholeOaep()
    key = TokenKey(SimpleNamespace(), inside, host_key("lab").public_key())  # type: ignore[arg-type]
    sealed = key.public_key().encrypt(b"k" * 32, PADDING)
    assert key.decrypt(sealed, PADDING) == b"k" * 32
    with pytest.raises(ValueError, match="does not decrypt"):
        key.decrypt(bytes(384), PADDING)
    assert inside.asked == [(pkcs11.Mechanism.RSA_PKCS_OAEP, (pkcs11.Mechanism.SHA256, pkcs11.MGF.SHA256, None))] * 2


class Unplugged:
    def decrypt(self, *_: Any, **__: Any) -> bytes:
        import pkcs11  # noqa: PLC0415

        raise pkcs11.DeviceRemoved


def test_a_token_that_is_pulled_out_is_no_wrong_ciphertext() -> None:
    pytest.importorskip("pkcs11")
    key = TokenKey(SimpleNamespace(), Unplugged(), host_key("lab").public_key())  # type: ignore[arg-type]
    with pytest.raises(errors.TokenMissingError, match="taken away"):
        key.decrypt(bytes(384), PADDING)


def test_without_the_library_the_extra_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "pkcs11", None)
    with pytest.raises(errors.TokenModuleError, match="not installed") as caught:
        open_key(TokenUri(module=Path("/x.so")), WORD)
    assert "privcam[hsm]" in caught.value.hint


def test_a_private_key_that_could_be_read_out_is_not_kept(tokens: SoftToken, monkeypatch: pytest.MonkeyPatch) -> None:
    from pkcs11 import Attribute  # noqa: PLC0415
    from pkcs11.types import Session  # noqa: PLC0415

    original = Session.generate_keypair

    def leaky(self: Any, *args: Any, **extra: Any) -> Any:
        extra["private_template"] = {Attribute.SENSITIVE: False, Attribute.EXTRACTABLE: True}
        return original(self, *args, **extra)

    with monkeypatch.context() as patch:
        patch.setattr(Session, "generate_keypair", leaky)
        with pytest.raises(errors.TokenKeyExposedError, match="read out"):
            make_key(tokens.uri(object="leaky"), WORD)
    with pytest.raises(errors.TokenKeyMissingError):
        open_key(tokens.uri(object="leaky"), WORD)


def test_a_key_that_is_there_and_can_be_read_out_is_not_taken(tokens: SoftToken) -> None:
    tokens.put(host_key("lab"), "open", b"\x07", extractable=True)
    with pytest.raises(errors.TokenKeyExposedError, match="'open' can be read out"):
        make_key(tokens.uri(object="open"), WORD)
