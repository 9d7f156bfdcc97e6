"""``kill_switch``: the one job of the UI that a person starts to stop trading, or to let it go on.

It writes the ledger's row and nothing else, as ``trading-assets kill-switch`` does: the dispatcher and the position
manager read it before each order and in every cycle. It sends no order. A run that is re-executed would set again what
somebody decided at another time, perhaps ``off``; so it does nothing.
"""

from dagster import Enum, EnumValue, Field, JobDefinition, MetadataValue, OpExecutionContext, ResourceParam, job, op

from trading_assets.automation.names import KILL_SWITCH_JOB
from trading_assets.automation.tickets import FOREIGN_TAGS, NotPermitted
from trading_assets.domain.errors import TradingAssetsError
from trading_assets.domain.values import KillMode
from trading_assets.ledger import accounts
from trading_assets.resources.desk import Desk

_WORDS = {
    KillMode.ENTRIES: "no new risk; exits go on",
    KillMode.ALL: "no orders but those before expiry",
    KillMode.FLATTEN: "close everything",
    KillMode.OFF: "trade again",
}
_MODES = Enum("KillSwitchMode", [EnumValue(mode.value, mode.value, words) for mode, words in _WORDS.items()])
_CONFIG = {
    "mode": Field(_MODES, description="; ".join(f"{mode.value}: {words}" for mode, words in _WORDS.items())),
    "reason": Field(str, description="why; kept with the switch and shown by trading-assets kill-switch"),
    "account": Field(
        str,
        default_value=accounts.ALL_ACCOUNTS,
        is_required=False,
        description="name of one account; * for all. Where both are set the stricter one holds.",
    ),
}


@op(config_schema=_CONFIG, description="Sets the switch of all accounts or of one. Honoured within one cycle.")
def set_switch(context: OpExecutionContext, desk: ResourceParam[Desk]) -> None:
    """Set it and show what holds for every account now."""
    again = sorted(tag for tag in FOREIGN_TAGS if context.run.tags.get(tag))
    if again:
        raise NotPermitted(
            f"a kill switch is not set by a run that was started again ({', '.join(again)})",
            where=KILL_SWITCH_JOB,
            mend="Start the job from its launchpad with what is to hold now.",
        )
    given = context.op_config
    mode, scope, reason = KillMode(given["mode"]), given["account"].strip(), given["reason"].strip()
    if not reason:
        raise TradingAssetsError("a kill switch needs a reason", where="ops.set_switch.config.reason", mend="Say why.")
    with desk.ledger.begin() as connection:
        accounts.set_kill_switch(connection, scope, mode, desk.wall.now(), reason)
        held = {row.account: accounts.kill_mode(connection, row.account) for row in accounts.all_accounts(connection)}
    of = "all accounts" if scope == accounts.ALL_ACCOUNTS else f"account {scope}"
    context.log.warning(f"kill switch of {of} set to {mode}: {reason}")
    for account, holds in held.items():
        context.log.info(f"account {account}: kill switch {holds}: {_WORDS[holds]}")
    context.add_output_metadata({name: MetadataValue.text(holds.value) for name, holds in held.items()})


@job(
    name=KILL_SWITCH_JOB,
    description="Stops trading, for all accounts or one, or lets it go on; started by a person. Sends no order itself.",
)
def _kill_switch() -> None:
    set_switch()


kill_switch: JobDefinition = _kill_switch
