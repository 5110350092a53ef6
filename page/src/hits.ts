/** One found document: its text with what matched, why it was found, and what can be done with it. */

import type { Hit, Mode } from "./api";
import { button, h, number } from "./dom";
import { condition, fields } from "./filter";

export interface Acts {
  narrow(condition: string): void;
  similar(id: string): void;
  whyNot(id: string): void;
  /** Null where results cannot be marked. */
  mark: ((id: string, good: boolean) => void) | null;
}

const LONG = 600; // characters that show before a text is opened

export function card(hit: Hit, place: number, mode: Mode, acts: Acts, mark: boolean | undefined): HTMLElement {
  const item = h("li", { class: "hit", tabindex: place === 1 ? 0 : -1, "data-id": hit.id, "aria-label": `Result ${place}: ${hit.id}` },
    h("div", { class: "head" },
      h("span", { class: "place" }, String(place)),
      button(hit.id, () => acts.whyNot(hit.id), { class: "id", title: "Where is this document in every column?" }),
      h("span", { class: "score", title: "score" }, number(hit.score))),
    hit.passage?.heading.length ? h("p", { class: "heading" }, hit.passage.heading.join(" › ")) : null,
    text(hit),
    labels(hit, acts),
    why(hit, mode),
    h("div", { class: "acts" },
      button("similar", () => acts.similar(hit.id), { title: "Documents nearest to this one (s)" }),
      ...(acts.mark ? [verdict("good", hit.id, true, acts.mark), verdict("bad", hit.id, false, acts.mark)] : [])));
  showMark(item, mark);
  return item;
}

/** Show on a card whether it was marked. */
export function showMark(item: HTMLElement, mark: boolean | undefined): void {
  item.dataset["mark"] = mark === undefined ? "" : mark ? "good" : "bad";
  for (const made of item.querySelectorAll<HTMLElement>(".verdict")) {
    made.setAttribute("aria-pressed", String(made.dataset["good"] === String(mark)));
  }
}

function verdict(label: string, id: string, good: boolean, mark: (id: string, good: boolean) => void): HTMLElement {
  return button(label, () => mark(id, good), { class: `verdict ${label}`, "data-good": String(good), "aria-pressed": "false",
    title: good ? "It answers the query (y)" : "It does not (n)" });
}

function text(hit: Hit): HTMLElement {
  const shown = h("p", { class: "text" }, ...marked(hit.text, hit.explanation?.marks ?? []));
  if (hit.text.length <= LONG) return shown;
  shown.classList.add("long");
  const more = button("more", () => {
    more.textContent = shown.classList.toggle("long") ? "more" : "less";
    more.setAttribute("aria-expanded", String(!shown.classList.contains("long")));
  }, { class: "more", "aria-expanded": "false" });
  return h("div", {}, shown, more);
}

/** A text in pieces, those between marks as `<mark>`; places count code points, as Python does. */
export function marked(text: string, marks: [number, number][]): (string | HTMLElement)[] {
  const letters = Array.from(text), pieces: (string | HTMLElement)[] = [];
  let done = 0;
  for (const [start, end] of marks) {
    pieces.push(letters.slice(done, start).join(""), h("mark", {}, letters.slice(start, end).join("")));
    done = end;
  }
  return [...pieces, letters.slice(done).join("")];
}

function labels(hit: Hit, acts: Acts): HTMLElement | null {
  const made = fields(hit.metadata).map(([field, value]) => {
    const written = condition(field, value), shown = String(Array.isArray(value) ? value[0] : value);
    const inside = [h("span", { class: "field" }, field), " ", shown.length > 60 ? `${shown.slice(0, 58)}…` : shown];
    return written === null ? h("span", { class: "label" }, ...inside)
      : h("button", { type: "button", class: "label", title: `Only where ${written}`, onclick: () => acts.narrow(written) }, ...inside);
  });
  return made.length ? h("div", { class: "labels" }, ...made) : null;
}

function why(hit: Hit, mode: Mode): HTMLElement | null {
  const said = hit.explanation;
  if (!said) return null;
  const words = Object.entries(said.matched).map(([term, score]) => `${term} ${number(score, 1)}`).join(", ");
  const dense = said.dense === null ? "" : `vectors ${number(said.dense)}`, lexical = `words ${number(said.lexical, 1)}`;
  const shares = mode === "hybrid" ? h("meter", { class: "share", min: 0, max: 1, value: said.dense_share,
    title: `${Math.round(100 * said.dense_share)} % of the score by vectors`, "aria-label": "share of the vectors in the score" }) : null;
  return h("div", { class: "why" }, shares, h("span", {}, [mode === "lexical" ? "" : dense, lexical].filter(Boolean).join(" · ")),
    words ? h("span", { class: "terms" }, words) : null);
}
