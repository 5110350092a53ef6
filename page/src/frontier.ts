/** The compression frontier of a run: the share of quality that codes keep, against their bytes. */

import { PALETTE, type Spec, colour, figure } from "./chart";
import { brief, h } from "./dom";

interface Row { codec: string; bytes: number; kept: number; low: number; high: number; size: string; ms_per_query: number | null; frontier: boolean; recommended: boolean; made: boolean }
export interface Frontier { recommendation: string; budget: number | null; documents: number; rows: Row[]; facts: Record<string, string> }

export function frontier(found: Frontier | null): HTMLElement[] {
  if (!found) return [];
  const facts = Object.entries(found.facts).map(([name, value]) => `${name}: ${value}`).join("; ");
  return [h("h2", {}, "Quality against bytes"), found.recommendation ? h("p", {}, found.recommendation) : null,
    figure("Share of the full vectors' nDCG@10 that codes keep, by bytes a vector, with intervals", () => kept(found)),
    h("p", { class: "caption" }, `Thin lines: 95 % intervals over the test queries${found.budget === null ? "" : "; the broad line: the best of each size; dashed: the budget"}. ${facts}.`),
    h("div", { class: "wide" }, table(found))].filter((part): part is HTMLElement => part !== null);
}

function kept(found: Frontier): Spec {
  const codecs = [...new Set(found.rows.map((row) => row.codec))], sizes = [...new Set(found.rows.map((row) => row.bytes))];
  const x = { field: "bytes", type: "quantitative", title: "bytes a vector", scale: { type: "log", base: 2, nice: false, padding: 16 }, axis: { values: sizes, format: "d", labelOverlap: true, grid: false } };
  const y = { field: "kept", type: "quantitative", title: "share of the full nDCG@10", scale: { zero: false }, axis: { format: "%", tickCount: 6 } };
  const tone = { field: "codec", type: "nominal", scale: { domain: codecs, range: codecs.map((_, number) => PALETTE[number % PALETTE.length]) }, legend: { columns: window.innerWidth < 560 ? 2 : 5 } };
  const encoding = { x, y, color: tone };
  const tooltip = [{ field: "codec", type: "nominal" }, { field: "bytes", type: "quantitative" }, ...["kept", "low", "high"].map((field) => ({ field, type: "quantitative", format: ".1%" }))];
  return { data: { values: found.rows }, height: 340, layer: [
    { transform: [{ filter: "datum.frontier" }], mark: { type: "line", strokeWidth: 10, opacity: 0.25, color: colour("--faint") }, encoding: { x, y } },
    { mark: { type: "rule", color: colour("--faint") }, encoding: { y: { ...y, field: undefined, datum: 1 } } },
    ...(found.budget === null ? [] : [{ mark: { type: "rule", color: colour("--bad"), strokeDash: [5, 4] }, encoding: { x: { ...x, field: undefined, datum: found.budget } } }]),
    { mark: { type: "rule", opacity: 0.6 }, encoding: { ...encoding, y: { ...y, field: "low" }, y2: { field: "high" } } },
    { mark: { type: "line" }, encoding },
    { mark: { type: "point", filled: true, size: 70, opacity: 1 }, encoding: { ...encoding, tooltip } }] };
}

function table(found: Frontier): HTMLElement {
  const percent = (share: number): string => (100 * share).toFixed(1);
  const row = (one: Row): HTMLElement => h("tr", {}, h("th", { scope: "row" }, String(one.bytes)), h("td", {}, one.codec), h("td", { class: one.frontier ? "ok" : undefined }, `${percent(one.kept)} % (${percent(one.low)} to ${percent(one.high)})`),
    h("td", {}, one.size), h("td", {}, brief(one.ms_per_query)), h("td", {}, [one.recommended ? "take this" : "", one.made ? "made" : ""].filter(Boolean).join(", ")));
  return h("table", {}, h("thead", {}, h("tr", {}, ...["Bytes a vector", "Codec", "Kept of nDCG@10", `${found.documents.toLocaleString("en")} documents`, "ms a query", ""].map((one) => h("th", { scope: "col" }, one)))),
    h("tbody", {}, ...found.rows.map(row)));
}
