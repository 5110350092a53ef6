/** Search: results as one types, side by side, and what people think of them. */

import { type About, type Found, type Hit, mark, marksOf, search, similar } from "./api";
import { button, h, say } from "./dom";
import { and, conditions, without } from "./filter";
import { type Acts, card, showMark } from "./hits";
import { move } from "./keys";
import { type Asked, type Column, chosen, columns, keep, name, read, write } from "./state";

const PAUSE_MS = 120; // after a letter, before the service is asked
const RESULTS = 10;

export class Search {
  readonly root = h("section", { class: "search", "aria-label": "Search" });
  private readonly all: Column[];
  private readonly shown: Set<string>;
  private asked: Asked = read();
  private marks: Record<string, boolean> = {};
  private marksAre = ""; // of which query
  private running = new AbortController();
  private timer = 0;
  private readonly field = h("input", { type: "search", id: "query", placeholder: "What are you looking for?", autocomplete: "off", spellcheck: "false", "aria-label": "Query" });
  private readonly filter = h("input", { type: "text", id: "filter", placeholder: 'year >= 2020 and lang = "en"', autocomplete: "off", spellcheck: "false" });
  private readonly whyNot = h("input", { type: "text", id: "why", placeholder: "id of a document", autocomplete: "off", spellcheck: "false" });
  private readonly chips = h("div", { class: "chips" });
  private readonly fault = h("p", { class: "fault", role: "alert" });
  private readonly results = h("div", { class: "columns" });

  constructor(private readonly about: About) {
    this.all = columns(about.base !== null);
    this.shown = chosen(this.all);
    this.root.append(this.form(), this.chips, this.fault, this.results);
    this.root.addEventListener("keydown", (event) => this.pressed(event));
    this.restore();
  }

  /** Take what the address says. */
  restore(): void {
    this.asked = read();
    [this.field.value, this.filter.value, this.whyNot.value] = [this.asked.query, this.asked.filter, this.asked.whyNot];
    this.changed(0);
  }

  focus(): void {
    this.field.focus();
    this.field.select();
  }

  private form(): HTMLElement {
    for (const input of [this.field, this.filter, this.whyNot]) input.addEventListener("input", () => this.typed());
    const shown = this.all.map((column) => {
      const box = h("input", { type: "checkbox", checked: this.shown.has(name(column)), onchange: () => this.choose(name(column), box.checked) });
      return h("label", { class: "choice" }, box, name(column));
    });
    return h("form", { role: "search", onsubmit: (event: Event) => { event.preventDefault(); this.typed(); } }, this.field,
      h("div", { class: "options" },
        h("label", { for: "filter" }, "Filter", this.filter),
        h("label", { for: "why" }, "Where is", this.whyNot),
        h("fieldset", {}, h("legend", {}, "Columns"), ...shown)));
  }

  private choose(column: string, on: boolean): void {
    if (on) this.shown.add(column); else this.shown.delete(column);
    keep(this.shown);
    this.changed(0);
  }

  private typed(): void {
    this.asked = { query: this.field.value, filter: this.filter.value.trim(), whyNot: this.whyNot.value.trim(), similar: "" };
    this.changed(PAUSE_MS);
  }

  private change(part: Partial<Asked>): void {
    Object.assign(this.asked, part);
    [this.filter.value, this.whyNot.value] = [this.asked.filter, this.asked.whyNot];
    this.changed(0);
  }

  private changed(pause: number): void {
    write(this.asked);
    this.results.setAttribute("aria-busy", "true");
    this.chips.replaceChildren(...this.made());
    window.clearTimeout(this.timer);
    this.running.abort();
    this.timer = window.setTimeout(() => void this.run(), pause);
  }

  /** Chips: what the results are like, and each condition of the filter. */
  private made(): HTMLElement[] {
    const like = this.asked.similar ? [button(`similar to ${this.asked.similar} ×`, () => this.change({ similar: "" }), { class: "chip", title: "Back to the query" })] : [];
    return [...like, ...conditions(this.asked.filter).map((part, place) => button(`${part} ×`, () => this.change({ filter: without(this.asked.filter, place) }), { class: "chip", title: "Take this condition away" }))];
  }

  private async run(): Promise<void> {
    this.running = new AbortController();
    const { signal } = this.running, like = this.asked.similar;
    this.fault.textContent = "";
    const wanted = this.all.filter((column) => (like ? column.mode === "dense" && this.systemShows(column) : this.shown.has(name(column))));
    if (!like && !this.asked.query.trim()) wanted.length = 0;
    const places = this.places(wanted, like !== "");
    const marks = this.refreshMarks(signal);
    await Promise.allSettled(wanted.map(async (column, number) => {
      const place = places[number] as HTMLElement;
      try {
        const found = await this.find(column, signal);
        await marks;
        if (!signal.aborted) this.show(place, found, column);
      } catch (error) {
        if (signal.aborted) return;
        this.fault.textContent = error instanceof Error ? error.message : String(error);
        place.replaceChildren(...[...place.children].slice(0, 1));
        place.classList.remove("waiting");
      }
    }));
    if (!signal.aborted) this.results.setAttribute("aria-busy", "false");
  }

