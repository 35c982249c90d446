// The controls of the page of an evaluation. Without JavaScript only the precision-recall
// curves are missing.
"use strict";

const data = JSON.parse(document.getElementById("data").textContent);
const $ = (id) => document.getElementById(id);

function element(tag, text, attributes = {}) {
  const made = document.createElement(tag);
  made.textContent = text;
  for (const [name, value] of Object.entries(attributes)) {
    made.setAttribute(name, value);
  }
  return made;
}

// ------------------------------------------------------------ actions

function sortActions() {
  const key = $("sort").value;
  const sign = key === "-ap" || key === "id" ? 1 : -1;
  const name = key.replace("-", "");
  const value = (row) => Number(row.dataset[name]);
  // Actions without AP come last in either order.
  const missing = (row) => (name !== "id" && row.dataset.ap === "-1" ? 1 : 0);
  const byName = (a, b) => a.dataset.name.localeCompare(b.dataset.name);
  const rows = [...$("classes").rows];
  rows.sort((a, b) =>
    name === "name"
      ? byName(a, b)
      : missing(a) - missing(b) || sign * (value(a) - value(b)) || byName(a, b));
  $("classes").append(...rows);
}

function filterActions() {
  const wanted = $("filter").value.trim().toLowerCase();
  const rows = [...$("classes").rows];
  for (const row of rows) {
    row.hidden = !row.dataset.name.toLowerCase().includes(wanted);
  }
  const count = rows.filter((row) => !row.hidden).length;
  $("shown").textContent =
    wanted ? `${count} of ${rows.length} actions` : `${count} actions`;
}

$("sort").addEventListener("change", sortActions);
$("filter").addEventListener("input", filterActions);

// ------------------------------------------------------------ curves

const DASHES = ["none", "8 4", "2 3", "12 3 2 3", "5 2", "1 4"];
const MARGIN = { left: 44, right: 10, top: 10, bottom: 36 };
let chosen = data.initial.slice();
let pointed = null; // recall under the pointer

function size() {
  const width = Math.max(240, $("curves").clientWidth);
  return { width, height: Math.min(420, Math.round(width * 0.7)) };
}

function scales() {
  const { width, height } = size();
  return {
    x: (v) => MARGIN.left + v * (width - MARGIN.left - MARGIN.right),
    y: (v) => height - MARGIN.bottom - v * (height - MARGIN.top - MARGIN.bottom),
  };
}

function axes({ x, y }) {
  const lines = [];
  for (const v of [0, 0.2, 0.4, 0.6, 0.8, 1]) {
    lines.push(
      `<path class="grid" d="M${x(v)} ${y(0)}V${y(1)}M${x(0)} ${y(v)}H${x(1)}"/>`,
      `<text x="${x(v)}" y="${y(0) + 16}" text-anchor="middle">${v}</text>`,
      `<text x="${x(0) - 6}" y="${y(v) + 4}" text-anchor="end">${v}</text>`);
  }
  const middle = (y(0) + y(1)) / 2;
  lines.push(
    `<text x="${(x(0) + x(1)) / 2}" y="${y(0) + 32}" text-anchor="middle">recall` +
      "</text>",
    `<text transform="translate(11 ${middle}) rotate(-90)" text-anchor="middle">` +
      "precision</text>");
  return lines.join("");
}

// Colour and dashes of the curve chosen as number `index`.
function look(index) {
  const i = index % DASHES.length;
  return `stroke:var(--curve-${i});stroke-dasharray:${DASHES[i]}`;
}

function line(curve, index, { x, y }) {
  const points = curve.recall.map((r, i) =>
    `${x(r).toFixed(1)} ${y(curve.precision[i]).toFixed(1)}`);
  if (!points.length) return "";
  return `<path class="curve" style="${look(index)}" d="M${points.join("L")}"/>`;
}

