/** Two runs side by side, on the queries that both answered. */

import { type Spec, colour, figure } from "./chart";
import { h, interval, number } from "./dom";

interface Row { metric: string; mean_a: number; mean_b: number; difference: number; low: number; high: number; p_value: number; wins: number; losses: number; ties: number }
export interface Compared { a: string; b: string; queries: number; verdict: "better" | "worse" | "cannot tell"; detectable: number; metrics: Row[] }
export interface Difference { name: string; difference: number; low: number; high: number }

const SAID = { better: "is better than", worse: "is worse than", "cannot tell": "is not shown to differ from" };

export function compared(found: Compared): HTMLElement[] {
  const rows = found.metrics.map((one) => h("tr", {}, h("th", { scope: "row" }, one.metric), h("td", {}, number(one.mean_a)), h("td", {}, number(one.mean_b)), h("td", {}, interval(one)),
    h("td", {}, one.p_value < 0.001 ? "< 0.001" : number(one.p_value)), ...[one.wins, one.losses, one.ties].map((count) => h("td", {}, count.toLocaleString("en")))));
  const titles = ["Metric", found.a, found.b, "Difference", "p", "Queries won", "Lost", "Same"];
  return [h("p", {}, h("a", { href: "#/runs" }, "← all runs")), h("h1", {}, `${found.a} and ${found.b}`),
    h("p", { class: "verdict" }, `${found.a} ${SAID[found.verdict]} ${found.b} by nDCG@10.`),
    h("p", { class: "caption" }, `The same ${found.queries.toLocaleString("en")} test queries, each answered by both; 95 % intervals of the mean difference (bootstrap), p by randomisation. Four of five such tests would show a difference of ${number(found.detectable)} in nDCG@10.`),
    h("div", { class: "wide" }, h("table", {}, h("thead", {}, h("tr", {}, ...titles.map((title) => h("th", { scope: "col" }, title)))), h("tbody", {}, ...rows))),
    h("h2", {}, `Difference, ${found.a} less ${found.b}`), figure("Difference of each metric, with its interval", () => differences(found.metrics.map((one) => ({ name: one.metric, ...one }))))];
}

/** Differences with their intervals, a row each; the dashed line is none. */
export function differences(values: Difference[]): Spec {
  const y = { field: "name", type: "nominal", title: null, sort: null }, x = { type: "quantitative", title: "difference" };
  return { data: { values }, height: { step: 34 }, layer: [
    { mark: { type: "rule", color: colour("--faint"), strokeDash: [4, 4] }, encoding: { x: { datum: 0, ...x } } },
    { mark: { type: "rule", strokeWidth: 3, color: colour("--vectors") }, encoding: { y, x: { field: "low", ...x }, x2: { field: "high" } } },
    { mark: { type: "point", filled: true, size: 90, tooltip: true, color: colour("--vectors") }, encoding: { y, x: { field: "difference", ...x } } }] };
}
