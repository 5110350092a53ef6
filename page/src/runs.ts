/** Runs: what each was worth, how training went or goes, and the pages beside. */

import { answered, ask, hasKey } from "./api";
import { colour, figure } from "./chart";
import { type Compared, compared, differences } from "./compare";
import { button, h, interval, number, say, words } from "./dom";
import { type Finding, findings } from "./findings";
import { type Frontier, frontier } from "./frontier";

interface Estimate { difference: number; low: number; high: number; p_value: number }
interface Run {
  name: string; state: "finished" | "unfinished" | "damaged"; verdict: string; better: boolean | null; changed: number; train_seconds: number | null;
  metrics: Record<string, Record<string, number>>; comparisons: Record<string, Estimate>; pages: string[];
}
interface Detail extends Run {
  curves: Record<string, [number, number][]>; alarms: [number, string, string][]; codes: { codec: string; bytes: number; documents: number; error: number | null }[];
  findings: Finding[]; frontier: Frontier | null;
}

const EVERY_MS = 2000; // while a run trains
const TITLES: Record<string, string> = { "report.html": "report", "doctor.html": "doctor", "plan.html": "compression plan" };
const SYSTEMS: Record<string, string> = { bm25: "BM25", base: "base", model: "model" };

export class Runs {
  readonly root = h("section", { class: "runs", "aria-label": "Runs" });
  private timer = 0;
  private drawn = ""; // what is shown, so that nothing is drawn again that has not changed
  private readonly ticked = new Set<string>(); // runs to compare

  constructor() { this.restore(); }

  /** Show the run that the address names, the two that it compares, or the list. */
  restore(): void {
    this.leave();
    this.drawn = "";
    void this.load();
  }

  leave(): void { window.clearTimeout(this.timer); }

  private async load(): Promise<void> {
    const asked = location.hash, [name, other] = asked.split("/").slice(2).map((part) => encodeURIComponent(decodeURIComponent(part)));
    try {
      const found = other ? await ask<Compared>(`/runs/${name}/against/${other}`) : name ? await ask<Detail>(`/runs/${name}`) : (await ask<{ runs: Run[] }>("/runs")).runs;
      if (asked !== location.hash) return;
      const said = JSON.stringify(found);
      if (said !== this.drawn) this.root.replaceChildren(...(Array.isArray(found) ? list(found, this.ticked) : "queries" in found ? compared(found) : shown(found)));
      this.drawn = said;
      if (Array.isArray(found) ? found.some(trains) : "state" in found && trains(found)) this.timer = window.setTimeout(() => void this.load(), EVERY_MS);
    } catch (error) {
      this.root.replaceChildren(h("p", { class: "fault", role: "alert" }, error instanceof Error ? error.message : String(error)));
    }
  }
}

const trains = (run: Run): boolean => run.state === "unfinished";

function list(runs: Run[], ticked: Set<string>): HTMLElement[] {
  if (!runs.length) return [h("p", { class: "none" }, "No run here yet.")];
  const rows = [...runs].sort((one, other) => other.changed - one.changed);
  const metric = Object.keys(Object.values(rows.find((run) => run.metrics["model"])?.metrics ?? {})[0] ?? {})[0] ?? "";
  const cells = (run: Run): HTMLElement[] => ["bm25", "base", "model"].map((system) => h("td", {}, value(run.metrics[system]?.[metric])));
  const { tick, compare } = choice(ticked);
  const table = h("table", {}, h("thead", {}, h("tr", {}, ...["", "Run", "BM25", "Base", "Model", "Better than base", "State"].map((title) => h("th", { scope: "col", class: title ? undefined : "tick" }, title)))),
    h("tbody", {}, ...rows.map((run) => h("tr", {}, h("td", { class: "tick" }, run.metrics["model"] ? tick(run.name) : null), h("th", { scope: "row" }, h("a", { href: `#/runs/${encodeURIComponent(run.name)}` }, run.name)),
      ...cells(run), h("td", {}, interval(run.comparisons["base"])), h("td", {}, state(run))))));
  const better = rows.flatMap((run) => (run.comparisons["base"] ? [{ name: run.name, ...run.comparisons["base"] }] : []));
  return [h("p", { class: "caption" }, `${metric || "No metric"} on each run's own test set, with 95 % intervals of the differences.`), h("div", { class: "wide" }, table),
    ...(rows.filter((run) => run.metrics["model"]).length > 1 ? [h("p", {}, compare)] : []),
    ...(better.length > 1 ? [h("h2", {}, "Better than the base, by run"), figure("Difference to the base by run, with intervals", () => differences(better))] : [])];
}

