"""Many scans to one collection: what is to do, in several processes, and what comes of it."""

from __future__ import annotations

import hashlib
import json
import multiprocessing
import os
import signal
import threading
import time
import traceback
from collections.abc import Iterator, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, ProcessPoolExecutor, wait
from concurrent.futures.process import BrokenProcessPool
from dataclasses import asdict, dataclass
from pathlib import Path

from CMBNetLib.errors import CMBNetError, EnvironmentProblem
from CMBNetLib.progress import Progress

from .collection import DONE, FAILED, Collection, State
from .folder_lock import join
from .manual_fixes import ManualFix
from .scan_curation import RECORD_VERSION, CurationSettings, curate_scan
from .source_scan import SourceError, SourceScan

# How often the waiting parent looks whether it was cancelled.
POLL_S = 0.2
BUG = "bug"
LOCK, LOG = "lock", "runs.log"


@dataclass(frozen=True)
class CurationTask:
    """One scan to do, as it is sent to a worker."""

    source: SourceScan
    settings: CurationSettings
    fixes: tuple[ManualFix, ...]
    root: Path
    collection: Path
    key: str


@dataclass(frozen=True)
class Outcome:
    """How a scan ended: ``done`` or ``failed``."""

    scan_id: str
    status: str
    message: str = ""


def make_task(
    source: SourceScan, settings: CurationSettings, fixes: Sequence[ManualFix], root: Path, collection: Path
) -> CurationTask:
    """Return the task of a scan with the key of everything that its result depends on.

    Files count by size and time of change, because reading thousands of scans only to find them unchanged takes hours.
    """
    own = tuple(fix for fix in fixes if fix.scan_id == source.scan_id)
    content = {
        "version": RECORD_VERSION,
        "source": asdict(source),
        "settings": asdict(settings),
        "fixes": [asdict(fix) for fix in own],
        "files": [_stamp(path) for path in source.files],
    }
    text = json.dumps(content, sort_keys=True, default=str)
    return CurationTask(source, settings, own, root, collection, hashlib.sha256(text.encode()).hexdigest())


def _stamp(path: Path) -> list[int]:
    try:
        status = path.stat()
    except OSError:
        return []
    return [status.st_size, status.st_mtime_ns]


def is_to_do(task: CurationTask, state: State | None, *, retry_failed: bool) -> bool:
    """Tell whether a scan has to be done: it never was, something about it changed, or it failed and is retried."""
    if state is None or state.key != task.key:
        return True
    return state.status == FAILED and retry_failed


def do_task(task: CurationTask) -> Outcome:
    """Curate one scan and write it; whatever goes wrong becomes the scan's state, and the others go on."""
    collection, scan_id = Collection(task.collection), task.source.scan_id
    try:
        curated = curate_scan(task.source, task.settings, task.fixes, task.root)
        collection.write(scan_id, curated, task.key)
        return Outcome(scan_id, DONE)
    except EnvironmentProblem:
        raise
    except CMBNetError as error:
        code = error.code if isinstance(error, SourceError) else "unusable"
        message = str(error)
    except Exception as error:
        code = BUG
        message = f"This is a bug in SlicerCMBNet, please report it: {type(error).__name__}: {error}"
        (collection.work / f"{scan_id}.traceback.txt").write_text(traceback.format_exc(), encoding="utf-8")
    collection.fail(scan_id, task.key, code, message)
    return Outcome(scan_id, FAILED, message)


def run_tasks(tasks: Sequence[CurationTask], workers: int, progress: Progress, work: Path) -> list[Outcome]:
    """Do all tasks; returns how each ended.

    Parameters
    ----------
    workers : int
        Processes; 0 does everything in this one.
    work : Path
        Folder that this program has the lock of; ``runs.log`` in it gets a line for each scan, with the time.

    Raises
    ------
    Cancelled
        The job was cancelled; what is done stays.
    EnvironmentProblem
        A worker was ended by the system, the disk is full.
    """
    outcomes = []
    done = _here(tasks, progress) if workers == 0 else _elsewhere(tasks, workers, progress, work / LOCK)
    with (work / LOG).open("a", encoding="utf-8") as stream:
        for outcome in done:
            outcomes.append(outcome)
            stamp = time.strftime("%Y-%m-%dT%H:%M:%S%z")
            print(stamp, outcome.scan_id, outcome.status, outcome.message, file=stream, flush=True)
            if outcome.status == FAILED:
                progress.warning("scan_failed", f"{outcome.scan_id}: {outcome.message}")
            progress.stage("curate", f"Scan {len(outcomes)} of {len(tasks)} ({outcome.scan_id})")
            progress.advance(0.97 * len(outcomes) / len(tasks))
    return outcomes


def _here(tasks: Sequence[CurationTask], progress: Progress) -> Iterator[Outcome]:
    for task in tasks:
        progress.check_cancelled()
        yield do_task(task)


def _elsewhere(tasks: Sequence[CurationTask], workers: int, progress: Progress, lock: Path) -> Iterator[Outcome]:
    if not tasks:
        return
    # Spawned, not forked: ITK and the progress bar have threads, and a fork copies their locks.
    context = multiprocessing.get_context("spawn")
    workers = min(workers, len(tasks))
    threads = max(1, (os.cpu_count() or 1) // workers)
    pool = ProcessPoolExecutor(workers, context, initializer=_begin_worker, initargs=(threads, lock))
    try:
        pending: set[Future[Outcome]] = {pool.submit(do_task, task) for task in tasks}
        while pending:
            progress.check_cancelled()
            done, pending = wait(pending, timeout=POLL_S, return_when=FIRST_COMPLETED)
            for future in sorted(done, key=lambda future: future.result().scan_id):
                yield future.result()
    except BrokenProcessPool as error:
        progress.check_cancelled()
        raise EnvironmentProblem(
            "A worker was ended by the system, probably for its memory. Run again with fewer --workers; "
            "what is done stays."
        ) from error
    finally:
        _stop(pool)


def _stop(pool: ProcessPoolExecutor) -> None:
    """End the workers now: after all is done they are idle, and after a cancel nobody waits for them."""
    pool.shutdown(wait=False, cancel_futures=True)
    for child in multiprocessing.active_children():
        child.terminate()
        child.join(5)


def _begin_worker(threads: int, lock: Path) -> None:
    """Settings of a worker: no Ctrl-C of its own, its share of the cores, and an end when its parent dies."""
    import SimpleITK as sitk

    join(lock)
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    sitk.ProcessObject.SetGlobalDefaultNumberOfThreads(threads)
    threading.Thread(target=_end_with_parent, daemon=True).start()


def _end_with_parent() -> None:
    """Wait for the parent; a parent killed by force cannot tell its workers to stop."""
    parent = multiprocessing.parent_process()
    if parent is not None:
        parent.join()
        os._exit(1)
