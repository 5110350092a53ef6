/** The doctor's findings of a run: verdict, what to do, figures beside their thresholds, examples. */

import { brief, button, h, say, words } from "./dom";

type Verdict = "ok" | "watch" | "fail" | "unknown";
interface Figure { name: string; value: number | null; verdict: Verdict | null; side: string | null; watch: number | null; fail: number | null }
interface Example { texts: [string, string][]; numbers: [string, number | null][] }
export interface Finding {
  failure: string; verdict: Verdict; summary: string; advice: string; patch: string; figures: Figure[]; sources: string[]; examples: Example[];
}

const SHOWN = 3; // examples, before the others are asked for

export function findings(found: Finding[]): HTMLElement[] {
  if (!found.length) return [];
  return [h("h2", {}, "Findings of the doctor"), ...found.map(finding)];
}

function finding(found: Finding): HTMLElement {
  const open = found.verdict === "fail" || found.verdict === "watch";
  const [judged, others] = [found.figures.filter((one) => one.verdict), found.figures.filter((one) => !one.verdict)];
  return h("details", { class: "finding", open, "data-failure": found.failure },
    h("summary", {}, h("span", { class: `badge ${found.verdict}` }, found.verdict === "unknown" ? "cannot tell" : found.verdict), " ", h("b", {}, words(found.failure)), ` ${found.summary}`),
    found.advice || found.patch ? fix(found) : null, judged.length ? thresholds(judged, found.sources) : null,
    ...examples(found.examples), others.length ? folded(judged.length ? "More figures" : "Figures", measured(others)) : null);
}

function fix(found: Finding): HTMLElement {
  const text = h("pre", { tabindex: 0, "aria-label": "change of the configuration" }, found.patch);
  const copy = button("Copy the YAML", () => void copied(found.patch, text));
  return h("div", { class: "fix" }, h("h3", {}, "What to do"), found.advice ? h("p", {}, found.advice) : null, ...(found.patch ? [text, copy] : []));
}

/** Into the clipboard; where the browser has none, as over plain HTTP from another machine, the text is selected. */
async function copied(text: string, place: HTMLElement): Promise<void> {
  try {
    await navigator.clipboard.writeText(text);
    say("copied");
  } catch {
    getSelection()?.selectAllChildren(place);
    say("selected, to be copied with the keyboard");
  }
}

function thresholds(figures: Figure[], sources: string[]): HTMLElement {
  const row = (one: Figure): HTMLElement => h("tr", {}, h("th", { scope: "row" }, words(one.name)), h("td", { class: one.verdict }, brief(one.value)), ...[one.watch, one.fail].map((limit) => h("td", {}, `${one.side} ${brief(limit)}`)));
  return h("div", { class: "wide" }, h("table", {}, h("thead", {}, h("tr", {}, ...["Figure", "Value", "Watch", "Fail"].map((title) => h("th", { scope: "col" }, title)))), h("tbody", {}, ...figures.map(row))),
    h("p", { class: "caption" }, `Thresholds from ${sources.join("; ")}`));
}

function measured(figures: Figure[]): HTMLElement {
  return h("table", {}, h("tbody", {}, ...figures.map((one) => h("tr", {}, h("th", { scope: "row" }, words(one.name)), h("td", {}, brief(one.value))))));
}

function examples(found: Example[]): HTMLElement[] {
  if (!found.length) return [];
  const rest = found.slice(SHOWN);
  return [h("h3", {}, "Examples"), ...found.slice(0, SHOWN).map(example), ...(rest.length ? [folded(`${rest.length} more`, ...rest.map(example))] : [])];
}

function example(one: Example): HTMLElement {
  const texts = one.texts.map(([name, text]) => h("div", {}, h("h4", {}, words(name)), h("pre", {}, text)));
  const numbers = one.numbers.map(([name, value]) => h("span", {}, `${words(name)} ${brief(value)}`));
  return h("div", { class: "example" }, numbers.length ? h("p", { class: "caption" }, ...numbers) : null, h("div", { class: "side" }, ...texts));
}

const folded = (title: string, ...parts: HTMLElement[]): HTMLElement => h("details", {}, h("summary", {}, title), ...parts);
