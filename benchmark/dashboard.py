"""Optuna's dashboard on a study, with the study's figures among its artifacts; draws nothing and stores no result."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from socketserver import ThreadingMixIn
from wsgiref.simple_server import WSGIRequestHandler, WSGIServer, make_server

from optuna.artifacts import FileSystemArtifactStore, get_all_artifact_meta, upload_artifact

from benchmark.errors import BenchError
from benchmark.store import StudyStore

LOCALHOST = "127.0.0.1"


class _Server(ThreadingMixIn, WSGIServer):
    """Answers each request in a thread of its own.

    So a browser's connection that says nothing yet keeps no other waiting, and Ctrl-C reaches `serve_forever`: in the
    middle of an answer wsgiref takes it for a failure of the application, writes a traceback and goes on.
    """

    daemon_threads = True


class _Quiet(WSGIRequestHandler):
    """A line for every file of a page tells nobody anything."""

    def log_message(self, format: str, *args: object) -> None:
        pass


def attach_figures(store: StudyStore, figures: Sequence[Path]) -> int:
    """Have the dashboard show these files with the study, over those of the same names; how many there are.

    The files are copied into the study's folder, and a note of each goes into its database.
    """
    artifacts = _artifacts(store)
    known = {meta.filename: meta.artifact_id for meta in get_all_artifact_meta(store.study)}
    for figure in figures:
        if figure.name in known:
            with figure.open("rb") as content:
                artifacts.write(known[figure.name], content)
        else:
            upload_artifact(artifact_store=artifacts, file_path=str(figure), study_or_trial=store.study)
    return len(figures)


def dashboard_server(store: StudyStore, host: str = LOCALHOST, port: int = 8080) -> WSGIServer:
    """A server that shows the study and answers once `serve_forever` is called; port 0 takes a free one.

    Raises BenchError where optuna-dashboard is missing or the port is taken.
    """
    try:
        from optuna_dashboard import wsgi
    except ImportError:
        raise BenchError("the dashboard needs optuna-dashboard: pip install optuna-dashboard") from None
    try:
        return make_server(
            host,
            port,
            wsgi(store.study._storage, artifact_store=_artifacts(store)),
            server_class=_Server,
            handler_class=_Quiet,
        )
    except OSError as error:
        raise BenchError(f"cannot listen on {host}:{port}: {error.strerror}; choose another with --port") from error


def _artifacts(store: StudyStore) -> FileSystemArtifactStore:
    folder = store.location.folder / "dashboard"
    folder.mkdir(parents=True, exist_ok=True)
    return FileSystemArtifactStore(str(folder))
