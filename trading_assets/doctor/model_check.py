"""The check of the sentiment model: what is configured, loaded from what is on this machine."""

from __future__ import annotations

from importlib import import_module

from trading_assets.domain.errors import TradingAssetsError
from trading_assets.news.config import ModelConfig, ModelKind
from trading_assets.world.doctor import Finding, failed, ok, one_line

_HEADLINE = "Acme beats estimates and raises guidance"


def check_model(config: ModelConfig) -> Finding:
    """The configured scorer loads from what is on this machine and scores a headline. Nothing is ever downloaded."""
    item = "sentiment model"
    try:
        return _finbert(config) if config.kind is ModelKind.FINBERT else _lexicon()
    except (TradingAssetsError, ImportError, OSError, ValueError, KeyError, TypeError, RuntimeError) as error:
        mend = "Reinstall trading-assets, or set news.model.kind to lexicon."
        return failed(item, error if isinstance(error, TradingAssetsError) else one_line(repr(error)), mend)


def _lexicon() -> Finding:
    from trading_assets.news.lexicon import LexiconModel

    model = LexiconModel()
    (score,) = model.score([_HEADLINE])
    return ok("sentiment model", f"lexicon {model.name} {model.revision} loads and scores ({score.label})")


def _finbert(config: ModelConfig) -> Finding:
    item = "sentiment model"
    for library in ("torch", "transformers"):
        try:
            import_module(library)
        except (ImportError, OSError) as error:
            mend = "Run \"pip install -c constraints.txt -e '.[finbert]'\", or set news.model.kind to lexicon."
            return failed(item, f"finbert needs {library}, which cannot be imported: {one_line(error)}", mend)
    from trading_assets.news.finbert import FinbertModel, folder_on_this_machine

    folder = folder_on_this_machine(config)
    if folder is None:
        mend = "Name a folder with the model in news.model.name, or fetch it once into the hub's cache (HF_HOME), or "
        mend += "set news.model.kind to lexicon."
        return failed(item, f"the weights of {config.name} are not on this machine", mend)
    # Named as a folder, the libraries look nowhere else.
    model = FinbertModel(config.model_copy(update={"name": str(folder)}))
    (score,) = model.score([_HEADLINE])
    return ok(item, f"finbert {config.name} loads from {folder} and scores ({score.label})")
