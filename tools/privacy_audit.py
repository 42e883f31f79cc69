"""Attack private frames and say what gave way: python tools/privacy_audit.py --policy default --scenes DIR -o audit

Makes frames of known scenes under each policy, through the camera and the host, or pictures under a peer of Table 2, or
takes a folder of private frames with the sealed key that opens them; runs the attacks; and writes index.html, one page
that needs nothing else, and findings.json.  What each attack found is kept in the folder's ``work``: stop it at any
time, and the same command goes on.  The exit code says whether the audit ran, not what it found: 0 whatever the
verdicts are.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import click
from tqdm import tqdm

from audit.appearance import Appearance
from audit.attack import Attack
from audit.finding import Finding, Stand, worst_first
from audit.job import Job
from audit.peer_evidence import PeerAttack
from audit.peer_subjects import ALL, PeerSubject, is_peer, peer_job, peer_keys
from audit.policy_jobs import frames_audit, policy_audit
from audit.registry import chosen_attacks, chosen_peer_attacks, code_digest
from audit.report import NotRun, Report, render
from audit.scenes import Source
from audit.store import CODE, Store
from audit.subjects import COMPARED, subject
from image_sources import open_source
from kept_results import command_line
from keyvault.console import Command
from keyvault.errors import InputError
from keyvault.files import write_whole
from measure import environment

FULL = (1000, 10_000)  # frames, and scenes that attackers know
QUICK = (400, 1000)


@dataclass(frozen=True, slots=True)
class Wanted:
    """What every finding depends on besides its policy: the scenes, and the seed of the attacks."""

    source: Source
    seed: int


@dataclass(frozen=True)
class Results:
    """What the attacks got from one policy or peer."""

    findings: list[Finding]
    not_run: list[NotRun]
    appearance: Appearance


def audit(job: Job, store: Store, progress: Any) -> Results:
    """What the attacks get from one policy or peer; what the store holds already is not run again."""
    results = Results([], [], store.kept_appearance(job.appearance))
    for trial in job.trials:
        progress.set_postfix_str(f"{job.name}, {trial.stand}, {trial.attack}")
        result = store.kept(trial.attack, trial.stand, trial.run)
        if isinstance(result, Finding):
            results.findings.append(result)
        else:
            results.not_run.append(result)
        progress.update()
    return results


@dataclass(frozen=True)
class Chosen:
    """Which attacks are run, and where; those on peers are others, and stand at the file."""

    attacks: list[Attack]
    peer_attacks: list[PeerAttack]
    stands: list[Stand]

    @property
    def titles(self) -> dict[str, str]:
        """Of all of them, by name."""
        return {one.name: one.title for one in self.peer_attacks} | {one.name: one.title for one in self.attacks}


def make_jobs(
    names: tuple[str, ...], frames: Path | None, key: Path | None, wanted: Wanted, chosen: Chosen
) -> list[Job]:
    """What is to be audited; InputError if that is nothing, or not clear."""
    if frames is not None and names:
        raise click.UsageError("give FRAMES or --policy, not both")
    if (frames is None) != (key is None):
        raise click.UsageError("FRAMES and --key go together: attacks can be scored only by who can open the frames")
    if frames is not None and key is not None:
        return [frames_audit(frames, key, wanted.source, wanted.seed).job(chosen.attacks, chosen.stands)]
    if not names:
        raise InputError("nothing to audit", hint=f"give FRAMES, or --policy with {', '.join(COMPARED)} or other words")
    jobs: dict[str, Job] = {}
    for job in (job for name in names for job in _jobs(name, wanted, chosen)):
        if jobs.setdefault(job.name, job).options != job.options:
            raise InputError(f"two policies are called {job.name}", hint="give the sealed keys' files different names")
    return list(jobs.values())


def _jobs(name: str, wanted: Wanted, chosen: Chosen) -> list[Job]:
    """One policy by its name; one peer, or all."""
    if is_peer(name):
        peers = [PeerSubject(key, wanted.source, wanted.seed) for key in peer_keys(name)]
        return [peer_job(peer, chosen.peer_attacks, chosen.stands) for peer in peers]
    return [policy_audit(subject(name), wanted.source, wanted.seed).job(chosen.attacks, chosen.stands)]


def write_report(report: Report, output: Path) -> None:
    """Write the page and the findings, neither of them if one cannot be made."""
    page, findings = render(report).encode(), (json.dumps(report.to_json(), indent=1) + "\n").encode("ascii")
    write_whole(output / "findings.json", findings)
    write_whole(output / "index.html", page)
    for finding in worst_first(report.findings):
        click.echo(f"{finding.verdict:12} {finding.policy:12} {finding.stand:12} {finding.attack}")
    for left in report.not_run:
        click.echo(f"{'not run':12} {left.policy:12} {left.stand:12} {left.attack}: {left.reason}")
    click.echo(f"written to {output / 'index.html'} and findings.json")


@click.command(
    cls=Command,
    name="privacy_audit",
    goes_on="the same command goes on from there",
    context_settings={"help_option_names": ["-h", "--help"]},
)
@click.argument("frames", required=False, type=click.Path(path_type=Path))
@click.option(
    "--policy",
    "policies",
    multiple=True,
    metavar="WORDS|KEY|PEER",
    help=f"Names ({', '.join(COMPARED)}), words as of `sensor-sim cost`, such as 64x64,RGGB,row, a sealed key, or a "
    f"peer of Table 2, such as peer:le, or {ALL}.",
)
@click.option("--key", type=click.Path(path_type=Path), help="Sealed key that opens FRAMES, with this user's host key.")
@click.option(
    "--scenes",
    type=click.Path(path_type=Path),
    required=True,
    help="CIFAR-10, or a folder of images: what cameras see here, and what the attacker knows.",
)
@click.option("-o", "--output", type=click.Path(path_type=Path), required=True, help="Folder for the report.")
@click.option("--attack", "names", multiple=True, help="Only these.  [default: all]")
@click.option("--stand", "stands", multiple=True, type=click.Choice([str(one) for one in Stand]), help="Only there.")
@click.option(
    "--quick", is_flag=True, help=f"{QUICK[0]} frames and {QUICK[1]} known scenes, not {FULL[0]} and {FULL[1]}."
)
@click.option("--count", type=click.IntRange(2), help="Frames to make of each policy; known scenes are the rest.")
@click.option("--seed", default=1, show_default=True, type=click.IntRange(0), help="Of the attacks.")
@click.pass_context
def main(
    context: click.Context,
    /,
    frames: Path | None,
    policies: tuple[str, ...],
    key: Path | None,
    scenes: Path,
    output: Path,
    names: tuple[str, ...],
    stands: tuple[str, ...],
    quick: bool,
    count: int | None,
    seed: int,
) -> None:
    """Attack policies, or the private frames in the folder FRAMES.  Exits with 0 if it ran, whatever it found."""
    if frames is not None and count is not None:
        raise click.UsageError("--count is of frames that are made, FRAMES are there already")
    made, known = QUICK if quick else FULL
    open_source([scenes], None, "test")  # refuses a missing data set before anything is made
    if output.resolve().is_relative_to(scenes.resolve()):
        raise InputError(f"{output} lies among the scenes in {scenes}", hint="name a folder outside it with -o")
    wanted = Wanted(Source.of(scenes, count or made, known), seed)
    places = [stand for stand in Stand if str(stand) in stands or not stands]
    chosen = Chosen(chosen_attacks(names), chosen_peer_attacks(names), places)
    jobs = make_jobs(policies, frames, key, wanted, chosen)
    trials = sum(len(job.trials) for job in jobs)
    if not trials:
        raise InputError("nothing to audit: none of these attacks stands there", hint="give other --attack or --stand")
    with tqdm(total=trials, unit="attack", disable=None) as progress:
        code = code_digest()
        stores = [Store.open(output / "work", job.name, job.options | {CODE: code}) for job in jobs]
        found = [audit(job, store, progress) for job, store in zip(jobs, stores, strict=True)]
    report = Report(
        audited=_audited(frames, jobs, wanted.source),
        policies={job.name: job.about for job in jobs},
        titles=chosen.titles,
        findings=[finding for results in found for finding in results.findings],
        not_run=[left for results in found for left in results.not_run],
        appearances=[results.appearance for results in found],
        environment=environment(),
        made_on=[one for store in stores for one in store.made_on],
        command=command_line(context),
        code=code,
        seed=seed,
    )
    write_report(report, output)


def _audited(frames: Path | None, jobs: list[Job], source: Source) -> list[str]:
    what = f"private frames in {frames.name}" if frames else f"policies {', '.join(job.name for job in jobs)}"
    made = "" if frames else f"{source.frames} for frames, "
    return [what, f"scenes from {source.folder.name}: {made}up to {source.known} known to attackers"]


if __name__ == "__main__":
    main(prog_name="privacy_audit.py")
