// The streams of the client: each is opened with a `url` of its own.
import { streaming } from "@alpacahq/alpaca-trade-api";
import { number, picked, plain, until } from "./driver.mjs";

/** Listening to trade updates and watching market data. `trading` and `data` are the client's own, set by the heir. */
export class Streams {
    heardUpdates = [];
    seen = { bars: [], news: [], quotes: [] };

    constructor(day) {
        this.day = day;
    }

    orderOf(order) {
        const legs = order.legs ? order.legs.map((leg) => this.orderOf(leg)) : null;
        return { ...picked(order, this.day.fields.order), legs };
    }

    async listen() {
        this.updates = this.trading.stream({ url: this.day.urlOf("trade_updates") });
        this.updates.onTradeUpdate((update) => {
            this.heardUpdates.push({
                event: update.event,
                order_id: update.order.id,
                order: this.orderOf(update.order),
                qty: number(update.qty),
                price: number(update.price),
                position_qty: number(update.positionQty),
                execution_id: plain(update.executionId),
                timestamp: plain(update.timestamp),
            });
        });
        this.updates.subscribeTradeUpdates();
        await open(this.updates, "trade updates");
    }

    async heard({ order_id: orderId, event }) {
        const told = () => this.heardUpdates.some((update) => update.order_id === orderId && update.event === event);
        await until(told, `${event} of ${orderId}`);
        this.updates.disconnect();
        return this.heardUpdates;
    }

    async watch({ stocks, option }) {
        const { bars, news, quotes } = this.seen;
        this.stockData = this.data.stockStream({ url: this.day.urlOf("stocks") });
        this.stockData.onBar((bar) => {
            const values = [bar.open, bar.high, bar.low, bar.close, bar.volume, bar.tradeCount, bar.vwap];
            bars.push([bar.symbol, plain(bar.timestamp), ...values.map(number)]);
        });
        this.stockData.subscribeForBars(stocks);
        this.newsData = this.data.newsStream({ url: this.day.urlOf("news") });
        this.newsData.onNews((item) => news.push([item.id, item.headline, plain(item.createdAt), item.symbols]));
        this.newsData.subscribeForNews(["*"]);
        this.optionData = this.data.optionStream({ url: this.day.urlOf("options") });
        this.optionData.onQuote((quote) => {
            quotes.push([quote.symbol, plain(quote.timestamp), quote.bidPrice, quote.askPrice]);
        });
        this.optionData.subscribeForQuotes([option]);
        await open(this.stockData, "stocks");
        await open(this.newsData, "news");
        await open(this.optionData, "options");
    }

    async watched({ bars, news, quote }) {
        await until(() => this.seen.bars.length >= bars, `${bars} bars`);
        await until(() => this.seen.news.length >= news, `${news} headlines`);
        await until(() => this.seen.quotes.some((seen) => seen[1] >= quote), `the quote of ${quote}`);
        // What comes before a stream has ended is not part of it.
        const seen = structuredClone(this.seen);
        for (const stream of [this.stockData, this.newsData, this.optionData]) stream.disconnect();
        return seen;
    }
}

async function open(stream, what) {
    let subscribed = false;
    stream.onError((error) => console.error(`the stream of ${what}: ${error}`));
    stream.on(streaming.EVENT.SUBSCRIPTION, () => (subscribed = true));
    stream.connect();
    await until(() => subscribed, `the stream of ${what}`);
}
