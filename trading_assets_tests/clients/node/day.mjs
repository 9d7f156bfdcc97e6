// The day through @alpacahq/alpaca-trade-api 4. Its facade takes no base URL: requests find the exchange by the
// client's own middleware, streams by their own `url`. Nothing in it insists on https or wss.
import { createRequire } from "node:module";
import { Alpaca, ApiError } from "@alpacahq/alpaca-trade-api";
import { camelled, main, mapped, number, picked, plain } from "./driver.mjs";
import { Streams } from "./streams.mjs";

const HOSTS = /^https:\/\/(paper-api|data)\.alpaca\.markets/;
const FRAMES = { "1Min": "1Min", "1Day": "1Day" };

/** Every step of a day as calls of the client. */
class Client extends Streams {
    constructor(day) {
        super(day);
        this.fields = day.fields;
        const onLoopback = {
            async pre({ url, init }) {
                if (!HOSTS.test(url)) throw new Error(`the client would have asked ${url}`);
                return { url: url.replace(HOSTS, day.url), init };
            },
        };
        const credentials = { keyId: day.key, secret: day.secret };
        this.alpaca = new Alpaca({ ...credentials, paper: true, retry: false, middleware: [onLoopback] });
        this.trading = this.alpaca.trading;
        this.data = this.alpaca.marketData;
    }

    refusal(error) {
        if (!(error instanceof ApiError)) throw error;
        return { status: error.status, code: error.code, message: error.message };
    }

    // --- account ----------------------------------------------------------------------------------------------------

    async account() {
        return picked(await this.trading.account.getAccount(), this.fields.account);
    }

    async configurations() {
        return picked(await this.trading.accountConfigurations.getAccountConfig(), this.fields.configurations);
    }

    async configure(changes) {
        const wanted = { accountConfigurations: camelled(changes) };
        return picked(await this.trading.accountConfigurations.patchAccountConfig(wanted), this.fields.configurations);
    }

    async clock() {
        return picked(await this.trading.clock.legacyClock(), this.fields.clock);
    }

    async calendar({ start, end }) {
        const days = await this.trading.calendar.legacyCalendar({ start: new Date(start), end: new Date(end) });
        return days.map((day) => [day.date.toISOString().slice(0, 10), day.open, day.close]);
    }

    async assets() {
        return (await this.trading.assets.getV2Assets()).map((asset) => this.#asset(asset));
    }

    async asset({ symbol }) {
        return this.#asset(await this.trading.assets.getV2AssetsSymbolOrAssetId({ symbolOrAssetId: symbol }));
    }

    #asset(asset) {
        return { class: asset._class, ...picked(asset, this.fields.asset) };
    }

    async activities({ kind, page_size: pageSize }) {
        const rows = await this.trading.collectActivities({ activityTypes: [kind], pageSize });
        return rows.map((row) => picked(row, this.fields.activity));
    }

    async history() {
        const wanted = { period: "1W", timeframe: "1D" };
        return picked(await this.trading.portfolioHistory.getAccountPortfolioHistory(wanted), this.fields.history);
    }

    // --- orders -----------------------------------------------------------------------------------------------------

    async submit(order) {
        const { type, orderClass, ...input } = camelled(order);
        const orders = this.trading.orders;
        const kinds = { market: "market", limit: "limit", stop: "stop", stop_limit: "stopLimit", trailing_stop: "trailingStop" };
        if (orderClass === undefined) return this.orderOf(await orders[kinds[type]](input));
        if (orderClass === "oco") delete input.limitPrice; // its take profit is its limit
        return this.orderOf(await orders[orderClass](input));
    }

    async combine({ legs, ...order }) {
        const wanted = legs.map((leg) => ({ ...camelled(leg), ratioQty: String(leg.ratio_qty) }));
        const input = { type: "limit", orderClass: "mleg", legs: wanted, ...camelled(order) };
        return this.orderOf(await this.trading.orders.submit(input));
    }

    async replace({ order_id: orderId, ...changes }) {
        // The wire wants text here, and the client's type says so.
        const patchOrderRequest = mapped(camelled(changes), String);
        return this.orderOf(await this.trading.orders.patchOrderByOrderId({ orderId, patchOrderRequest }));
    }

    async cancel({ order_id: orderId }) {
        await this.trading.orders.deleteOrderByOrderID({ orderId });
    }

    async cancel_all() {
        const lines = await this.trading.orders.deleteAllOrders();
        return lines.map((line) => [line.id, line.status]).sort();
    }