// Precision and score at a recall; null if the curve ends before.
function at(curve, recall) {
  const i = curve.recall.findIndex((r) => r >= recall);
  return i < 0 ? null : { precision: curve.precision[i], score: curve.score[i] };
}

function drawCurves() {
  const { width, height } = size();
  const scale = scales();
  const guide = pointed === null ? "" :
    `<path class="guide" d="M${scale.x(pointed)} ${scale.y(0)}V${scale.y(1)}"/>`;
  const lines = chosen.map((id, i) => line(data.curves[id], i, scale)).join("");
  $("curves").innerHTML =
    `<svg width="${width}" height="${height}" role="img" ` +
    `aria-label="Precision over recall">${axes(scale)}${lines}${guide}</svg>`;
  drawChosen();
}

function drawChosen() {
  $("chosen").replaceChildren(...chosen.map((id, i) => {
    const button = element("button", "", { type: "button", title: "remove" });
    button.innerHTML = '<svg width="26" height="10"><path class="curve" d="M0 5H26" ' +
      `style="${look(i)}"/></svg>`;
    button.append(element("span", ` ${data.names[id]}${describe(id)} ×`));
    button.addEventListener("click", () => {
      chosen = chosen.filter((other) => other !== id);
      drawCurves();
    });
    return button;
  }));
}

function describe(id) {
  if (pointed === null) return `, AP ${data.ap[id].toFixed(3)}`;
  const point = at(data.curves[id], pointed);
  if (point === null) return `: ends before recall ${pointed.toFixed(2)}`;
  return `: precision ${point.precision.toFixed(2)} at recall ` +
    `${pointed.toFixed(2)}, score ${point.score.toPrecision(2)}`;
}

function addCurve() {
  const id = $("add").value;
  if (id && !chosen.includes(id)) chosen.push(id);
  $("add").value = "";
  drawCurves();
}

function point(event) {
  const box = $("curves").getBoundingClientRect();
  const { x } = scales();
  const recall = (event.clientX - box.left - x(0)) / (x(1) - x(0));
  pointed = recall < 0 || recall > 1 ? null : recall;
  drawCurves();
}

$("add").addEventListener("change", addCurve);
$("curves").addEventListener("pointermove", point);
$("curves").addEventListener("pointerdown", point);
$("curves").addEventListener("pointerleave", () => {
  pointed = null;
  drawCurves();
});
window.addEventListener("resize", drawCurves);
drawCurves();

// ------------------------------------------------------------ confusion

// Lists the actions with the largest shares as bars, the largest first.
function listShares(id, shares, own) {
  const entries = shares.map((share, i) => [share, i])
    .filter(([share]) => share >= 0.005)
    .sort((a, b) => b[0] - a[0]).slice(0, 8);
  const items = entries.map(([share, i]) => {
    const item = element("li", "");
    const name = data.names[data.confusion.ids[i]];
    const text = `${i === own ? "found" : name}, ${Math.round(100 * share)} %`;
    const bar = { style: `width:${100 * share}%`, class: i === own ? "found" : "" };
    item.append(element("span", text), element("i", "", bar));
    return item;
  });
  $(id).replaceChildren(...(items.length ? items : [element("li", "nothing")]));
}

function showConfusion() {
  const { ids, count, labels } = data.confusion;
  const own = ids.indexOf(Number($("confused").value));
  if (own < 0) return;
  const share = (row, column) => count[row][column] / Math.max(labels[row], 1);
  listShares("taken-for", ids.map((_, i) => share(own, i)), own);
  listShares("taken-from", ids.map((_, i) => (i === own ? 0 : share(i, own))), own);
}

$("confused").addEventListener("change", showConfusion);
showConfusion();

// ------------------------------------------------------------ mistakes

if ($("kind")) {
  $("kind").addEventListener("change", () => {
    for (const figure of $("mistakes").children) {
      const kind = $("kind").value;
      figure.hidden = kind !== "" && figure.dataset.kind !== kind;
    }
  });
}