/** Boxes to tick, and what is done with two of them. */
function choice(ticked: Set<string>): { tick(name: string): HTMLElement; compare: HTMLElement } {
  const compare = button("Compare the two that are ticked", () => { location.hash = `#/runs/${[...ticked].map(encodeURIComponent).join("/")}`; }, { disabled: ticked.size !== 2 });
  const tick = (name: string): HTMLElement => {
    const box = h("input", { type: "checkbox", "aria-label": `compare ${name}`, checked: ticked.has(name) });
    box.addEventListener("change", () => { ticked[box.checked ? "add" : "delete"](name); compare.disabled = ticked.size !== 2; });
    return box;
  };
  return { tick, compare };
}

function shown(run: Detail): HTMLElement[] {
  const metrics = Object.keys(run.metrics["model"] ?? {});
  return [h("p", {}, h("a", { href: "#/runs" }, "← all runs")), h("h1", {}, run.name), h("p", { class: "verdict" }, run.verdict || state(run)),
    ...(run.pages.length ? [h("p", { class: "pages" }, ...run.pages.map((page) => link(run, page)))] : []),
    ...(metrics.length ? [h("h2", {}, "Metrics"), h("div", { class: "wide" }, measured(run, metrics))] : []),
    ...Object.entries(run.curves).flatMap(([name, curve]) => [h("h2", {}, title(name)), figure(`${title(name)} by step`, () => line(title(name), curve))]),
    ...(run.alarms.length ? [h("h2", {}, "Seen while it trained"), h("ul", {}, ...run.alarms.map(([step, failure, reason]) => h("li", {}, h("b", {}, words(failure)), ` after step ${step}: ${reason}`)))] : []),
    ...findings(run.findings), ...frontier(run.frontier),
    ...(run.codes.length && !run.frontier ? [h("h2", {}, "Compressed"), h("div", { class: "wide" }, coded(run))] : [])];
}

function measured(run: Detail, metrics: string[]): HTMLElement {
  return h("table", {}, h("thead", {}, h("tr", {}, ...["System", ...metrics].map((one) => h("th", { scope: "col" }, one)))),
    h("tbody", {}, ...Object.entries(run.metrics).map(([system, values]) => h("tr", {}, h("th", { scope: "row" }, SYSTEMS[system] ?? system), ...metrics.map((one) => h("td", {}, value(values[one]))))),
      ...Object.entries(run.comparisons).map(([system, found]) => h("tr", {}, h("th", { scope: "row" }, `model − ${SYSTEMS[system] ?? system}`), h("td", {}, interval(found)), ...metrics.slice(1).map(() => h("td", {}))))));
}

function coded(run: Detail): HTMLElement {
  return h("table", {}, h("thead", {}, h("tr", {}, ...["Bytes a vector", "Codec", "All documents", "Error"].map((one) => h("th", { scope: "col" }, one)))),
    h("tbody", {}, ...run.codes.map((codes) => h("tr", {}, h("th", { scope: "row" }, String(codes.bytes)), h("td", {}, codes.codec), h("td", {}, `${(codes.bytes * codes.documents).toLocaleString("en")} bytes`), h("td", {}, value(codes.error ?? undefined))))));
}

/** A page beside a run: a link, or a file to keep where links cannot carry the service's key. */
function link(run: Run, page: string): HTMLElement {
  const place = `/runs/${encodeURIComponent(run.name)}/${page}`, label = TITLES[page] ?? page;
  if (!hasKey()) return h("a", { href: place, target: "_blank", rel: "noopener" }, label);
  return button(`${label} (download)`, () => void answered(place).then(async (found) => {
    const file = URL.createObjectURL(await found.blob());
    h("a", { href: file, download: `${run.name}-${page}` }).click();
    URL.revokeObjectURL(file);
  }).catch((error: unknown) => say(String(error))));
}

const value = (given: number | undefined): string => (given === undefined ? "" : number(given));
const title = (name: string): string => ({ "train/loss": "Loss", dev: "Metric on dev", "train/learning_rate": "Learning rate" })[name] ?? name;

function state(run: Run): string {
  if (run.state === "damaged") return "run.json cannot be read";
  if (run.state === "finished") return run.train_seconds === null ? "finished" : `finished, trained ${run.train_seconds < 90 ? `${Math.round(run.train_seconds)} s` : `${Math.round(run.train_seconds / 60)} min`}`;
  const ago = Math.max(0, Date.now() / 1000 - run.changed);
  return ago < 300 ? "training" : `unfinished, last seen ${ago < 5400 ? `${Math.round(ago / 60)} min` : `${Math.round(ago / 3600)} h`} ago`;
}

function line(name: string, curve: [number, number][]): Record<string, unknown> {
  return { data: { values: curve.map(([step, found]) => ({ step, value: found })) }, height: 220,
    mark: { type: "line", point: curve.length < 40, tooltip: true, color: colour("--vectors") },
    encoding: { x: { field: "step", type: "quantitative", title: "step", axis: { tickMinStep: 1, format: "d", grid: false } }, y: { field: "value", type: "quantitative", title: name, scale: { zero: false } } } };
}
