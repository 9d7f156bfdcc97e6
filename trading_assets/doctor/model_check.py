"""The check of the sentiment model: what is configured, loaded from what is on this machine."""

from __future__ import annotations

from importlib import import_module
from pathlib import Path

from trading_assets.domain.errors import TradingAssetsError
from trading_assets.news.model_config import InferencePath, ModelConfig, ModelKind
from trading_assets.world.doctor import Finding, failed, ok, one_line

_HEADLINE = "Acme beats estimates and raises guidance"


def check_model(config: ModelConfig, cache: Path) -> Finding:
    """The configured scorer loads from what is on this machine and scores a headline. Nothing is ever downloaded."""
    item = "sentiment model"
    try:
        return _finbert(config, cache) if config.kind is ModelKind.FINBERT else _lexicon()
    except (TradingAssetsError, ImportError, OSError, ValueError, KeyError, TypeError, RuntimeError) as error:
        mend = "Reinstall trading-assets, or set news.model.kind to lexicon."
        return failed(item, error if isinstance(error, TradingAssetsError) else one_line(repr(error)), mend)


def _lexicon() -> Finding:
    from trading_assets.news.lexicon import LexiconModel

    model = LexiconModel()
    (score,) = model.score([_HEADLINE])
    return ok("sentiment model", f"lexicon {model.name} {model.revision} loads and scores ({score.label})")


def _finbert(config: ModelConfig, cache: Path) -> Finding:
    item = "sentiment model"
    for library in ("torch", "transformers"):
        try:
            import_module(library)
        except (ImportError, OSError) as error:
            mend = "Run \"pip install -c constraints.txt -e '.[finbert]'\", or set news.model.kind to lexicon."
            return failed(item, f"finbert needs {library}, which cannot be imported: {one_line(error)}", mend)
    from trading_assets.news.finbert import FinbertModel
    from trading_assets.news.model_identity import folder_on_this_machine, resolved_path
    from trading_assets.news.onnx_artefact import exported

    folder = folder_on_this_machine(config)
    if folder is None:
        mend = "Run trading-assets models fetch, or name a folder with the model in news.model.name, or set "
        mend += "news.model.kind to lexicon."
        return failed(item, f"the weights of {config.name} are not on this machine", mend)
    # An export is made by whom it serves: this look changes nothing.
    missing = not exported(config, cache)
    model = FinbertModel(config.model_copy(update={"path": InferencePath.TORCH}) if missing else config, cache)
    (score,) = model.score([_HEADLINE])
    seen = f"finbert {config.name} loads from {folder} by the path {model.path.value} and scores ({score.label})"
    return ok(
        item, seen + (f"; for {resolved_path(config).value} it is exported with its first use" if missing else "")
    )
