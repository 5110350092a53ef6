/** The service: what it is asked, and what it answers. */

import { button, h } from "./dom";

export type Mode = "dense" | "lexical" | "hybrid";
export type System = "model" | "base";
export interface About { model: string; documents: number | null; base: string | null; judgments: boolean; reranker: boolean; runs: boolean }
export interface Why { dense: number | null; lexical: number; dense_share: number; matched: Record<string, number>; marks: [number, number][] }
export interface Hit {
  id: string; score: number; text: string; metadata: Record<string, unknown>;
  passage: { start: number; end: number; heading: string[] } | null; explanation: Why | null;
}
export interface Lost { stage: string; said: string; dense_place: number | null; lexical_place: number | null; place: number | null }
export interface Found { hits: Hit[]; why_not: Lost | null; took_ms: number }
export interface Question { query: string; k: number; mode: Mode; filter: string; explain: boolean; why_not?: string }

const KEY = "nearfar-key";

/** An answer of the service; an error carries what it said. */
export async function ask<T>(path: string, init: RequestInit = {}): Promise<T> {
  return (await answered(path, init)).json() as Promise<T>;
}

/** The raw answer, after the key was asked for where one is needed. */
export async function answered(path: string, init: RequestInit = {}): Promise<Response> {
  const key = sessionStorage.getItem(KEY);
  const headers = { ...(init.body ? { "content-type": "application/json" } : {}), ...(key ? { authorization: `Bearer ${key}` } : {}) };
  const found = await fetch(path, { ...init, headers });
  if (found.status === 401) {
    await keyed();
    return answered(path, init);
  }
  if (!found.ok) throw new Error(await said(found));
  return found;
}

export const hasKey = (): boolean => sessionStorage.getItem(KEY) !== null;

const of = (system: System): string => (system === "base" ? "/base" : "");

export function search(system: System, question: Question, signal: AbortSignal): Promise<Found> {
  return ask(`${of(system)}/search`, { method: "POST", body: JSON.stringify(question), signal });
}

export function similar(system: System, id: string, filter: string, signal: AbortSignal): Promise<Found> {
  return ask(`${of(system)}/similar/${encodeURIComponent(id)}?${new URLSearchParams({ k: "10", filter })}`, { signal });
}

export async function marksOf(query: string, signal: AbortSignal): Promise<Record<string, boolean>> {
  return (await ask<{ marks: Record<string, boolean> }>(`/judgments?${new URLSearchParams({ query })}`, { signal })).marks;
}

export async function mark(query: string, id: string, good: boolean | null): Promise<number> {
  return (await ask<{ judgments: number }>("/judgments", { method: "POST", body: JSON.stringify({ query, id, good }) })).judgments;
}

async function said(found: Response): Promise<string> {
  const body = await found.json().catch(() => null) as { error?: { message?: string } } | null;
  return body?.error?.message ?? `the service answered ${found.status}`;
}

let asking: Promise<void> | null = null;

/** Ask for the service's key, once for all that wait for it; it stays in this tab. */
function keyed(): Promise<void> {
  asking ??= new Promise<void>((resolve) => {
    const field = h("input", { type: "password", id: "key", autocomplete: "current-password", required: true });
    const form = h("form", { method: "dialog" }, h("label", { for: "key" }, "The service needs its key (NEARFAR_API_KEY)"), field, button("Go on", () => form.requestSubmit()));
    const dialog = h("dialog", {}, form);
    form.addEventListener("submit", () => sessionStorage.setItem(KEY, field.value));
    dialog.addEventListener("close", () => { dialog.remove(); asking = null; resolve(); });
    document.body.append(dialog);
    dialog.showModal();
  });
  return asking;
}
