/** Fewer points and pixels while the map moves, where all of them take long to draw: where there is no GPU. */

const SLOW_MS = 50; // of a frame
const TIMES = 3; // that a frame was slow, before anything is left out
const FORGIVEN = 0.1; // of a slow frame, by one that was not
const REST_MS = 200; // after the last move
const MOST = 10_000; // points while it moves

export interface Points { x: Float32Array<ArrayBuffer>; y: Float32Array<ArrayBuffer>; category: Uint8Array<ArrayBuffer> }

/** Every n-th point, so that they are not too many to move. */
export function thinned(points: Points): Points {
  const step = Math.ceil(points.x.length / MOST), kept = (_: number, number: number): boolean => number % step === 0;
  return step <= 1 ? points : { x: points.x.filter(kept), y: points.y.filter(kept), category: points.category.filter(kept) };
}

export class Pace {
  private slow = 0; // frames
  private timed = false; // whether a frame is
  private moves = false;
  private timer = 0;

  constructor(private readonly change: (moves: boolean) => void) {}

  /** Time frames anew: what other points took to draw says little of these. */
  begin(): void {
    [this.slow, this.moves] = [0, false];
    window.clearTimeout(this.timer);
  }

  /** Call it with every move. */
  moved(): void {
    window.clearTimeout(this.timer);
    if (this.slow < TIMES) return this.time();
    this.set(true);
    this.timer = window.setTimeout(() => this.set(false), REST_MS);
  }

  private set(moves: boolean): void {
    if (moves !== this.moves) this.change(moves);
    this.moves = moves;
  }

  private time(): void {
    if (this.timed) return;
    this.timed = true;
    requestAnimationFrame((begin) => requestAnimationFrame((end) => {
      this.timed = false;
      this.slow = Math.max(0, this.slow + (end - begin > SLOW_MS ? 1 : -FORGIVEN));
    }));
  }
}
