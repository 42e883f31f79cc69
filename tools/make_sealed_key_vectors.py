"""Write the test vectors of docs/spec/sealed_key.md to tests/vectors/sealed_key/.

Secrets of 32 bytes are hashes of their names, so derivation.json and device.json are the same at
every run; what sealing draws at random comes from hashes too (sealed_key_writer.py).  Only the hosts'
RSA keys are random; they are kept where they exist, and then every file is the same at every run.
"""

from __future__ import annotations

import json
from typing import Any

from keyvault import claims
from keyvault.derivation import FrameId, commitment, derive_epoch_key, derive_frame_secrets
from keyvault.envelope import verify
from keyvault.hosts import public_pem
from keyvault.policy import Cfa, FrameKeys, Policy, Protection, Unit
from sealed_key_bench import EPOCH, FOLDER, NOW, SENSOR, Bench, secret, write_files
from sealed_key_claims import claimed, ranges
from sealed_key_downgrades import downgraded
from sealed_key_refusals import damaged, dishonest, foreign

POLICIES = {
    "default": Policy(1920, 1080),
    "shuffle": Policy(64, 48, cfa=Cfa.NONE, bits=16, scope="row", protection=Protection.SHUFFLE),
    "quads in bands": Policy(640, 480, cfa=Cfa.GBRG, bits=10, unit=Unit.QUAD, scope="band:16"),
    "stacked": Policy(33, 17, cfa=Cfa.NONE, samples_per_photosite=3, bits=8),
    "fixed": Policy(64, 48, protection=Protection.SHUFFLE, frame_keys=FrameKeys.FIXED),
}


def derivations() -> dict[str, Any]:
    """Epoch keys and frame keys with their inputs."""
    root, salt = secret("root"), secret("salt")
    epochs = [(SENSOR, 1), (SENSOR, EPOCH), ("A", 2**32 - 1)]
    frames = []
    for policy in POLICIES.values():
        for session, counter in ((bytes(16), 0), (secret("session")[:16], 2**48 - 1)):
            epoch_key = derive_epoch_key(root, SENSOR, EPOCH, salt)
            keys = derive_frame_secrets(epoch_key, SENSOR, policy, FrameId(session, counter))
            frames.append(
                {
                    "epoch_key": epoch_key.hex(),
                    "sensor": SENSOR,
                    "policy": policy.to_json(),
                    "policy_digest": policy.digest().hex(),
                    "session": session.hex(),
                    "counter": counter,
                    "permutation_key": keys.permutation_key.hex(),
                    "mask_key": keys.mask_key.hex() if keys.mask_key else None,
                }
            )
    return {"root": root.hex(), "epochs": [_epoch(root, *entry, salt) for entry in epochs], "frames": frames}


def _epoch(root: bytes, sensor: str, epoch: int, salt: bytes) -> dict[str, Any]:
    key = derive_epoch_key(root, sensor, epoch, salt)
    committed = commitment(key).hex()
    return {
        "sensor": sensor,
        "epoch": epoch,
        "salt": salt.hex(),
        "epoch_key": key.hex(),
        "commitment": committed,
        "key_id": committed[:16],
    }


def _json(value: Any) -> str:
    """Indented JSON with a line end."""
    return json.dumps(value, indent=2) + "\n"


def files() -> dict[str, str]:
    """Every vector by the path of its file below the folder of vectors; the hosts' keys are no part of them."""
    bench = Bench.build()
    good = bench.seal()
    expected = {"epoch_key": bench.epoch_key.hex(), "now": NOW, "grant": claims.to_json([bench.grant])}
    made = {
        "derivation.json": _json(derivations()),
        "issuer.pub": public_pem(bench.issuer.public_key()).decode(),
        "device.json": bench.device.to_bytes().decode(),
        "sealed.bin": good.decode(),
        "sealed.json": _json(expected),
        "range.bin": bench.range_for_hosts().decode(),
        "range.json": _json(_range(bench)),
    }
    refusals = (*damaged(bench, good), *foreign(bench, good), *dishonest(bench), *downgraded(bench, good))
    refusals += (*claimed(bench), *ranges(bench))
    names = [refusal.name for refusal in refusals]
    if len(set(names)) != len(names):
        raise ValueError("two refusals have one name")
    return made | {f"refused/{refusal.name}.json": _json(refusal.to_json()) for refusal in refusals}


def _range(bench: Bench) -> dict[str, Any]:
    grants = verify(bench.range_for_hosts(), bench.issuer.public_key()).grants
    keys = [secret(f"epoch key {grant.epoch}").hex() for grant in grants]
    return {"epoch_keys": keys, "now": NOW, "grant": claims.to_json(grants)}


def main() -> None:
    """Write every vector."""
    write_files(FOLDER, "refused", files())


if __name__ == "__main__":
    main()
