/** Charts in Vega-Lite, in the page's colours; the library is loaded with the first of them. */

import { h } from "./dom";

export const PALETTE = ["#1f6feb", "#c4570e", "#0a8f6f", "#8b5cf6", "#d6409f", "#9a7a00", "#0b87a8", "#d02f3a", "#5d7d1e", "#7d8794"]; // seen on white and on black

export type Spec = Record<string, unknown>;

/** A figure that draws itself, and again when the reader changes between light and dark. */
export function figure(label: string, spec: () => Spec): HTMLElement {
  const place = h("div", { class: "figure", role: "img", "aria-label": label });
  const dark = matchMedia("(prefers-color-scheme: dark)");
  const draw = (): void => void drawn(place, spec()).catch((error: unknown) => { place.textContent = `This figure could not be drawn: ${String(error)}`; });
  dark.addEventListener("change", () => place.isConnected && draw());
  queueMicrotask(() => requestAnimationFrame(draw)); // its width is known when it is in the page
  return place;
}

async function drawn(place: HTMLElement, spec: Spec): Promise<void> {
  const [{ default: embed }, { expressionInterpreter }] = await Promise.all([import("vega-embed"), import("vega-interpreter")]);
  const whole = { width: "container", autosize: { type: "fit-x", contains: "padding" }, ...spec, config: theme() };
  await embed(place, whole as never, { actions: false, ast: true, expr: expressionInterpreter as never, renderer: "svg" });
}

/** The colour of a variable of the style sheet. */
export function colour(name: string): string {
  return getComputedStyle(document.documentElement).getPropertyValue(name).trim();
}

function theme(): Spec {
  const [text, faint, line, size] = [colour("--text"), colour("--faint"), colour("--line"), parseFloat(getComputedStyle(document.documentElement).fontSize)];
  const axis = { labelColor: faint, titleColor: faint, gridColor: line, domainColor: line, tickColor: line, labelFontSize: 0.8 * size, titleFontSize: 0.8 * size, titleFontWeight: "normal" };
  return { background: "transparent", font: getComputedStyle(document.body).fontFamily, view: { stroke: null }, axis,
    legend: { labelColor: text, labelFontSize: 0.85 * size, orient: "top", title: null }, mark: { color: colour("--vectors") }, rule: { color: text } };
}
