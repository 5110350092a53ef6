/** The map: documents and judged queries where the model puts them. */

import { EmbeddingView, type EmbeddingViewConfig, type Point, type Rectangle } from "embedding-atlas/component";
import { answered, ask, search } from "./api";
import { button, h } from "./dom";
import { Near, within } from "./near";
import { Pace, type Points, thinned } from "./pace";

interface State { points: number; documents: number; version: number; method: string; final: boolean; fields: string[]; findings: boolean }
interface Colours { names: string[]; codes: string }
interface Spot { x: number; y: number; category: number; identifier: number; text: string }

const EVERY_MS = 1500; // until the places are final
const SOON_MS = 200; // until there are any
const REST_MS = 200; // of a lasso, before its texts are asked for
const FOUND = 50; // results that a search lights up
const LISTED = 30; // texts of what the lasso holds
const REACH = 12; // pixels from a point
const PIXELS = 2; // drawn for one of the page, across and down: points are small
const NONE: Points = { x: new Float32Array(0), y: new Float32Array(0), category: new Uint8Array(0) };
const CONFIG: EmbeddingViewConfig = { mode: "points", autoLabelEnabled: false, colorScheme: matchMedia("(prefers-color-scheme: dark)").matches ? "dark" : "light" };
const KINDS = ["document", "query"]; // of the points that no finding names
const COLOURS = ["#1f6feb", "#c4570e", "#0a8f6f", "#b3318f", "#7a5af0", "#9a7a00", "#d02f3a", "#0b87a8", "#5d7d1e", "#8a6048", "#7d8794", "#e0a020", "#333c4a"];

export class DocumentMap {
  readonly root = h("section", { class: "map", "aria-label": "Map" });
  private readonly place = h("div", { class: "canvas" });
  private readonly said = h("p", { class: "caption", role: "status" });
  private readonly by = h("select", { id: "by", onchange: () => void this.colour() });
  private readonly query = h("input", { type: "search", id: "light", placeholder: "Light up what a query finds", autocomplete: "off", "aria-label": "Light up what a query finds" });
  private readonly legend = h("ul", { class: "legend" });
  private readonly held = h("div", { class: "held", "aria-live": "polite" });
  private view: EmbeddingView | null = null;
  private near: Near | null = null;
  private x = new Float32Array(0);
  private y = new Float32Array(0);
  private codes = new Uint8Array(0);
  private points: [Points, Points] = [NONE, NONE]; // all, and those that are drawn while the map moves
  private readonly pace = new Pace((moves) => this.view?.update(moves ? { data: this.points[1], pixelRatio: 1, config: { ...CONFIG, pointSize: 1 } } : { data: this.points[0], pixelRatio: PIXELS, config: CONFIG }));
  private ids: string[] = [];
  private rows = new Map<string, number>();
  private state: State | null = null;
  private shown = 0; // the version of the places that are drawn
  private timer = 0;
  private frame = 0; // in which what a lasso holds is counted
  private rest = 0;
  private running = new AbortController();
  private readonly size = new ResizeObserver(() => this.view?.update(this.extent()));

  constructor() {
    const form = h("form", { onsubmit: (event: Event) => { event.preventDefault(); void this.light(); } }, this.query,
      h("label", { for: "by" }, "Colour by ", this.by));
    this.root.append(form, this.said, this.legend, this.place, this.held);
    void this.load();
  }

  restore(): void { void this.load(); }

  leave(): void {
    window.clearTimeout(this.timer);
    window.clearTimeout(this.rest);
    window.cancelAnimationFrame(this.frame);
  }

  private async load(): Promise<void> {
    if (!canDraw()) {
      this.said.textContent = "The map is drawn by WebGPU or WebGL 2, and this browser offers neither.";
      return;
    }
    try {
      this.state = await ask<State>("/map");
      if (this.state.version > this.shown) await this.draw(this.state);
      const { points, documents, method, final } = this.state, queries = points - documents;
      this.said.textContent = `${documents.toLocaleString("en")} documents${queries ? ` and ${queries.toLocaleString("en")} ${queries === 1 ? "query" : "queries"}` : ""}${method ? `, placed by ${method}` : ", being placed"}${final ? "" : "; a better layout (UMAP) is being made"}. Drag to move, turn the wheel to zoom; the signs at the lower right draw a rectangle or a lasso.`;
      window.clearTimeout(this.timer);
      if (!final && this.root.isConnected) this.timer = window.setTimeout(() => void this.load(), this.state.version ? EVERY_MS : SOON_MS);
    } catch (error) {
      this.said.textContent = error instanceof Error ? error.message : String(error);
    }
  }

  private async draw(state: State): Promise<void> {
    const options = ["kind", "cluster", ...(state.findings ? ["finding"] : []), ...state.fields];
    if (this.by.options.length !== options.length) this.by.replaceChildren(...options.map((name) => h("option", { value: name }, name)));
    const by = this.by.value;
    const [raw, colours] = await Promise.all([answered("/map/places").then((found) => found.arrayBuffer()), this.colours()]);
    const all = new Float32Array(raw), count = all.length / 2;
    [this.x, this.y, this.shown] = [all.slice(0, count), all.slice(count), state.version];
    this.paint(by === this.by.value ? colours : await this.colours());
    this.near = new Near(this.x, this.y);
    if (!this.ids.length) await this.name();
  }

