/** Elements made by hand: every text becomes a text node, never markup. */

type Child = Node | string | null | undefined | false;
type Values = Record<string, unknown>;

/** An element with attributes (or `on…` listeners, or properties that are no text) and children. */
export function h<K extends keyof HTMLElementTagNameMap>(tag: K, values: Values = {}, ...children: Child[]): HTMLElementTagNameMap[K] {
  const made = document.createElement(tag);
  for (const [name, value] of Object.entries(values)) {
    if (value === undefined || value === null) continue;
    if (typeof value === "function") made.addEventListener(name.slice(2), value as EventListener);
    else if (typeof value === "boolean" && !name.startsWith("aria-")) made.toggleAttribute(name, value);
    else made.setAttribute(name, String(value));
  }
  made.append(...children.filter((child): child is Node | string => child !== null && child !== undefined && child !== false));
  return made;
}

/** A button that does something. */
export function button(label: string, act: (event: Event) => void, values: Values = {}): HTMLButtonElement {
  return h("button", { type: "button", onclick: act, ...values }, label);
}

/** A number as people write it. */
export function number(value: number, digits = 3): string {
  return value.toLocaleString("en", { maximumFractionDigits: digits, minimumFractionDigits: Number.isInteger(value) ? 0 : digits });
}

/** A figure in at most three digits that count; a dash where there is none. */
export function brief(value: number | null): string {
  if (value === null) return "–";
  return value.toLocaleString("en", Math.abs(value) >= 1000 ? { maximumFractionDigits: 0 } : { maximumSignificantDigits: 3 });
}

/** A difference with its interval. */
export function interval(found: { difference: number; low: number; high: number } | undefined): string {
  return found ? `${signed(found.difference)} (${signed(found.low)} to ${signed(found.high)})` : "";
}

/** A name in words. */
export const words = (name: string): string => name.replaceAll("_", " ").replace("ndcg", "nDCG");

const signed = (given: number): string => `${given > 0 ? "+" : given < 0 ? "−" : ""}${number(Math.abs(given))}`;

const live = h("p", { class: "live", role: "status", "aria-live": "polite" });

/** Say something that passes, also to a screen reader. */
export function say(text: string): void {
  live.textContent = text;
  live.classList.add("shown");
  window.clearTimeout(timer);
  timer = window.setTimeout(() => live.classList.remove("shown"), 4000);
}
let timer = 0;

export { live };
