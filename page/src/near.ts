/** Points on a plane, found by their place. */

export interface Spot { x: number; y: number }

export class Near {
  private readonly cells = new Map<number, number[]>();
  private readonly left: number;
  private readonly low: number;
  private readonly size: number;

  constructor(private readonly x: Float32Array, private readonly y: Float32Array) {
    [this.left, this.low] = [least(x), least(y)];
    const area = Math.max(1e-9, (-least(x.map((one) => -one)) - this.left) * (-least(y.map((one) => -one)) - this.low));
    this.size = Math.max(1e-6, Math.sqrt((4 * area) / Math.max(1, x.length))); // four points a cell
    x.forEach((one, number) => {
      const key = this.key(this.column(one), this.row(y[number] as number)), cell = this.cells.get(key);
      if (cell) cell.push(number); else this.cells.set(key, [number]);
    });
  }

  /** The point nearest to a place and not farther than `reach`; null where there is none. */
  at(x: number, y: number, reach: number): number | null {
    let best: number | null = null, distance = reach * reach;
    for (let column = this.column(x - reach); column <= this.column(x + reach); column++) {
      for (let row = this.row(y - reach); row <= this.row(y + reach); row++) {
        for (const number of this.cells.get(this.key(column, row)) ?? []) {
          const found = ((this.x[number] as number) - x) ** 2 + ((this.y[number] as number) - y) ** 2;
          if (found <= distance) [best, distance] = [number, found];
        }
      }
    }
    return best;
  }

  private column(x: number): number { return Math.floor((x - this.left) / this.size); }
  private row(y: number): number { return Math.floor((y - this.low) / this.size); }
  private key(column: number, row: number): number { return column * 1_000_003 + row; }
}

/** Numbers of the points within a polygon: a ray from each crosses the outline an odd number of times. */
export function within(polygon: Spot[], x: Float32Array, y: Float32Array): number[] {
  const { left, right, low, high } = bounds(polygon), found: number[] = [];
  for (let number = 0; number < x.length; number++) {
    const [across, down] = [x[number] as number, y[number] as number];
    if (across < left || across > right || down < low || down > high) continue;
    let odd = false, other = polygon[polygon.length - 1] as Spot;
    for (const one of polygon) {
      if (one.y > down !== other.y > down && across < ((other.x - one.x) * (down - one.y)) / (other.y - one.y) + one.x) odd = !odd;
      other = one;
    }
    if (odd) found.push(number);
  }
  return found;
}

function bounds(polygon: Spot[]): { left: number; right: number; low: number; high: number } {
  const [across, down] = [polygon.map((one) => one.x), polygon.map((one) => one.y)];
  return { left: Math.min(...across), right: Math.max(...across), low: Math.min(...down), high: Math.max(...down) };
}

const least = (values: Float32Array): number => values.reduce((found, one) => Math.min(found, one), Infinity);
