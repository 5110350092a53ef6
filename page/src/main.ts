/** The page: its head, and the view that the address names. */

import "./style.css";
import { type About, ask } from "./api";
import { h, live } from "./dom";
import { Search } from "./search";

interface View { root: HTMLElement; focus?(): void; restore?(): void; leave?(): void }

const main = h("main", { id: "main" });
const nav = h("nav", { "aria-label": "Views" });
const made = new Map<string, Promise<View>>();
let current = "", shown: View | null = null;

async function start(): Promise<void> {
  document.querySelector("noscript")?.remove();
  const head = h("header", {}, h("a", { class: "brand", href: "#/search" }, "nearfar"), nav);
  document.body.append(head, main, live);
  try {
    const about = await ask<About>("/about");
    head.append(h("p", { class: "model", title: "what is served" }, describe(about)));
    const views = viewsOf(about);
    nav.append(...Object.keys(views).map((name) => h("a", { href: `#/${name}`, "data-view": name }, name)));
    addEventListener("hashchange", () => void route(views));
    document.addEventListener("keydown", (event) => slash(event));
    await route(views);
  } catch (error) {
    main.replaceChildren(h("p", { class: "fault", role: "alert" }, `The service cannot be reached: ${error instanceof Error ? error.message : String(error)}`));
  }
}

/** The views that the service can fill. */
function viewsOf(about: About): Record<string, () => Promise<View>> {
  const views: Record<string, () => Promise<View>> = {};
  if (about.documents !== null) views["search"] = async () => new Search(about);
  if (about.documents !== null) views["map"] = async () => new (await import("./map")).DocumentMap();
  if (about.runs) views["runs"] = async () => new (await import("./runs")).Runs();
  views["interface"] = async () => new (await import("./interface")).Interface();
  return views;
}

async function route(views: Record<string, () => Promise<View>>): Promise<void> {
  const wanted = location.hash.slice(2).split(/[?/]/)[0] ?? "", name = Object.hasOwn(views, wanted) ? wanted : Object.keys(views)[0];
  if (name === undefined) return;
  for (const link of nav.querySelectorAll("a")) link.toggleAttribute("aria-current", link.dataset["view"] === name);
  if (name === current) return shown?.restore?.();
  shown?.leave?.();
  const is = made.has(name);
  made.set(name, made.get(name) ?? (views[name] as () => Promise<View>)());
  current = name;
  const view = await made.get(name) as View;
  if (current !== name) return; // another was chosen meanwhile
  shown = view;
  main.replaceChildren(view.root);
  if (is) view.restore?.();
  view.focus?.();
}

function describe(about: About): string {
  const documents = about.documents === null ? "" : `, ${about.documents.toLocaleString("en")} documents`;
  return `${about.model}${documents}${about.base === null ? "" : `, beside ${about.base}`}`;
}

function slash(event: KeyboardEvent): void {
  const typing = event.target instanceof HTMLInputElement || event.target instanceof HTMLTextAreaElement;
  if (event.key !== "/" || typing || event.ctrlKey || event.metaKey || event.altKey) return;
  event.preventDefault();
  if (current === "search") shown?.focus?.();
  else location.hash = "#/search";
}

void start();
