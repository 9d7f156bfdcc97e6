"""Errors that a person is meant to read: what is wrong, where, and how to mend it."""

from __future__ import annotations


class TradingAssetsError(Exception):
    """A refusal with one clear sentence. The command line prints it and exits with code 2.

    ``what`` says what is wrong, ``where`` names the file, key, table or address, ``mend`` says what to do.
    """

    def __init__(self, what: str, *, where: str = "", mend: str = "") -> None:
        self.what = what
        self.where = where
        self.mend = mend
        super().__init__(str(self))

    def __str__(self) -> str:
        text = self.what
        if self.where:
            text += f" (at {self.where})"
        if self.mend:
            text += f". {self.mend}"
        return text


class ConfigurationError(TradingAssetsError):
    """A configuration file or variable is missing, malformed or out of range."""


class UnknownSchemaError(TradingAssetsError):
    """The database carries a schema version that this code does not know, or an older one."""


class CorruptFrameError(TradingAssetsError):
    """A stored frame cannot be read as what it claims to be."""


class BrokerUnavailable(TradingAssetsError):
    """The broker did not give an answer that can be trusted. Never to be read as 'nothing there'."""


class NotAuthorized(TradingAssetsError):
    """The broker refused the credentials, or the account behind them is not the configured one."""
