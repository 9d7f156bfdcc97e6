"""What became of every order of ours: unknown fates, orders that a dead run left at work, orders that arrived late."""

from __future__ import annotations

from datetime import timedelta

from trading_assets.broker import protection, submission, working
from trading_assets.broker.errors import OrderDenied
from trading_assets.broker.reconciling.work import Work
from trading_assets.domain.values import OrderState
from trading_assets.ledger import orders
from trading_assets.ledger.orders import OrderIntent


class SentOrders(Work):
    """The account's orders as the ledger and the broker know them."""

    def resolve(self) -> None:
        """Ask what became of orders that were never answered, or not clearly. Sends none again."""
        with self.engine.connect() as connection:
            unresolved = orders.unresolved_intents(connection, self.account)
        for intent in unresolved:
            result = submission.resolve(self.engine, self.broker, self.clock, intent)
            self.report.resolved[intent.client_order_id] = result.state.value
            if result.state is OrderState.UNKNOWN:
                self.block(intent.symbol, f"{intent.symbol}: the fate of an order is unknown ({intent.names})")

    def look_at_orders(self, *, end_orders: bool) -> None:
        """Book what happened to orders that may still fill; ``end_orders`` cancels them."""
        with self.engine.connect() as connection:
            live = orders.live_intents(connection, self.account)
        for intent in live:
            if intent.broker_order_id is None or intent.state is OrderState.UNKNOWN:
                continue
            # The legs of a multi-leg order are read and end with it.
            if not intent.is_protective and intent.order_class != orders.COMBO_LEG:
                self._advance(intent, end=end_orders)
        # What rests over a position belongs to no run: it is read with the order that it came with, and stays.
        self.report.fills_booked += protection.refresh(
            self.engine, self.broker, self.clock, self.account, run_id=self.run_id, denied=self.denied
        )

    def _advance(self, intent: OrderIntent, *, end: bool) -> None:
        before = intent.filled_quantity
        try:
            result = working.look(self.engine, self.broker, self.clock, intent, run_id=self.run_id)
        except OrderDenied:
            self.denied(intent)
            return
        if result.is_live and end:
            result = working.end(self.engine, self.broker, self.clock, result, run_id=self.run_id)
            if result.is_live:
                self.block(intent.symbol, f"{intent.symbol}: an order does not end ({result.names})")
        if not result.is_live:
            self.report.ended_orders.append(intent.client_order_id)
        self.report.fills_booked += int(result.filled_quantity > before)

    def end_strays(self, working_ids: set[str]) -> None:
        """End orders of ours that live at the broker although the ledger holds them to be over.

        A request that was thought lost can arrive late, after its intent was given up.
        """
        for client_order_id in sorted(working_ids):
            with self.engine.connect() as connection:
                intent = orders.get_intent(connection, client_order_id)
            if intent is None or intent.is_live or intent.account != self.account:
                continue
            order = self.broker.order_by_client_id(client_order_id)
            if order is None or order.is_final:
                continue
            self.report.alerts.append(
                f"an order was given up here but lives at the broker: cancelling it ({intent.names})"
            )
            self.broker.cancel(order.order_id)
            if not self._ends(order.order_id):
                self.block(intent.symbol, f"{intent.symbol}: an order arrived late and does not end ({intent.names})")

    def _ends(self, order_id: str) -> bool:
        deadline = self.clock.now() + timedelta(seconds=self.broker.config.cancel_seconds)
        while True:
            order = self.broker.order(order_id)
            if order is None or order.is_final:
                return True
            if self.clock.now() >= deadline:
                return False
            self.clock.wait_until(self.clock.now() + timedelta(seconds=self.broker.config.poll_seconds))