  private async name(): Promise<void> {
    this.ids = (await ask<{ ids: string[] }>("/map/ids")).ids;
    this.rows = new Map(this.ids.map((id, number) => [id, number]));
  }

  private async colour(): Promise<void> {
    const by = this.by.value, found = await this.colours();
    if (by === this.by.value) this.paint(found); // else another was chosen meanwhile
  }

  private colours(): Promise<Colours> { return ask(`/map/colours?${new URLSearchParams({ by: this.by.value })}`); }

  private paint({ names, codes }: Colours): void {
    this.codes = Uint8Array.from(atob(codes), (one) => one.charCodeAt(0));
    const points = { x: this.x, y: this.y, category: this.codes };
    this.points = [points, thinned(points)];
    this.pace.begin();
    this.legend.replaceChildren(...names.map((name, number) => h("li", {}, h("span", { class: "dot", style: `background: ${COLOURS[number % COLOURS.length]}` }), name)));
    const examples = this.by.value === "finding" ? this.numbers((code) => !KINDS.includes(names[code] as string)) : [];
    const props = { data: this.points[0], categoryColors: names.map((_, number) => COLOURS[number % COLOURS.length] as string), ...this.extent(), pixelRatio: PIXELS, config: CONFIG, tooltip: null, selection: examples.map((number) => this.spot(number)) };
    if (examples.length) this.list(examples, `${examples.length} in examples of the doctor's findings`);
    if (this.view) return this.view.update(props);
    this.size.observe(this.place);
    this.view = new EmbeddingView(this.place, { ...props, theme: { brandingLink: null },
      onViewportState: () => this.pace.moved(),
      querySelection: (x, y, unit) => this.nearest(x, y, unit), onRangeSelection: (range) => void this.hold(range), customTooltip: Tip });
  }

  private extent(): { width: number; height: number } {
    return { width: Math.max(200, this.place.clientWidth), height: Math.max(200, this.place.clientHeight) };
  }

  private async nearest(x: number, y: number, unit: number): Promise<Spot | null> {
    const number = this.near?.at(x, y, REACH * unit) ?? null;
    if (number === null) return null;
    const { id, text } = await ask<{ id: string; text: string }>(`/map/points/${number}`);
    return { ...this.spot(number), text: id ? `${id}\n${text}` : `query: ${text}` };
  }

  private numbers(which: (code: number, number: number) => boolean): number[] {
    const found: number[] = [];
    this.codes.forEach((code, number) => { if (which(code, number)) found.push(number); });
    return found;
  }

  private spot(number: number): Spot {
    return { x: this.x[number] as number, y: this.y[number] as number, category: this.codes[number] as number, identifier: number, text: this.ids[number] ?? "" };
  }

  /** Light up what a query finds. */
  private async light(): Promise<void> {
    this.running.abort();
    this.running = new AbortController();
    const query = this.query.value.trim();
    if (!query) return this.view?.update({ selection: [] });
    const { hits } = await search("model", { query, k: FOUND, mode: "hybrid", filter: "", explain: false }, this.running.signal);
    if (!this.ids.length) await this.name();
    const found = hits.map(({ id }) => this.rows.get(id)).filter((row): row is number => row !== undefined);
    this.view?.update({ selection: found.map((number) => this.spot(number)) });
    this.list(found, `${found.length} of the first ${hits.length} results are on the map`);
  }

  /** Count what a lasso holds, once a frame while it is drawn, and list it when it rests. */
  private hold(range: Rectangle | Point[] | null): void {
    window.cancelAnimationFrame(this.frame);
    window.clearTimeout(this.rest);
    if (!range) return this.held.replaceChildren();
    const outline = Array.isArray(range) ? range : [{ x: range.xMin, y: range.yMin }, { x: range.xMax, y: range.yMin }, { x: range.xMax, y: range.yMax }, { x: range.xMin, y: range.yMax }];
    this.frame = window.requestAnimationFrame(() => {
      const found = within(outline, this.x, this.y), title = `${found.length.toLocaleString("en")} points inside`;
      this.held.replaceChildren(h("h2", {}, title));
      this.rest = window.setTimeout(() => this.list(found, title), REST_MS);
    });
  }

  private list(found: number[], title: string): void {
    const items = found.slice(0, LISTED).map((number) => {
      const item = h("li", {}, this.ids[number] ?? "query");
      void ask<{ id: string; text: string }>(`/map/points/${number}`).then(({ id, text }) => item.replaceChildren(id ? h("a", { href: `#/search?${new URLSearchParams({ similar: id })}` }, id) : "query", ` ${text}`)).catch(() => undefined);
      return item;
    });
    const more = found.length > LISTED ? button(`${LISTED} more`, () => this.list(found.slice(LISTED), title)) : null;
    this.held.replaceChildren(h("h2", {}, title), h("ol", {}, ...items), ...(more ? [more] : []));
  }
}

/** What hangs over a point: its text, as text. */
class Tip {
  constructor(private readonly place: HTMLDivElement, given: { tooltip: { text?: string } }) { this.update(given); }
  update(given: { tooltip: { text?: string } }): void { this.place.replaceChildren(h("p", { class: "tip" }, given.tooltip.text ?? "")); }
}

/** Whether the browser draws by WebGPU or WebGL 2, of which embedding-atlas needs one. */
function canDraw(): boolean {
  return "gpu" in navigator || document.createElement("canvas").getContext("webgl2") !== null;
}
