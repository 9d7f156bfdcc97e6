// What the script shares with its Python siblings: reading the plan, walking its steps, plain values for the report.
// See days/driver.py for the words of the plan and of the report.
import { readFile, writeFile } from "node:fs/promises";

const PATIENCE_MS = 120_000;
const PATHS = {
    trade_updates: "/stream",
    stocks: "/v2/iex",
    news: "/v1beta1/news",
    options: "/v1beta1/indicative",
};

/** A value of the client's models as JSON: instants are milliseconds since 1970, what is not there or empty is null. */
export function plain(value) {
    if (value === undefined || value === null || value === "") return null;
    if (value instanceof Date) return value.getTime();
    return value;
}

/** A number that one client hands out as text and another as a float. */
export function number(value) {
    return value === undefined || value === null ? null : Number(value);
}

const camel = (name) => name.replace(/_([a-z])/g, (_, letter) => letter.toUpperCase());

/** The fields `names`, in the broker's words, of one of the client's models, which have them in camel case. */
export function picked(model, names) {
    return Object.fromEntries(names.map((name) => [name, plain(model[camel(name)])]));
}

/** Arguments in the broker's words as the client's own, also within. */
export function camelled(value) {
    if (Array.isArray(value)) return value.map(camelled);
    if (value === null || typeof value !== "object") return value;
    return Object.fromEntries(Object.entries(value).map(([name, item]) => [camel(name), camelled(item)]));
}

/** A map from symbols with every value changed by `change`. */
export function mapped(values, change) {
    return Object.fromEntries(Object.entries(values).map(([symbol, value]) => [symbol, change(value)]));
}

/** Wait for `done`; an error that names `what` was waited for ends the script. */
export async function until(done, what) {
    const end = Date.now() + PATIENCE_MS;
    while (!done()) {
        if (Date.now() > end) throw new Error(`waited ${PATIENCE_MS} ms for ${what}`);
        await new Promise((resolve) => setTimeout(resolve, 20));
    }
}

/** The plan of the day and where its exchange is. */
class Day {
    ids = new Map();

    constructor(plan) {
        Object.assign(this, { url: plan.url, streamUrl: plan.stream_url, key: plan.key, secret: plan.secret });
        Object.assign(this, { fields: plan.fields, token: plan.token, steps: plan.steps });
    }

    /** Where a stream is: `trade_updates`, or one of market data. */
    urlOf(stream) {
        return this.streamUrl + PATHS[stream];
    }

    /** Move the exchange's clock: the one thing that no client of the broker can do. */
    async advance(to) {
        const answer = await fetch(`${this.url}/practice/v1/clock`, {
            method: "POST",
            headers: { "X-Practice-Token": this.token, "Content-Type": "application/json" },
            body: JSON.stringify({ advance_to: to }),
        });
        if (!answer.ok) throw new Error(`the clock answered ${answer.status}: ${await answer.text()}`);
        return (await answer.json()).now;
    }

    /** Every step in turn; what the client answered to each. */
    async live(client) {
        const answers = {};
        for (const step of this.steps) {
            try {
                answers[step.label] = await this.answer(client, step, this.known(step.with));
            } catch (error) {
                console.error(`in the step ${step.label}: ${step.do}`, step.with);
                throw error;
            }
            this.remember(step.label, answers[step.label]);
        }
        return answers;
    }

    async answer(client, step, given) {
        if (step.do === "advance") return this.advance(given.to);
        if (!step.refused) return (await client[step.do](given)) ?? null;
        let answered;
        try {
            answered = await client[step.do](given);
        } catch (error) {
            return client.refusal(error);
        }
        throw new Error(`expected a refusal, saw ${JSON.stringify(answered)}`);
    }

    /** `@label` is the id of the order that step made, `@label/1` that of its second leg. */
    known(value) {
        if (typeof value === "string" && value.startsWith("@")) return this.ids.get(value.slice(1));
        if (value === null || typeof value !== "object" || Array.isArray(value)) return value;
        return mapped(value, (item) => this.known(item));
    }

    remember(label, answer) {
        if (answer === null || typeof answer !== "object" || !("client_order_id" in answer)) return;
        this.ids.set(label, answer.id);
        (answer.legs ?? []).forEach((leg, place) => this.ids.set(`${label}/${place}`, leg.id));
    }
}

/** Live the day of the plan given on the command line with the client that `clientOf` makes. */
export async function main(name, version, clientOf) {
    const [plan, report] = process.argv.slice(2);
    const day = new Day(JSON.parse(await readFile(plan, "utf8")));
    const answers = await day.live(clientOf(day));
    await writeFile(report, JSON.stringify({ client: name, version, answers }));
    process.exit(0);
}
