"""Whatever comes in, readers of the key vault's files accept it or refuse it with a PrivcamError, and soon."""

from __future__ import annotations

import tracemalloc
from pathlib import Path
from random import Random

import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from fuzz_readers import CHEAP_KIB, PASSPHRASE, readers
from keyvault import backup, canonical, places
from keyvault.errors import BackupFormatError, InputError, PrivcamError, VaultDamagedError, VaultError
from keyvault.vault import Vault
from keyvault.vault_key import Argon2, VaultKey
from mutations import mutate
from sealed_key_bench import Bench

READERS = readers(Bench.build())
RANDOM = st.randoms(use_true_random=False)
EXAMPLES = 120
MANY = settings(max_examples=EXAMPLES)
FEW = settings(max_examples=60, suppress_health_check=[HealthCheck.function_scoped_fixture])


@pytest.mark.parametrize("name", READERS)
def test_good_files_are_accepted(name: str) -> None:
    assert all(READERS[name].accepts(seed) for seed in READERS[name].seeds)


@pytest.mark.parametrize("name", READERS)
def test_changed_files_are_accepted_or_refused(name: str) -> None:
    seen: set[bool] = set()

    @MANY
    @given(st.sampled_from(READERS[name].seeds), RANDOM)
    def check(seed: bytes, random: Random) -> None:
        changed = mutate(seed, random)
        seen.add(changed == seed or READERS[name].accepts(changed))

    check()
    assert False in seen


@pytest.mark.full
@pytest.mark.parametrize("name", READERS)
def test_many_changed_files(name: str) -> None:
    for number in range(50_000):
        random = Random(number)  # noqa: S311
        READERS[name].accepts(mutate(random.choice(READERS[name].seeds), random))


@pytest.mark.parametrize("name", READERS)
@MANY
@given(data=st.binary(max_size=300))
def test_any_bytes_are_accepted_or_refused(name: str, data: bytes) -> None:
    READERS[name].accepts(data)


json_values = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**53) + 1, 2**53 - 1) | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text("ab\x7f ", max_size=3), inner, max_size=4),
    max_leaves=12,
)


@MANY
@given(json_values, RANDOM)
def test_canonical_json_has_one_text(value: object, random: Random) -> None:
    text = canonical.dumps(value)
    assert canonical.loads(text, "it") == value
    changed = mutate(text, random)
    try:
        other = canonical.loads(changed, "it")
    except InputError:
        return
    assert canonical.dumps(other) == changed


@MANY
@given(st.binary(max_size=40), RANDOM)
def test_base64url_has_one_text(data: bytes, random: Random) -> None:
    text = canonical.b64url(data)
    assert canonical.unb64url(text, "it") == data
    changed = mutate(text.encode(), random).decode("latin-1")
    try:
        other = canonical.unb64url(changed, "it")
    except InputError:
        return
    assert canonical.b64url(other) == changed


LARGE = {
    "depth": b"[" * 1_000_000,
    "depth of objects": b'{"a":' * 200_000,
    "digits": b"9" * 1_000_000,
    "numbers": b"[" + b"1," * 100_000 + b"1]",
    "text": b'"' + b"\\u0061" * 160_000 + b'"',
    "dots": b"." * 1_000_000,
    "segments": b"A" * 500_000 + b"." + b"A" * 500_000 + b"." + b"A" * 86,
    "zeros": bytes(1_000_000),
    "lines": b"\n" * 1_000_000,
}


@pytest.mark.parametrize("name", READERS)
@pytest.mark.parametrize("kind", LARGE)
def test_large_input_is_answered_in_bounded_memory(name: str, kind: str) -> None:
    """At most a hundred times the size of the input, which is 1 MB or less."""
    tracemalloc.start()
    try:
        READERS[name].accepts(LARGE[kind])
        _, most = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert most < 100 * 2**20


@pytest.mark.parametrize(
    "costs", [(1, 7, 1), (1, 31, 4), (1, 511, 64), (0, 64, 1), (65, 64, 1), (1, 2**22 + 1, 1), (1, 64, 0), (1, 64, 65)]
)
def test_backups_with_costs_that_no_derivation_takes(costs: tuple[int, int, int]) -> None:
    header, _, rest = READERS["backup"].seeds[0].partition(b"\n")
    members = canonical.loads(header, "it")
    members["argon2id"] |= dict(zip(("iterations", "memory_kib", "lanes"), costs, strict=True))
    with pytest.raises(BackupFormatError, match="out of bounds"):
        backup.decrypt(canonical.dumps(members) + b"\n" + rest, Path("backup"), PASSPHRASE)


def test_a_backup_that_needs_more_memory_than_there_is(monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*_: object) -> None:
        raise MemoryError

    monkeypatch.setattr("keyvault.vault_key.Argon2id.derive", full, raising=True)
    with pytest.raises(VaultError, match="KiB of memory, more than there is") as refusal:
        Argon2(bytes(16)).derive(b"word")
    assert "more memory" in refusal.value.hint


@pytest.mark.parametrize("value", [None, "x" * 32, 5, b""])
def test_a_database_may_hold_values_of_any_type(value: object) -> None:
    key = VaultKey(bytes(32))
    with pytest.raises(VaultDamagedError, match="changed from outside"):
        key.decrypt("root", value)
    with pytest.raises(VaultDamagedError, match="stored key is damaged"):
        VaultKey(value)


@pytest.fixture
def plaintext(home: Path) -> bytes:
    """What a backup of a small vault holds."""
    with Vault.create(home, None) as vault:
        vault.enroll_sensor("cam", places.device_file("cam", home))
        return backup.decrypt(backup.make(vault, PASSPHRASE), Path("backup"), PASSPHRASE)


def test_backups_with_another_database_in_them(
    plaintext: bytes, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whoever has a backup's passphrase can put anything into it."""
    cheap = Argon2(bytes(16), 1, CHEAP_KIB, 1)
    monkeypatch.setattr(backup, "Argon2", lambda *costs: Argon2(*costs) if len(costs) > 1 else cheap)
    file = tmp_path / "backup"

    @FEW
    @given(st.sampled_from([at for at, byte in enumerate(plaintext) if byte]), st.binary(min_size=1, max_size=2))
    @example(plaintext.index(b"CREATE"), b"\x80")
    def check(at: int, data: bytes) -> None:
        changed = bytearray(plaintext)
        changed[at : at + len(data)] = data
        file.write_bytes(backup.encrypt(bytes(changed), PASSPHRASE))
        home = tmp_path / f"home-{at}-{data.hex()}"
        try:
            backup.recover(home, file, PASSPHRASE, None).close()
        except PrivcamError:
            return

    check()
