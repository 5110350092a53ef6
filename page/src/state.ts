/** What is asked, kept in the address so that it can be sent to others and gone back to. */

import type { Mode, System } from "./api";

export interface Column { system: System; mode: Mode }

const MODES: Mode[] = ["dense", "lexical", "hybrid"];
const CHOSEN = "nearfar-columns";

/** All columns there can be; words are the same to both models where they are over the same documents. */
export function columns(hasBase: boolean): Column[] {
  const systems: System[] = hasBase ? ["model", "base"] : ["model"];
  return systems.flatMap((system) => MODES.map((mode) => ({ system, mode })));
}

export const name = (column: Column): string => (column.system === "base" ? `base ${column.mode}` : column.mode);

/** The names of the columns that show: those chosen last, or as many as there is room for. */
export function chosen(all: Column[]): Set<string> {
  const kept = localStorage.getItem(CHOSEN)?.split(",").filter((one) => all.some((column) => name(column) === one)) ?? [];
  if (kept.length) return new Set(kept);
  if (window.innerWidth < 700) return new Set(["hybrid"]);
  return new Set(all.some(({ system }) => system === "base") ? ["hybrid", "dense", "base dense"] : MODES);
}

export function keep(shown: Set<string>): void {
  localStorage.setItem(CHOSEN, [...shown].join(","));
}

export interface Asked { query: string; filter: string; whyNot: string; similar: string }

export function read(): Asked {
  const given = new URLSearchParams(location.hash.split("?")[1] ?? "");
  return { query: given.get("q") ?? "", filter: given.get("filter") ?? "", whyNot: given.get("why") ?? "", similar: given.get("similar") ?? "" };
}

export function write(asked: Asked): void {
  const pairs = Object.entries({ q: asked.query, filter: asked.filter, why: asked.whyNot, similar: asked.similar });
  const given = new URLSearchParams(pairs.filter(([, value]) => value !== ""));
  history.replaceState(null, "", given.size ? `#/search?${given}` : "#/search");
}
