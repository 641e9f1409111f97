"""``cmbnet evaluate``: predictions or readings against references."""

from __future__ import annotations

import argparse
from dataclasses import replace
from pathlib import Path
from typing import Any

from CMBNetLib.errors import InputError
from CMBNetLib.progress import Progress
from CMBNetLib.wording import number_of

from .comparison import compare_models
from .evaluation import Evaluation, evaluate_pairs, measure
from .evaluation_output import TITLE, write_evaluation
from .gallery import Gallery
from .pairs import Pair, pairs_from_folders, pairs_from_table, with_attributes
from .report_page import summary_text
from .rules import PRESETS, rule_of
from .scan_evaluation import EvaluationSettings

HELP = "compare detections or readings with a reference"
_OTHER_FOLDERS = ("ignore", "decoys", "image", "regions")


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the options of the command."""
    source = parser.add_argument_group("what is compared")
    source.add_argument("--predictions", type=Path, metavar="DIR", help="detections, masks, maps or point lists")
    source.add_argument("--references", type=Path, metavar="DIR", help="masks, point lists or readings files")
    source.add_argument("--pairs", type=Path, metavar="CSV", help="scan_id,prediction,reference and more, instead")
    source.add_argument("--manifest", type=Path, metavar="CSV", help="attributes of the scans, for the strata")
    source.add_argument("--images", dest="image", type=Path, metavar="DIR", help="the scans, for the gallery")
    source.add_argument("--ignore", type=Path, metavar="DIR", help="lesions that count neither way")
    source.add_argument("--decoys", type=Path, metavar="DIR", help="known mimics, to name the causes of false calls")
    source.add_argument("--regions", type=Path, metavar="DIR", help="maps of region codes, for zones and regions")
    source.add_argument("--compare", type=Path, metavar="DIR", help="predictions of a second model on the same scans")
    source.add_argument("--readings", type=Path, metavar="DIR", help="a reader study: folder with readings files")
    parser.add_argument("-o", "--output", type=Path, required=True, metavar="DIR", help="folder of the results")
    rule = parser.add_argument_group("how")
    rule.add_argument("--rule", default="distance-5mm", choices=list(PRESETS), help="matching rule (%(default)s)")
    rule.add_argument("--limit", type=float, metavar="N", help="another distance or IoU than the rule's own")
    rule.add_argument("--threshold", type=float, metavar="T", help="call candidates from this score on")
    rule.add_argument(
        "--floor", type=float, default=0.1, metavar="T", help="lowest probability in the FROC (%(default)s)"
    )
    rule.add_argument(
        "--ignore-below-mm", type=float, default=0.0, metavar="MM", help="ignore smaller reference lesions"
    )
    rule.add_argument("--strata", nargs="+", default=[], metavar="COLUMN", help="further columns to stratify by")
    rule.add_argument("--names", nargs=2, default=["first", "second"], metavar="NAME", help="names of the two models")
    rule.add_argument("--title", help="title of the page")
    rule.add_argument("--no-gallery", action="store_true", help="draw no pictures of lesions")


def run(args: argparse.Namespace, progress: Progress) -> int:
    """Run the command; exit code 0."""
    settings = settings_of(args)
    if args.readings is not None:
        from .reader_study_output import run_reader_study

        folders = (args.readings, args.references, args.predictions)
        title = args.title or "Reader study"
        result = run_reader_study(*folders, settings, args.output, progress, images=args.image, title=title)
        if not args.json_events:
            read = f"{number_of(result['readings'], 'reading')} of {number_of(result['cases'], 'case')}"
            print(f"{read}\nResults: {result['report']}")
        progress.result(result)
        return 0
    progress.stage("pair", "Looking for pairs of prediction and reference")
    pairs, problems = pairs_of(args)
    progress.stage("compare", f"Comparing {number_of(len(pairs), 'scan')}")
    gallery = None if args.no_gallery else Gallery(args.output / "gallery")
    evaluation = evaluate_pairs(pairs, settings, progress, gallery)
    notes = tuple({"scan_id": "pairs", "message": text} for text in problems)
    evaluation = replace(evaluation, problems=notes + evaluation.problems)
    progress.stage("measure", "Measuring")
    metrics = measure(evaluation.results, strata=args.strata)
    comparison, notes = _comparison(args, evaluation, settings)
    evaluation = replace(evaluation, problems=evaluation.problems + notes)
    progress.advance(0.97)
    paths = write_evaluation(
        args.output, evaluation, metrics, title=args.title or TITLE, comparison=comparison, progress=progress,
        gallery=None if gallery is None else gallery.folder,
    )  # fmt: skip
    progress.advance(1.0)
    if not args.json_events:
        print(f"{summary_text(metrics['detection'])}\nResults: {paths.get('report', paths['json'])}")
    progress.result(_payload(paths, metrics, evaluation))
    return 0


def settings_of(args: argparse.Namespace) -> EvaluationSettings:
    """The settings that the options mean; `InputError` where they contradict each other."""
    rule = rule_of(args.rule, limit=args.limit)
    for name in ("threshold", "floor"):
        value = getattr(args, name)
        if value is not None and not 0 <= value <= 1:
            raise InputError(f"--{name} is a score between 0 and 1, not {value:g}.")
    return EvaluationSettings(rule, args.threshold, args.floor, args.ignore_below_mm)


def pairs_of(args: argparse.Namespace, other_model: Path | None = None) -> tuple[list[Pair], list[str]]:
    """The pairs that the options name, and what could not be resolved.

    Parameters
    ----------
    other_model
        Folder of predictions to take instead of those that the options name.
    """
    problems: list[str] = []
    predictions = other_model or args.predictions
    if args.pairs is not None:
        pairs = pairs_from_table(args.pairs, predictions, replace_predictions=other_model is not None)
    elif predictions is None or args.references is None:
        raise InputError("Give --predictions and --references, or --pairs; for a reader study, --readings.")
    else:
        others = {name: getattr(args, name) for name in _OTHER_FOLDERS}
        pairs, problems = pairs_from_folders(predictions, args.references, **others)
    if args.manifest is not None:
        pairs, unknown = with_attributes(pairs, args.manifest)
        problems += unknown
    return pairs, problems


def _comparison(
    args: argparse.Namespace, evaluation: Evaluation, settings: EvaluationSettings
) -> tuple[tuple[dict[str, Any], list[str]] | None, tuple[dict[str, str], ...]]:
    """The comparison with the second model, and what was wrong with the second model's files."""
    if args.compare is None:
        return None, ()
    pairs, problems = pairs_of(args, args.compare)
    second = evaluate_pairs(pairs, settings)
    name = args.names[1]
    notes = [{"scan_id": "pairs", "message": f"{name}: {text}"} for text in problems]
    notes += [{**problem, "message": f"{name}: {problem['message']}"} for problem in second.problems]
    return (compare_models(evaluation.results, second.results), list(args.names)), tuple(notes)


def _payload(paths: dict[str, Path], metrics: dict[str, Any], evaluation: Evaluation) -> dict[str, Any]:
    pooled = metrics["detection"]["pooled"]
    values = {name: estimate.value for name, estimate in pooled.items()}
    return {
        "evaluation": str(paths["json"].resolve()),
        "report": str(paths["report"].resolve()) if "report" in paths else None,
        "scans": len(evaluation.results),
        "problems": len(evaluation.problems),
        "summary": summary_text(metrics["detection"]),
        **values,
    }