  private systemShows({ system }: Column): boolean {
    return this.all.some((column) => column.system === system && this.shown.has(name(column))) || (system === "model" && !this.shown.size);
  }

  private find({ system, mode }: Column, signal: AbortSignal): Promise<Found> {
    const { query, filter, whyNot, similar: like } = this.asked;
    if (like) return similar(system, like, filter, signal);
    return search(system, { query, filter, mode, k: RESULTS, explain: true, ...(whyNot ? { why_not: whyNot } : {}) }, signal);
  }

  private async refreshMarks(signal: AbortSignal): Promise<void> {
    const { query } = this.asked;
    if (!this.about.judgments || !query.trim() || query === this.marksAre) return;
    try {
      this.marks = await marksOf(query, signal);
      this.marksAre = query;
    } catch { /* the results matter more; the next query asks again */ }
  }

  /** Columns with the results before, until the new ones come. */
  private places(wanted: Column[], like: boolean): HTMLElement[] {
    const named = wanted.map((column) => (like ? `nearest, ${column.system}` : name(column)));
    const known = new Map([...this.results.children].map((place) => [(place as HTMLElement).dataset["name"], place as HTMLElement]));
    const places = named.map((title) => known.get(title) ?? h("section", { class: "column", "data-name": title, "aria-label": title }, h("h2", {}, title)));
    for (const place of places) place.classList.add("waiting");
    const same = places.length === this.results.children.length && places.every((place, number) => place === this.results.children[number]);
    if (!same) this.results.replaceChildren(...places); // the same ones would lose the focus that is in them
    return places;
  }

  private show(place: HTMLElement, found: Found, { mode }: Column): void {
    const title = h("h2", {}, String(place.dataset["name"]), h("small", {}, `${found.took_ms < 10 ? found.took_ms.toFixed(1) : Math.round(found.took_ms)} ms`));
    const lost = found.why_not && h("p", { class: `lost ${found.why_not.stage === "found" ? "is-found" : ""}` }, h("b", {}, found.why_not.stage), ` ${found.why_not.said}`);
    const list = h("ol", {}, ...found.hits.map((hit, number) => this.cardOf(hit, number + 1, mode)));
    const held = place.contains(document.activeElement) ? (document.activeElement as HTMLElement).closest<HTMLElement>(".hit")?.dataset["id"] : undefined;
    place.replaceChildren(title, ...(lost ? [lost] : []), found.hits.length ? list : h("p", { class: "none" }, "Nothing found."));
    place.classList.remove("waiting");
    if (held !== undefined) [...list.children].find((item): item is HTMLElement => (item as HTMLElement).dataset["id"] === held)?.focus();
  }

  private cardOf(hit: Hit, place: number, mode: Column["mode"]): HTMLElement {
    const acts: Acts = {
      narrow: (more) => this.change({ filter: and(this.asked.filter, more) }),
      similar: (id) => { this.change({ similar: id }); window.scrollTo(0, 0); },
      whyNot: (id) => this.change({ whyNot: this.asked.whyNot === id ? "" : id }),
      mark: this.about.judgments && this.asked.query.trim() ? (id, good) => void this.judge(id, good) : null,
    };
    return card(hit, place, mode, acts, this.marks[hit.id]);
  }

  private async judge(id: string, good: boolean): Promise<void> {
    const { query } = this.asked, taken = this.marks[id] === good;
    try {
      const count = await mark(query, id, taken ? null : good);
      if (taken) delete this.marks[id]; else this.marks[id] = good;
      say(`${id}: ${taken ? "mark taken away" : good ? "good" : "bad"}; ${count.toLocaleString("en")} judgments`);
    } catch (error) {
      say(error instanceof Error ? error.message : String(error));
    }
    for (const item of this.results.querySelectorAll<HTMLElement>(".hit")) if (item.dataset["id"] === id) showMark(item, this.marks[id]);
  }

  private pressed(event: KeyboardEvent): void {
    const item = (event.target as HTMLElement).closest<HTMLElement>(".hit"), inField = event.target instanceof HTMLInputElement;
    if (event.ctrlKey || event.metaKey || event.altKey) return;
    if (move(event, this.results, item, inField)) return event.preventDefault();
    if (event.key === "Escape" && !inField) return this.focus();
    if (!item || inField) return;
    const id = String(item.dataset["id"]);
    if (event.key === "y" || event.key === "n") item.querySelector<HTMLElement>(`.verdict[data-good="${event.key === "y"}"]`)?.click();
    else if (event.key === "s") this.change({ similar: id });
    else if (event.key === "w") this.change({ whyNot: this.asked.whyNot === id ? "" : id });
    else if (event.key === "Enter" && event.target === item) item.querySelector<HTMLElement>(".more")?.click();
  }
}
