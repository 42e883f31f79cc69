"""Fuzz everything that reads files of the key vault with atheris, guided by coverage (docs/fuzzing.md).

    python tools/fuzz_sealed_key.py CORPUS -max_total_time=600

The first byte of an input chooses the reader, the rest is what it reads.  The folder CORPUS is made
if it is missing, and gets the good files of each reader.  Every other option is libFuzzer's.  An
exception that is no refusal, a run longer than a second or one with more than 512 MiB ends it.
"""

from __future__ import annotations

import hashlib
import sys
from pathlib import Path

import atheris

with atheris.instrument_imports(include=["keyvault", "adc_firmware", "json"]):
    import fuzz_readers
    from mutations import mutate
    from sealed_key_bench import FOLDER, Bench

MAX_INPUT = 65_536
OPTIONS = (f"-max_len={MAX_INPUT}", "-timeout=1", "-rss_limit_mb=512", "-print_final_stats=1")
READERS = tuple(fuzz_readers.readers(Bench.build()).values())


def read(data: bytes) -> None:
    """Hand one input to its reader."""
    if data:
        READERS[data[0] % len(READERS)].accepts(data[1:])


def change(data: bytes, most: int, seed: int) -> bytes:
    """An input from another one: half of them by structure, the others libFuzzer's own way."""
    if data and seed % 2:
        return (data[:1] + mutate(data[1:], fuzz_readers.random_numbers(seed)))[:most]
    return bytes(atheris.Mutate(data, most))


def write_seeds(corpus: Path) -> None:
    """Put good files, and the refused ones of the test vectors, into the corpus."""
    corpus.mkdir(parents=True, exist_ok=True)
    seeds = [bytes((at,)) + seed for at, reader in enumerate(READERS) for seed in reader.seeds]
    vectors = sorted((FOLDER / "refused").glob("*.json"))
    seeds += [b"\0" + fuzz_readers.sealed_text(path) for path in vectors]
    for seed in seeds:
        (corpus / hashlib.sha256(seed).hexdigest()[:16]).write_bytes(seed)


def main() -> None:
    """Fuzz until libFuzzer ends."""
    if len(sys.argv) < 2 or sys.argv[1].startswith("-"):
        raise SystemExit(__doc__)
    write_seeds(Path(sys.argv[1]))
    atheris.Setup([sys.argv[0], *OPTIONS, *sys.argv[1:]], read, custom_mutator=change)
    atheris.Fuzz()


if __name__ == "__main__":
    main()
