"""``cmbnet curate``: a data set in, a clean collection out."""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from CMBNetLib.errors import InputError
from CMBNetLib.files import atomic_output
from CMBNetLib.preparation import PIXEL_MM, THINNEST_SLICE_MM
from CMBNetLib.progress import ConsoleProgress, Progress
from CMBNetLib.wording import number_of

from .collection import FAILED, Collection, write_json
from .collection_figure import collection_figure
from .collection_review import fixes_path
from .collection_splits import SplitRule, assign_splits
from .collection_tables import write_tables
from .curation_run import LOCK, CurationTask, is_to_do, make_task, run_tasks
from .dataset_layouts import AUTO, choose_layout, layout_names
from .folder_lock import only_one
from .layout_files import safe_id
from .manual_fixes import ManualFix, read_fixes
from .mark_refinement import REFINE
from .scan_curation import PICTURES, CurationSettings
from .source_problems import read_problems, write_problems
from .source_scan import NEGATIVE, REAL, SYNTHETIC, Listing, Problem, SourceScan

HELP = "bring data sets into one clean collection"
ROLES = (REAL, SYNTHETIC, NEGATIVE)


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Arguments of the command."""
    parser.add_argument("source", type=Path, help="folder of the data set")
    parser.add_argument(
        "-o", "--output", type=Path, required=True, metavar="COLLECTION", help="folder of the collection"
    )
    parser.add_argument(
        "--dataset", choices=layout_names(), default=AUTO, help="what the source is (default: %(default)s)"
    )
    parser.add_argument("--name", help="name that scan ids begin with, for several sets of one kind in a collection")
    parser.add_argument(
        "--roles", nargs="+", choices=ROLES, default=list(ROLES), help="which scans to take (default: all)"
    )
    choices = "; ".join(f"{name}: {what}" for name, what in REFINE.items())
    text = f"what is grown to the shape of the lesion: {choices} (default: %(default)s)"
    parser.add_argument("--refine", choices=list(REFINE), default="points", help=text)
    text = "list of corrections (default: corrections.csv in the collection, if it is there)"
    parser.add_argument("--fixes", type=Path, metavar="CSV", help=text)
    parser.add_argument("--retry", choices=("failed",), help="also do scans again that failed")
    parser.add_argument(
        "--workers", type=int, default=2, metavar="N", help="processes; 0: this one (default: %(default)s)"
    )
    parser.add_argument(
        "--pictures", choices=PICTURES, default="all", help="which microbleeds to draw (default: %(default)s)"
    )
    text = "edge of the working grid's pixels in mm (default: that of detection, %(default)s)"
    parser.add_argument("--pixel-mm", type=float, default=PIXEL_MM, metavar="MM", help=text)
    text = "thinner slices are averaged to this (default: that of detection, %(default)s)"
    parser.add_argument("--slice-mm", type=float, default=THINNEST_SLICE_MM, metavar="MM", help=text)
    parser.add_argument(
        "--validation", type=float, default=0.15, metavar="SHARE", help="of the subjects (default: %(default)s)"
    )
    parser.add_argument(
        "--test", type=float, default=0.0, metavar="SHARE", help="of the subjects (default: %(default)s)"
    )
    parser.add_argument("--seed", type=int, default=0, help="of the split (default: %(default)s)")


def run(args: argparse.Namespace, progress: Progress) -> int:
    """Curate; returns the exit code: 2 where a scan failed or could not be taken, after all others are done."""
    settings, rule = _checked(args), SplitRule(args.validation, args.test, args.seed)
    layout = choose_layout(args.source, args.dataset)
    progress.stage("list", f"Listing {layout.title} in {args.source}")
    listing = _named(layout.list_scans(args.source), layout.name, args.name)
    collection = Collection(args.output)
    with only_one(collection.work / LOCK):
        collection.begin()
        listing = _of_roles(_with_gone(listing, collection, args.name or layout.name), args.roles)
        if not listing.scans and not listing.problems:
            raise InputError(f"{args.source} holds no scan of the roles {', '.join(args.roles)}.")
        write_problems(collection.work, args.name or layout.name, listing.problems)
        for problem in listing.problems:
            progress.warning(problem.code, f"{problem.scan_id}: {problem.message}")
        fixes = _fixes(args, listing.scans, progress)
        tasks = [make_task(scan, settings, fixes, args.source, args.output) for scan in listing.scans]
        todo = _to_do(tasks, collection, retry_failed=args.retry == "failed")
        progress.stage("curate", f"{len(todo)} of {number_of(len(tasks), 'scan')} to do")
        run_tasks(todo, args.workers, progress, collection.work)
        collection.sweep()
        return _finish(collection, rule, listing, progress)


def _finish(collection: Collection, rule: SplitRule, listing: Listing, progress: Progress) -> int:
    """Write the tables of the whole collection and tell what is in it."""
    progress.stage("tables", "Writing the tables")
    records, states = collection.records(), collection.states()
    problems = read_problems(collection.work)
    try:
        splits = assign_splits(records, rule)
    except InputError:
        # The scans are fine, only their use is not: the tables are written without a split, then the error is told.
        write_tables(collection, records, {}, problems)
        raise
    write_tables(collection, records, splits, problems)
    with atomic_output(collection.folder / "tables" / "collection.png") as temporary:
        temporary.write_bytes(collection_figure(records))
    write_json(collection.folder / "splits.json", _split_lists(splits, rule))
    failed = sum(states[scan.scan_id].status == FAILED for scan in listing.scans if scan.scan_id in states)
    doubtful = sum(record["status"] != "good" for record in records)
    microbleeds = sum(record["counts"]["collection"] for record in records)
    summary = (
        f"{number_of(len(records), 'scan')} with {number_of(microbleeds, 'microbleed')} in the collection, "
        f"{doubtful} to look at; of this source {failed} failed, with "
        f"{number_of(len(listing.problems), 'problem')} (log.csv)"
    )
    progress.advance(1.0)
    payload = {
        "collection": str(collection.folder.resolve()), "summary": summary, "n_scans": len(records),
        "n_microbleeds": microbleeds, "n_to_look_at": doubtful, "n_failed": failed, "n_problems": len(listing.problems),
    }  # fmt: skip
    progress.result(payload)
    progress.close()
    if isinstance(progress, ConsoleProgress):
        print(f"{collection.folder}: {summary}.")
    return 2 if failed or listing.problems else 0


def _checked(args: argparse.Namespace) -> CurationSettings:
    if not 0.2 <= args.pixel_mm <= 7 or not 0.2 <= args.slice_mm <= 7:
        raise InputError("The working grid's voxel edges must lie between 0.2 and 7 mm (--pixel-mm, --slice-mm).")
    if not 0 <= args.workers <= 256:
        raise InputError("--workers is a number from 0 to 256.")
    if args.source.resolve() == args.output.resolve():
        raise InputError("The collection cannot be the folder of the data set; choose another with -o.")
    return CurationSettings(args.refine, args.pictures, args.pixel_mm, args.slice_mm)


def _named(listing: Listing, layout: str, name: str | None) -> Listing:
    """Return the listing with the ids of scans, subjects and problems beginning with the name that is wanted."""
    if not name:
        return listing

    def renamed(text: str) -> str:
        return safe_id(name) + text.removeprefix(layout)

    own = (
        replace(scan, scan_id=renamed(scan.scan_id), subject_id=renamed(scan.subject_id), dataset=safe_id(name))
        for scan in listing.scans
    )
    problems = (replace(problem, scan_id=renamed(problem.scan_id)) for problem in listing.problems)
    return Listing(tuple(own), tuple(problems))


def _with_gone(listing: Listing, collection: Collection, name: str) -> Listing:
    """Add a problem for each scan of the data set that the collection has and the source no longer."""
    listed = {scan.scan_id for scan in listing.scans}
    here = [record["scan_id"] for record in collection.records() if record["dataset"] == safe_id(name)]
    text = "{0} is in the collection, but the source no longer has it. To leave it out, delete its record {0}.json."
    gone = tuple(Problem(scan_id, "gone", text.format(scan_id)) for scan_id in here if scan_id not in listed)
    return replace(listing, problems=(*listing.problems, *gone))


def _of_roles(listing: Listing, roles: Sequence[str]) -> Listing:
    return replace(listing, scans=tuple(scan for scan in listing.scans if scan.role in roles))


def _fixes(args: argparse.Namespace, scans: Sequence[SourceScan], progress: Progress) -> list[ManualFix]:
    path = args.fixes or fixes_path(args.output)
    if args.fixes is None and not path.is_file():
        return []
    fixes = read_fixes(path)
    known = {scan.scan_id for scan in scans}
    for scan_id in sorted({fix.scan_id for fix in fixes} - known):
        # The list is of the whole collection, and this run may be of one of its data sets.
        if not Collection(args.output).record(scan_id).is_file():
            progress.warning("fix", f"{path.name} corrects the scan {scan_id}, which does not exist.")
    return fixes


def _to_do(tasks: Sequence[CurationTask], collection: Collection, *, retry_failed: bool) -> list[CurationTask]:
    return [task for task in tasks if is_to_do(task, collection.state(task.source.scan_id), retry_failed=retry_failed)]


def _split_lists(splits: dict[str, str], rule: SplitRule) -> dict[str, object]:
    names = sorted(set(splits.values()))
    lists = {name: sorted(scan for scan, split in splits.items() if split == name) for name in names}
    return {"validation": rule.validation, "test": rule.test, "seed": rule.seed, "scans": lists}
