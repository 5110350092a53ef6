// Draws every figure, again when the reader changes between light and dark.
const figures = JSON.parse(document.getElementById("figures").textContent);
const dark = window.matchMedia("(prefers-color-scheme: dark)");

function theme() {
  const style = getComputedStyle(document.documentElement);
  const [text, faint, line] = ["--text", "--faint", "--line"].map((name) => style.getPropertyValue(name).trim());
  const font = getComputedStyle(document.body).fontFamily;
  return {
    background: "transparent",
    font,
    view: { stroke: null },
    axis: {
      labelColor: faint, titleColor: faint, gridColor: line, domainColor: line, tickColor: line,
      labelFontSize: 12, titleFontSize: 12, titleFontWeight: "normal",
    },
    axisQuantitative: { tickCount: 5 },
    axisYQuantitative: { minExtent: 40 },
    axisBand: { labelColor: text, labelFontSize: 13, grid: false },
    legend: { orient: "top", labelColor: text, labelFontSize: 13, symbolType: "circle", offset: 4 },
    rule: { color: text },
  };
}

function draw() {
  const config = theme();
  for (const [id, spec] of Object.entries(figures)) {
    const place = document.getElementById(id);
    // ast: expressions are interpreted, so that the page's policy can forbid eval
    window
      .vegaEmbed(place, { ...spec, config }, { actions: false, ast: true, renderer: "svg", defaultStyle: false })
      .catch((error) => { place.textContent = `This figure could not be drawn: ${error.message}`; });
  }
}

dark.addEventListener("change", draw);
draw();
