"""``trading-assets models``: which sentiment models are here, getting one, and trying it by each of its paths.

What belongs here: arguments, and what a person is told. ``check`` exits with 1 if a path that could be tried failed or
float32 paths disagree; a refusal exits with 2 as everywhere.
"""

from __future__ import annotations

import json
import sys
from dataclasses import asdict
from typing import TYPE_CHECKING, Annotated, Any

import typer

from trading_assets.news.model_config import FINBERT, InferencePath, ModelConfig, ModelKind

if TYPE_CHECKING:
    from pathlib import Path

    from trading_assets.news.model_store import ModelState
    from trading_assets.news.model_trial import Trial

WorldOption = Annotated[str | None, typer.Option("--world", help="Name of the world; default: the default world.")]
JsonOption = Annotated[bool, typer.Option("--json", help="Print JSON instead of text.")]
NameOption = Annotated[
    str | None,
    typer.Option("--name", metavar="MODEL", help="owner/name on the hub, or a folder; default: the configured model."),
]
RevisionOption = Annotated[
    str | None, typer.Option("--revision", metavar="COMMIT", help="Commit of its weights; default: the pinned one.")
]
PathsOption = Annotated[
    list[InferencePath] | None, typer.Option("--path", help="Try this path only; may be repeated. Default: all.")
]

app = typer.Typer(help="The models that score stories.", no_args_is_help=True)


@app.command("list")
def list_models(world: WorldOption = None, as_json: JsonOption = False) -> None:
    """Which models there are: configured or not, on this machine or not, revision, size, paths. Loads none."""
    from trading_assets.news.model_store import states

    config, cache = _configured(world)
    found = states(config, cache)
    if as_json:
        typer.echo(json.dumps([_plain(asdict(state)) for state in found], indent=2, default=str))
    else:
        typer.echo("\n".join(line for state in found for line in _lines(state)))


@app.command("fetch")
def fetch_model(
    name: NameOption = None, revision: RevisionOption = None, world: WorldOption = None, as_json: JsonOption = False
) -> None:
    """Get the weights of a model from the hub into its cache on this machine (HF_HOME), at a pinned revision.

    Without --name the configured one, or the published FinBERT if the lexicon is configured. What is here already is
    not fetched again. HF_ENDPOINT names another hub.
    """
    from trading_assets.news.model_store import fetch

    config, _ = _configured(world)
    asked = _asked(config, name, revision)
    folder = fetch(asked, progress=not as_json and sys.stderr.isatty())
    shown = {"name": asked.name, "revision": _weights(asked), "folder": str(folder)}
    if as_json:
        typer.echo(json.dumps(shown, indent=2))
    else:
        typer.echo(f"{asked.name} {shown['revision']} is in {folder}")
        typer.echo(f"try it: trading-assets models check --name {asked.name}")


@app.command("check")
def check_models(
    name: NameOption = None,
    revision: RevisionOption = None,
    path: PathsOption = None,
    world: WorldOption = None,
    as_json: JsonOption = False,
) -> None:
    """Load a model by each of its paths, let each score the same sentences, and compare scores and speed.

    The first path that works is what the others are compared with. Exports for ONNX Runtime are made where they are
    missing: that takes up to minutes, once.
    """
    from trading_assets.news.finbert import weights_folder
    from trading_assets.news.model_store import PATHS
    from trading_assets.news.model_trial import SENTENCES, trials

    config, cache = _configured(world)
    asked = config if name is None and revision is None else _asked(config, name, revision)
    if asked.kind is ModelKind.LEXICON and path:
        raise typer.BadParameter("the lexicon has no paths: name a model with --name", param_hint="--path")
    if asked.kind is ModelKind.FINBERT:
        weights_folder(asked)
    chosen = [each for each in PATHS if not path or each in path or InferencePath.AUTO in path]
    results = trials(asked, cache, chosen)
    if as_json:
        typer.echo(json.dumps([_trial_json(each) for each in results], indent=2, default=str))
    else:
        label = "vader-finance" if asked.kind is ModelKind.LEXICON else asked.name
        typer.echo(f"{label}: {len(SENTENCES)} sentences\n" + "\n".join(_trial_line(each) for each in results))
    tried = [each for each in results if each.scores or "not installed" not in str(each.problem)]
    if not tried or not all(each.sound for each in tried):
        raise typer.Exit(1)


def register(root: typer.Typer) -> None:
    """Add the group."""
    root.add_typer(app, name="models")


def _configured(world: str | None) -> tuple[ModelConfig, Path]:
    from trading_assets.settings import load_settings

    settings = load_settings(world=world)
    return settings.strategy.news.model, settings.world.models


def _asked(config: ModelConfig, name: str | None, revision: str | None) -> ModelConfig:
    """The configured transformer, or the published one, with what the options name in its place."""
    changes: dict[str, Any] = {"kind": ModelKind.FINBERT}
    if name is not None:
        changes |= {"name": name, "revision": None}
    elif config.kind is ModelKind.LEXICON:
        changes |= {"name": FINBERT, "revision": None}
    if revision is not None:
        changes["revision"] = revision
    return ModelConfig.model_validate({**config.model_dump(), **changes})


def _weights(config: ModelConfig) -> str:
    from trading_assets.news.model_identity import weights_revision

    return weights_revision(config)


def _plain(state: dict[str, Any]) -> dict[str, Any]:
    state["artefacts"] = [{"folder": folder, "bytes": size} for folder, size in state["artefacts"]]
    state["paths"] = {path: list(missing) for path, missing in state["paths"].items()}
    return state


def _lines(state: ModelState) -> list[str]:
    mark = "configured" if state.configured else "not configured"
    head = f"{state.kind.value}: {state.name} {state.revision or ''}".rstrip()
    if state.kind is ModelKind.LEXICON:
        return [f"{head}, {mark}, built in"]
    if state.problem is not None:
        return [f"{head}, {mark}: {state.problem}"]
    if state.folder is None or state.bytes is None:
        lines = [f"{head}, {mark}, not on this machine: trading-assets models fetch"]
    else:
        lines = [f"{head}, {mark}, {state.bytes / 1e6:,.1f} MB in {state.folder}"]
    for path, missing in state.paths.items():
        chosen = "  <- configured" if state.configured and state.path is not None and path == state.path.value else ""
        lines.append(f"  {path:10s} {'lacks ' + ', '.join(missing) if missing else 'available'}{chosen}")
    return [*lines, *(f"  exported   {folder}, {size / 1e6:,.1f} MB" for folder, size in state.artefacts)]


def _trial_json(trial: Trial) -> dict[str, Any]:
    shown = asdict(trial)
    shown["scores"] = [round(score.signed, 6) for score in trial.scores]
    return {**shown, "sound": trial.sound}


def _trial_line(trial: Trial) -> str:
    if trial.problem is not None or trial.per_second is None:
        return f"  {trial.path:10s} {trial.problem}"
    compared = "reference"
    if trial.difference is not None and trial.agree is not None:
        compared = f"largest difference {trial.difference:.2g}, equal labels {trial.agree:.0%}"
    verdict = "" if trial.sound else "  DISAGREES"
    return (
        f"  {trial.path:10s} {trial.per_second:8,.1f} headlines/s on {trial.device}, "
        f"loaded in {trial.load_seconds:.1f} s, {compared}, revision {trial.revision}{verdict}"
    )
