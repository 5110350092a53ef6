/** The interface: every path of the service, with its fields, as the service describes itself. */

import { ask } from "./api";
import { h } from "./dom";

interface Schema {
  $ref?: string; type?: string; title?: string; description?: string; default?: unknown; enum?: unknown[]; const?: unknown;
  properties?: Record<string, Schema>; required?: string[]; items?: Schema; anyOf?: Schema[]; oneOf?: Schema[];
}
interface Parameter { name: string; in: string; required?: boolean; description?: string; schema?: Schema }
interface Operation {
  summary?: string; description?: string; parameters?: Parameter[]; requestBody?: { content?: Record<string, { schema?: Schema }> };
  responses: Record<string, { description?: string }>;
}
interface Described { info: { version: string }; paths: Record<string, Record<string, Operation>>; components?: { schemas?: Record<string, Schema> } }

const DEPTH = 3; // of types inside types that are written out

export class Interface {
  readonly root = h("section", { class: "runs", "aria-label": "Interface" });

  constructor() { void this.load(); }

  private async load(): Promise<void> {
    try {
      const found = await ask<Described>("/openapi.json");
      const parts = Object.entries(found.paths).flatMap(([path, methods]) => Object.entries(methods).map(([method, one]) => shown(found, method, path, one)));
      this.root.replaceChildren(h("h1", {}, `Interface of nearfar ${found.info.version}`),
        h("p", {}, "For programs that write clients: ", h("a", { href: "/openapi.json" }, "openapi.json")), ...parts);
    } catch (error) {
      this.root.replaceChildren(h("p", { class: "fault", role: "alert" }, error instanceof Error ? error.message : String(error)));
    }
  }
}

function shown(all: Described, method: string, path: string, one: Operation): HTMLElement {
  const body = one.requestBody?.content?.["application/json"]?.schema;
  const bodies = body ? (body.anyOf ?? [body]).map((part) => resolved(all, part)) : [];
  const answers = Object.entries(one.responses).map(([status, said]) => h("li", {}, `${status}: ${said.description ?? ""}`));
  return h("details", {}, h("summary", {}, h("code", {}, `${method.toUpperCase()} ${path}`), ` ${one.description ?? one.summary ?? ""}`),
    one.parameters?.length ? fields(all, one.parameters.map((part) => [part.name, part.schema ?? {}, part.required === true, part.description])) : null,
    ...bodies.map((part) => fields(all, Object.entries(part.properties ?? {}).map(([name, field]) => [name, field, part.required?.includes(name) === true, field.description]))),
    h("ul", {}, ...answers));
}

type Field = [string, Schema, boolean, string | undefined];

function fields(all: Described, rows: Field[]): HTMLElement {
  const cells = ([name, field, required, said]: Field): HTMLElement => h("tr", {}, h("th", { scope: "row" }, h("code", {}, name)), h("td", {}, h("code", {}, typed(all, field, DEPTH))),
    h("td", {}, required ? "needed" : field.default === undefined || field.default === null ? "" : JSON.stringify(field.default)), h("td", {}, said ?? ""));
  return h("table", {}, h("thead", {}, h("tr", {}, ...["Field", "Type", "Default", ""].map((title) => h("th", { scope: "col" }, title)))), h("tbody", {}, ...rows.map(cells)));
}

function resolved(all: Described, schema: Schema): Schema {
  return schema.$ref ? all.components?.schemas?.[schema.$ref.split("/").pop() ?? ""] ?? {} : schema;
}

/** A type in a few words. */
function typed(all: Described, given: Schema, depth: number): string {
  const schema = resolved(all, given);
  const many = schema.anyOf ?? schema.oneOf;
  if (many) return [...new Set(many.map((part) => typed(all, part, depth)))].join(" | ");
  if (schema.const !== undefined) return JSON.stringify(schema.const);
  if (schema.enum) return schema.enum.map((value) => JSON.stringify(value)).join(" | ");
  if (schema.type === "array") return `[${schema.items ? typed(all, schema.items, depth) : "…"}]`;
  if (schema.properties && depth) return `{${Object.entries(schema.properties).map(([name, part]) => `${name}: ${typed(all, part, depth - 1)}`).join(", ")}}`;
  return schema.type ?? "any";
}
