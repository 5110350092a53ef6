/** Filters made by clicking, in the filter language of docs/filters.md. */

const RESERVED = new Set(["and", "or", "not"]);
const TOKEN = /"(?:[^"\\]|\\.)*"|'(?:[^'\\]|\\.)*'|`[^`]*`|[\p{L}_][\p{L}\p{N}_.]*|[()]/gsu;

/** The condition that a field has a value; null where none can be written. */
export function condition(field: string, value: unknown): string | null {
  const name = named(field), given = valued(Array.isArray(value) ? value[0] : value);
  return name === null || given === null ? null : `${name} ${Array.isArray(value) ? "has" : "="} ${given}`;
}

/** A filter narrowed by one more condition. */
export function and(filter: string, more: string): string {
  const parts = conditions(filter);
  return parts.includes(more) ? filter : [...parts.map(closed), more].join(" and ");
}

/** A filter without one of its conditions. */
export function without(filter: string, place: number): string {
  return conditions(filter).filter((_, number) => number !== place).map(closed).join(" and ");
}

/** The parts of a filter that `and` joins on the outside; the whole of it where `or` does. */
export function conditions(filter: string): string[] {
  const joints = outside(filter);
  if (joints.some(({ word }) => word === "or")) return [filter.trim()];
  const starts = [0, ...joints.map(({ at }) => at + 3)], ends = [...joints.map(({ at }) => at), filter.length];
  return starts.map((start, place) => filter.slice(start, ends[place]).trim()).filter(Boolean);
}

/** Where `and` and `or` stand outside of parentheses and quotes. */
function outside(filter: string): { word: string; at: number }[] {
  const found: { word: string; at: number }[] = [];
  let depth = 0;
  for (const { 0: token, index } of filter.matchAll(TOKEN)) {
    depth += token === "(" ? 1 : token === ")" ? -1 : 0;
    const word = token.toLowerCase();
    if (depth === 0 && (word === "and" || word === "or")) found.push({ word, at: index });
  }
  return found;
}

/** What a document's metadata can be asked for: the fields of nested values by names with dots, each of a list. */
export function fields(metadata: Record<string, unknown>, before = ""): [string, unknown][] {
  return Object.entries(metadata).flatMap(([name, value]): [string, unknown][] => {
    if (value === null || value === "") return [];
    if (Array.isArray(value)) return value.map((one) => [before + name, [one]]);
    return typeof value === "object" ? fields(value as Record<string, unknown>, `${before}${name}.`) : [[before + name, value]];
  });
}

const closed = (part: string): string => (outside(part).some(({ word }) => word === "or") ? `(${part})` : part);

function named(field: string): string | null {
  if (/^[A-Za-z_][\w.]*$/.test(field) && !RESERVED.has(field.toLowerCase())) return field;
  return field === "" || field.includes("`") ? null : `\`${field}\``;
}

function valued(value: unknown): string | null {
  if (typeof value === "boolean" || typeof value === "number") return String(value);
  if (typeof value !== "string") return null;
  const escaped = value.replaceAll("\\", "\\\\").replaceAll('"', '\\"').replaceAll("\n", "\\n").replaceAll("\t", "\\t");
  return `"${escaped}"`;
}
