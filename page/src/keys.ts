/** Moving among results: j, k or the arrows down and up a column, h, l or the arrows across columns. */

const STEPS: Record<string, [number, number]> = {
  j: [1, 0], k: [-1, 0], h: [0, -1], l: [0, 1], ArrowDown: [1, 0], ArrowUp: [-1, 0], ArrowLeft: [0, -1], ArrowRight: [0, 1],
};

/** Whether the key was one of these, and the focus has moved. */
export function move(event: KeyboardEvent, results: HTMLElement, item: HTMLElement | null, inField: boolean): boolean {
  const step = STEPS[event.key];
  if (!step || (inField && event.key !== "ArrowDown")) return false;
  const columns = [...results.querySelectorAll("ol")].map((list) => [...list.children] as HTMLElement[]);
  const [column, row] = item ? placeOf(columns, item) : [0, -1];
  const next = columns[Math.max(0, Math.min(columns.length - 1, column + step[1]))];
  const found = next?.[Math.max(0, Math.min(next.length - 1, row + step[0]))];
  found?.focus();
  found?.scrollIntoView({ block: "nearest" });
  return found !== undefined;
}

function placeOf(columns: HTMLElement[][], item: HTMLElement): [number, number] {
  const column = columns.findIndex((items) => items.includes(item));
  return [column, columns[column]?.indexOf(item) ?? -1];
}
