"""The models a user can choose from."""

from __future__ import annotations

from CMBNetLib.bundle import DEFAULT_MODEL, Bundle, bundle_folders, load_bundle
from CMBNetLib.errors import BundleError, EnvironmentProblem


def installed_models() -> tuple[list[Bundle], list[str]]:
    """The models that can be used, the default one first, and why the others cannot."""
    models, problems = [], []
    try:
        folders = list(bundle_folders())
    except EnvironmentProblem as problem:
        return [], [str(problem)]
    for folder in folders:
        try:
            models.append(load_bundle(folder))
        except BundleError as problem:
            problems.append(str(problem))
    models.sort(key=lambda model: (model.id != DEFAULT_MODEL, model.name))
    return models, problems


def model_title(model: Bundle) -> str:
    """``CMBNet preview 0.1.0 (preview)``."""
    return f"{model.name} {model.version} ({model.status})"


def operating_point_title(model: Bundle, name: str) -> str:
    """``balanced: finds 84%, 0.5 false/scan``."""
    point = model.operating_points[name]
    return f"{name}: finds {point.sensitivity:.0%}, {point.false_positives_per_scan:.1f} false/scan"
