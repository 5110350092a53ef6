// What the benchmark of the map watches in the page: when points are drawn, how long frames take, what is asked.

window.watched = { usable: null, shown: null, drawn: 0, frames: [], fetching: 0, asked: 0, pointed: 0, told: 0 };

const draw = WebGL2RenderingContext.prototype.drawArrays;
WebGL2RenderingContext.prototype.drawArrays = function (mode, first, count) {
  draw.call(this, mode, first, count);
  if (mode !== this.POINTS || count < 1000) return;
  watched.drawn += 1;
  watched.frames.push(performance.now());
  if (watched.shown === null) twice(() => { watched.shown ??= performance.now(); }); // the frame has gone out
};

const ask = window.fetch;
window.fetch = async (...given) => {
  watched.asked += 1;
  watched.fetching += 1;
  try { return await ask(...given); } finally { watched.fetching -= 1; }
};

const twice = (act) => requestAnimationFrame(() => requestAnimationFrame(act));

addEventListener("focusin", (event) => { if (event.target.id === "query") watched.usable ??= performance.now(); });
addEventListener("mousemove", () => { watched.pointed = performance.now(); }, true);
new MutationObserver((changes) => {
  if (changes.some(({ target, addedNodes }) => target.closest?.(".tip") || [...addedNodes].some((one) => one.querySelector?.(".tip") || one.matches?.(".tip")))) watched.told = performance.now();
}).observe(document, { childList: true, subtree: true });

let before = null, ticks = [];

/** From now on the times of frames are kept, and what is asked. */
window.recorded = () => {
  [before, ticks] = [{ start: performance.now(), asked: watched.asked }, []];
  watched.frames = [];
  const step = (now) => { if (before !== null) { ticks.push(now); requestAnimationFrame(step); } };
  requestAnimationFrame(step);
};

/** Seconds since then, when frames were begun, when points were drawn, and how often the service was asked. */
window.ended = () => {
  const found = { seconds: (performance.now() - before.start) / 1000, asked: watched.asked - before.asked, ticks, drawn: watched.frames };
  before = null;
  return found;
};

/** Frames a second in which nothing is drawn but the ground of a canvas as large as the map's. */
window.ground = (seconds) => new Promise((resolve) => {
  const map = document.querySelector(".canvas canvas"), canvas = document.createElement("canvas");
  [canvas.width, canvas.height, canvas.style.cssText] = [map.width, map.height, "position: fixed; inset: 0; width: 100%; height: 100%"];
  document.body.append(canvas);
  const gl = canvas.getContext("webgl2", { antialias: false }), start = performance.now();
  let count = 0;
  const step = (now) => {
    gl.clearColor(++count % 10 / 10, 1, 1, 1);
    gl.clear(gl.COLOR_BUFFER_BIT);
    if (now - start < 1000 * seconds) return requestAnimationFrame(step);
    canvas.remove();
    resolve(1000 * count / (now - start));
  };
  requestAnimationFrame(step);
});

const until = (holds, start = performance.now()) => new Promise((resolve) => {
  const step = () => { if (holds()) requestAnimationFrame(() => resolve(performance.now() - start)); else requestAnimationFrame(step); };
  step();
});

/** When the page is usable, or the points are shown: milliseconds from the begin of the navigation. */
window.reached = (what) => until(() => watched[what] !== null).then(() => watched[what]);

/** When nothing is asked of the service. */
window.idle = () => until(() => watched.fetching === 0);

/** Milliseconds until the points have another colour. */
window.coloured = (by) => {
  const select = document.querySelector("#by"), before = watched.drawn;
  select.value = by;
  select.dispatchEvent(new Event("change"));
  return until(() => watched.drawn > before);
};

/** Milliseconds until what a query finds is lit up, and until its texts are there. */
window.lit = async (query) => {
  const field = document.querySelector("#light"), start = performance.now();
  field.value = query;
  field.form.requestSubmit();
  return [await until(() => document.querySelector(".held h2"), start), await until(all, start)];
};

/** Milliseconds until the texts are there of what a lasso holds. */
window.listed = () => until(all);

const all = () => watched.fetching === 0 && document.querySelector(".held li") !== null && [...document.querySelectorAll(".held li")].every((item) => item.querySelector("a"));
