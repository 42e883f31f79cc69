"""The commands that are killed at every call, and what must hold of a vault and its files after that."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path

from commands_apart import Place, Server
from parties import host_key, stranger

from keyvault import audit, backup, envelope, epochs, hosts, places, status_list, withdrawal
from keyvault.derivation import commitment, derive_epoch_key
from keyvault.device import Device
from keyvault.epochs import State
from keyvault.errors import PassphraseError
from keyvault.files import PRIVATE_FILE
from keyvault.issuing import IssuerSecrets
from keyvault.vault import Vault
from keyvault.vault_records import issuer_secrets

WORD = b"word"
TERMS = ("--host", "lab", "--size", "64x48")
SENSORS = ("cam", "dog")


@dataclass(frozen=True, slots=True)
class Case:
    """A command, and what happens when it is given once more although it was done.

    Attributes:
        argv: the command.
        start: the place that it starts from: ``empty``, ``full``, or ``due`` with a key to be destroyed now.
        again: the exit code that refuses it the second time, if it was done; 0 where it can be repeated.
    """

    argv: tuple[str, ...]
    start: str = "full"
    again: int = 0

    @property
    def name(self) -> str:
        """What the test is called."""
        return "-".join(word.strip("-") for word in self.argv if "." not in word)[:40]


CASES = (
    Case(("init", "--no-passphrase"), "empty", 9),
    Case(("enroll", "sensor", "fox"), again=9),
    Case(("enroll", "host", "mobile", "--public", "mobile.pub"), again=9),
    Case(("issue", "--sensor", "cam", *TERMS, "-o", "out.bin"), again=4),
    Case(("issue", "--all", *TERMS, "-o", "fleet")),
    Case(("rotate", "--sensor", "cam")),
    Case(("rotate", "--sensor", "cam", "-o", "cam.bin", "--force")),
    Case(("rotate", "--all", "-o", "fleet")),
    Case(("rewrap", "--sensor", "cam", "--add-host", "pad")),
    Case(("grant", "--sensor", "cam", "--host", "pad", "--epochs", "1-2")),
    Case(("promote", "--sensor", "cam"), again=9),
    Case(("export", "--sensor", "cam", "-o", "out.bin"), again=4),
    Case(("retire", "--sensor", "cam", "--min-epoch", "2")),
    Case(("revoke", "host", "pad"), again=9),
    Case(("destroy", "--sensor", "cam", "--epoch", "1"), again=9),
    Case(("destroy", "--due"), "due"),
    Case(("rotate", "--sensor", "dog"), "due"),
    Case(("backup", "-o", "new.backup", "--backup-passphrase-file", "word"), again=4),
    Case(("backup", "-o", "old.backup", "--backup-passphrase-file", "word", "--force")),
    Case(("recover", "old.backup", "--backup-passphrase-file", "word", "--no-passphrase"), "lost", 9),
    Case(("passwd", "--new-passphrase-file", "word"), again=10),
    Case(("status", "publish")),
)


def make_starts(server: Server, folder: Path) -> dict[str, Place]:
    """The places that commands start from."""
    starts = {name: Place(folder / name) for name in ("empty", "full")}
    for place in starts.values():
        _lay_out(place)
    full = starts["full"]
    for argv in (
        ("init", "--no-passphrase"),
        ("enroll", "sensor", *SENSORS),
        ("enroll", "host", "lab", "--public", "lab.pub"),
        ("enroll", "host", "pad", "--public", "pad.pub"),
        ("issue", "--all", *TERMS, "-o", "first"),
        ("rotate", "--sensor", "cam", "-o", "cam.bin"),
        ("rotate", "--sensor", "cam", "--stage"),
        ("status", "publish"),
        ("backup", "-o", "old.backup", "--backup-passphrase-file", "word"),
    ):
        outcome = server.run(full, argv)
        assert outcome.code == 0, outcome.said
    starts["due"] = full.copy(folder / "due")
    with Vault.open(starts["due"].home) as vault:
        vault.unlock(None)
        with vault.change() as change:
            withdrawal.destroy(change, "cam", 1, -1)
    starts["lost"] = Place(folder / "lost")
    _lay_out(starts["lost"])
    (folder / "lost" / "old.backup").write_bytes((full.folder / "old.backup").read_bytes())
    (folder / "lost" / "old.backup").chmod(PRIVATE_FILE)
    return starts


def _lay_out(place: Place) -> None:
    place.folder.mkdir()
    (place.folder / "word").write_bytes(WORD)
    for name, key in (("lab", host_key("lab")), ("pad", host_key("mobile")), ("mobile", stranger())):
        (place.folder / f"{name}.pub").write_bytes(hosts.public_pem(key.public_key()))


def unlocked(place: Place) -> Vault:
    """The vault of a place, open, whether it has a passphrase now or not."""
    vault = Vault.open(place.home)
    try:
        vault.unlock(None)
    except PassphraseError:
        vault.unlock(WORD)
    return vault


def keys_of(place: Place) -> dict[tuple[str, int], str]:
    """The key id of every epoch whose key the vault has, each of which it can make again."""
    found: dict[tuple[str, int], str] = {}
    with unlocked(place) as vault:
        _, key = vault._unlocked()
        secrets = issuer_secrets(vault._connection, key)
        for epoch in vault.epochs():
            if epoch.state is State.DESTROYED:
                continue
            seed = epochs.content(vault._connection, key, epoch).seed
            again = derive_epoch_key(secrets.root, epoch.sensor, epoch.number, seed.salt)
            _check_files(vault, secrets, epoch, commitment(again))
            found[epoch.sensor, epoch.number] = epoch.key_id
    assert len(set(found.values())) == len(found)
    return found


def _check_files(vault: Vault, secrets: IssuerSecrets, epoch: epochs.Epoch, committed: bytes) -> None:
    """Every sealed key that the vault keeps of an epoch is whole and holds the key that the vault makes again."""
    kept = vault._connection.execute(
        "SELECT sealed FROM files WHERE sensor = ?1 AND first_epoch <= ?2 AND last_epoch >= ?2",
        (epoch.sensor, epoch.number),
    ).fetchall()
    assert kept
    for (data,) in kept:
        (grant,) = (
            one for one in envelope.verify(data, secrets.signer.public_key()).grants if one.epoch == epoch.number
        )
        assert (grant.commitment, grant.key_id) == (committed, epoch.key_id)


def check_vault(place: Place) -> dict[tuple[str, int], str]:
    """The vault is whole: database, audit log, states, and every key of every epoch; as :func:`keys_of`."""
    with Vault.open(place.home) as vault:
        assert vault._connection.execute("PRAGMA integrity_check").fetchall() == [("ok",)]
        assert vault._connection.execute("PRAGMA foreign_key_check").fetchall() == []
        with vault.reading() as database:
            audit.verify(database, vault.issuer)
        for entry in vault.sensors():
            states = [epoch.state for epoch in vault.epochs(entry.name)]
            assert states.count(State.PRIMARY) <= 1
    return keys_of(place)


def check_outputs(place: Place, former: Place) -> None:
    """Every file is as it was or whole, and every sealed key is one that the vault keeps."""
    before = {path.relative_to(former.folder): path.read_bytes() for path in files_in(former)}
    found = {path.relative_to(place.folder) for path in files_in(place)}
    assert set(before) <= found, "a file is lost"
    for name in found:
        path = place.folder / name
        data = path.read_bytes()
        if data == before.get(name):
            continue
        if path.suffix == ".bin":
            assert data in _kept(place)
        elif path.suffix == ".backup":
            _check_backup(data, path)
        elif path.suffix == ".jws":
            with Vault.open(place.home) as vault:
                status_list.verify(data, vault.issuer)
        elif path.suffix == ".json":
            Device.load(path)
        else:
            assert name == Path("home/issuer.pub")
            with Vault.open(place.home) as vault:
                assert data == hosts.public_pem(vault.issuer)


def _kept(place: Place) -> set[bytes]:
    with closing(sqlite3.connect(places.vault_file(place.home))) as database:
        return {data for (data,) in database.execute("SELECT sealed FROM files")}


def _check_backup(data: bytes, path: Path) -> None:
    with closing(sqlite3.connect(":memory:")) as database:
        database.deserialize(backup.decrypt(data, path, WORD))
        assert database.execute("PRAGMA integrity_check").fetchall() == [("ok",)]


def files_in(place: Place) -> Iterator[Path]:
    """The files of a place that are not the vault's own or temporary."""
    vault = places.vault_folder(place.home)
    yield from (
        path for path in place.folder.rglob("*") if path.is_file() and vault not in path.parents and not _stray(path)
    )


def strays(place: Place) -> list[str]:
    """Temporary files, and what SQLite leaves when its process is killed."""
    return [path.name for path in place.folder.rglob("*") if _stray(path) or path.suffix in (".db-wal", ".db-shm")]


def _stray(path: Path) -> bool:
    return path.name.endswith(".part")