    async order({ order_id: orderId, nested }) {
        return this.orderOf(await this.trading.orders.getOrderByOrderID({ orderId, nested }));
    }

    async order_by_client_id({ client_order_id: clientOrderId }) {
        return this.orderOf(await this.trading.orders.getOrderByClientOrderId({ clientOrderId }));
    }

    async orders({ status, nested, limit }) {
        return (await this.trading.orders.getAllOrders({ status, nested, limit })).map((order) => this.orderOf(order));
    }

    // --- positions --------------------------------------------------------------------------------------------------

    async positions() {
        const rows = await this.trading.positions.getAllOpenPositions();
        return rows.map((position) => picked(position, this.fields.position));
    }

    async position({ symbol }) {
        const found = await this.trading.positions.getOpenPosition({ symbolOrAssetId: symbol });
        return picked(found, this.fields.position);
    }

    async close({ symbol, qty }) {
        const part = qty === null ? {} : { qty: Number(qty) };
        return this.orderOf(await this.trading.positions.deleteOpenPosition({ symbolOrAssetId: symbol, ...part }));
    }

    async close_all() {
        const lines = await this.trading.closeAllPositions();
        // The order that closes a position, or the code of the refusal.
        const told = ({ status, body }) => (status === 200 ? [body.id, body.side] : [body.code]);
        return lines.map((line) => [line.symbol, line.status, ...told(line)]).sort();
    }

    // --- contracts and market data ----------------------------------------------------------------------------------

    async contracts({ underlying, first, last, limit }) {
        const rows = await this.trading.collectOptionsContracts({
            underlyingSymbols: underlying,
            expirationDateGte: new Date(first),
            expirationDateLte: new Date(last),
            limit,
        });
        return rows.map((contract) => this.#contract(contract));
    }

    async contract({ symbol }) {
        return this.#contract(await this.trading.assets.getOptionContractSymbolOrId({ symbolOrId: symbol }));
    }

    #contract(contract) {
        return { strike_price: number(contract.strikePrice), ...picked(contract, this.fields.contract) };
    }

    async chain({ underlying, first, last }) {
        const lines = await this.data.collectOptionChainBySymbol({
            underlyingSymbol: underlying,
            expirationDateGte: new Date(first),
            expirationDateLte: new Date(last),
            limit: 1000,
        });
        return mapped(lines, (line) => ({
            quote: [line.latestQuote.bp, line.latestQuote.ap],
            trade: line.latestTrade ? line.latestTrade.p : null,
            iv: plain(line.impliedVolatility),
            greeks: line.greeks
                ? [line.greeks.delta, line.greeks.gamma, line.greeks.theta, line.greeks.vega, line.greeks.rho]
                : null,
        }));
    }

    async bars({ symbols, timeframe, start, end }) {
        const wanted = { symbols, timeframe: FRAMES[timeframe], start: new Date(start), end: new Date(end) };
        return mapped(await this.data.collectStockBarsBySymbol(wanted), (rows) => rows.map(bar));
    }

    async latest({ symbols }) {
        const wanted = { symbols: symbols.join(",") };
        return {
            bars: mapped((await this.data.stocks.stockLatestBars(wanted)).bars, bar),
            quotes: mapped((await this.data.stocks.stockLatestQuotes(wanted)).quotes, quote),
            trades: mapped((await this.data.stocks.stockLatestTrades(wanted)).trades, trade),
        };
    }

    async snapshots({ symbols }) {
        const found = await this.data.stocks.stockSnapshots({ symbols: symbols.join(",") });
        return mapped(found, (line) => ({
            trade: trade(line.latestTrade),
            quote: quote(line.latestQuote),
            minute: bar(line.minuteBar),
            day: bar(line.dailyBar),
            before: bar(line.prevDailyBar),
        }));
    }

    async news({ limit }) {
        return (await this.data.news.news({ limit })).news.map((row) => picked(row, this.fields.news));
    }
}

// Its pages of bars keep the instant as the text that was sent; everywhere else it is a Date.
const bar = (row) => [new Date(row.t).getTime(), ...[row.o, row.h, row.l, row.c, row.v, row.n, row.vw].map(number)];
const quote = (row) => [plain(row.t), ...[row.bp, row.bs, row.ap, row.as].map(number)];
const trade = (row) => [plain(row.t), number(row.p), number(row.s)];

const { version } = createRequire(import.meta.url)("@alpacahq/alpaca-trade-api/package.json");
await main("@alpacahq/alpaca-trade-api", version, (day) => new Client(day));
