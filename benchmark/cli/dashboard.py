"""The command dashboard: Optuna's own pages on a study."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console

from benchmark.cli.app import app
from benchmark.cli.options import Root, Storage, StudyToRead
from benchmark.cli.output import teller
from benchmark.cli.studies import open_named


@app.command()
def dashboard(
    study: StudyToRead = None,
    port: Annotated[int, typer.Option(min=0, max=65535, help="0 takes a free one.")] = 8080,
    host: Annotated[
        str, typer.Option(help="Address to listen on; whoever reaches it may change the study.")
    ] = "127.0.0.1",
    storage: Storage = None,
    root: Root = Path(),
) -> None:
    """Show a study in optuna-dashboard, its figures among the artifacts, until Ctrl-C.

    Needs a library more: pip install optuna-dashboard

    Example: bench dashboard cifar10-cpu --port 8080
    """
    from benchmark.dashboard import attach_figures, dashboard_server
    from benchmark.records import count_complete

    store = open_named(study, root, storage, console := Console())
    say = teller(console)
    server = dashboard_server(store, host, port)
    if count_complete(store.trials()):
        from benchmark.leaderboard import draw
        from benchmark.study import leaderboard_of

        drawn = [path for path in draw(leaderboard_of(store), root / "results") if path.suffix == ".png"]
        say(f"{attach_figures(store, drawn)} figures are among the study's artifacts")
    say(f"http://{host}:{server.server_port}/dashboard - end with Ctrl-C")
    try:
        server.serve_forever()
    except KeyboardInterrupt:
        say("ended")
    finally:
        server.server_close()
