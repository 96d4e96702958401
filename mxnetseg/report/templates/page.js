"use strict";
const data = JSON.parse(document.getElementById("data").textContent);
const root = document.documentElement;

function make(tag, className, text) {
  const element = document.createElement(tag);
  if (className) element.className = className;
  if (text !== undefined) element.textContent = text; // never as HTML: names come from files
  return element;
}

/* light and dark */
const darkness = window.matchMedia("(prefers-color-scheme: dark)");
function theme(name) { root.dataset.theme = name; drawMatrix(); }
document.getElementById("theme").addEventListener("click", () => theme(root.dataset.theme === "dark" ? "light" : "dark"));
darkness.addEventListener("change", () => theme(darkness.matches ? "dark" : "light"));

/* tables: a click on a head sorts, once more turns the order; cells without a value come last */
function value(row, column) {
  const cell = row.cells[column], given = cell.dataset.v;
  if (given === undefined) return cell.textContent.trim().toLowerCase();
  return given === "" ? null : Number(given);
}
function sortBy(table, head) {
  const body = table.tBodies[0], column = head.cellIndex;
  const first = head.dataset.first || "ascending";
  const other = first === "ascending" ? "descending" : "ascending";
  const order = head.getAttribute("aria-sort") === first ? other : first;
  for (const each of table.tHead.rows[0].cells) each.removeAttribute("aria-sort");
  head.setAttribute("aria-sort", order);
  const sign = order === "ascending" ? 1 : -1;
  const rows = Array.from(body.rows, (row) => [value(row, column), row]);
  rows.sort(([a], [b]) => (a === null) - (b === null) || (a === null ? 0 : sign * (a < b ? -1 : a > b ? 1 : 0)));
  body.append(...rows.map(([, row]) => row));
}
for (const table of document.querySelectorAll("table[data-sort]")) {
  for (const head of table.tHead.rows[0].cells) {
    const button = make("button", "", head.textContent.trim());
    button.type = "button";
    button.title = head.title || "sort";
    head.replaceChildren(button);
    button.addEventListener("click", () => sortBy(table, head));
  }
}

/* the table of images: by name, and by a class that they show */
const find = document.getElementById("find"), shows = document.getElementById("shows");
function filter() {
  const words = find.value.toLowerCase().split(/\s+/).filter(Boolean);
  let count = 0;
  for (const row of document.getElementById("images").tBodies[0].rows) {
    const text = row.textContent.toLowerCase();
    const fits = words.every((word) => text.includes(word));
    const seen = !shows.value || row.dataset.classes.split(" ").includes(shows.value);
    row.hidden = !(fits && seen);
    count += !row.hidden;
  }
  document.getElementById("found").textContent = `${count} of ${data.images.length}`;
}
if (find) { find.addEventListener("input", filter); shows.addEventListener("change", filter); filter(); }

/* pictures */
const PAGE = 12;
const types = { w: "image/webp", p: "image/png" };
function pictures(number) {
  const held = document.getElementById(`p${number}`);
  return held ? JSON.parse(held.textContent).map(([type, text]) => `data:${types[type]};base64,${text}`) : null;
}
function tiles(number, eager) {
  const grid = make("span", data.parts.length > 4 ? "tiles six" : "tiles");
  pictures(number).forEach((source, index) => {
    const tile = make("span"), image = make("img");
    image.alt = data.parts[index];
    image.decoding = eager ? "sync" : "async";
    image.src = source;
    tile.append(image, make("i", "", data.parts[index]));
    grid.append(tile);
  });
  return grid;
}
const rank = document.getElementById("rank"), gallery = document.getElementById("gallery"), more = document.getElementById("more");
let shown = 0;
function order() { return data.rankings[Number(rank.value)].items; }
function showMore() {
  for (const [number, note] of order().slice(shown, shown + PAGE)) {
    const card = make("button", "shot"), caption = make("span", "caption", note);
    card.type = "button";
    card.dataset.number = number;
    caption.prepend(make("b", "", data.images[number]));
    card.append(tiles(number), caption);
    card.addEventListener("click", () => enlarge(number, order().map(([each]) => each)));
    gallery.append(card);
  }
  shown = Math.min(shown + PAGE, order().length);
  more.hidden = shown >= order().length;
  more.textContent = `${Math.min(PAGE, order().length - shown)} more`;
}
function showRanking() { gallery.replaceChildren(); shown = 0; showMore(); }
if (rank) { rank.addEventListener("change", showRanking); more.addEventListener("click", showMore); showRanking(); }

const box = document.getElementById("enlarged");
let row = [], current = 0;
function enlarge(number, among) { row = among; current = among.indexOf(number); turn(0); box.showModal(); }
function turn(step) {
  current = (current + step + row.length) % row.length;
  box.querySelector("b").textContent = data.images[row[current]];
  box.querySelector(".pictures").replaceChildren(tiles(row[current], true));
}
box.querySelector("[data-step='-1']").addEventListener("click", () => turn(-1));
box.querySelector("[data-step='1']").addEventListener("click", () => turn(1));
box.querySelector("[data-close]").addEventListener("click", () => box.close());
box.addEventListener("click", (event) => { if (event.target === box) box.close(); });
box.addEventListener("keydown", (event) => {
  if (event.key === "ArrowLeft") turn(-1);
  if (event.key === "ArrowRight") turn(1);
});
for (const link of document.querySelectorAll("button[data-image]")) {
  link.addEventListener("click", () => {
    const visible = Array.from(document.querySelectorAll("#images tbody tr:not([hidden]) button[data-image]"));
    enlarge(Number(link.dataset.image), visible.map((each) => Number(each.dataset.image)));
  });
}

/* confusion: rows add up to 100 % */
function drawMatrix() {
  const place = document.getElementById("matrix");
  if (!place) return;
  const matrix = data.confusion, count = matrix.length, way = document.getElementById("matrix-order").value;
  const totals = matrix.map((line) => line.reduce((sum, each) => sum + each, 0));
  const wrong = matrix.map((line, i) => (totals[i] ? 1 - line[i] / totals[i] : -1));
  const mistakes = matrix.map((line, i) => totals[i] - line[i] + matrix.reduce((sum, each, j) => sum + (j === i ? 0 : each[i]), 0));
  const by = { label: null, wrong: wrong, pixels: mistakes }[way];
  const places = [...matrix.keys()];
  if (by) places.sort((a, b) => by[b] - by[a]);
  const size = Math.max(6, Math.min(46, Math.floor(900 / count))), font = Math.max(6, Math.min(12, size * 0.62));
  const longest = Math.max(...data.classes.map((name) => name.length));
  const margin = Math.min(170, Math.max(40, longest * font * 0.58 + 14));
  const space = "http://www.w3.org/2000/svg";
  function add(parent, tag, attributes, text) {
    const element = document.createElementNS(space, tag);
    for (const [key, each] of Object.entries(attributes)) element.setAttribute(key, each);
    if (text !== undefined) element.textContent = text;
    parent.append(element);
    return element;
  }
  const side = margin + count * size + 4, svg = document.createElementNS(space, "svg");
  const short = (name) => (name.length > 24 ? name.slice(0, 23) + "…" : name);
  for (const [key, each] of Object.entries({ viewBox: `0 0 ${side} ${side}`, width: side, height: side, role: "img", "aria-label": "confusion matrix" })) svg.setAttribute(key, each);
  places.forEach((truth, y) => {
    const middle = margin + y * size + size / 2;
    add(svg, "text", { x: margin - 6, y: middle + font * 0.35, "text-anchor": "end", "font-size": font }, short(data.classes[truth]));
    add(svg, "text", { transform: `translate(${middle + font * 0.35} ${margin - 6}) rotate(-90)`, "font-size": font }, short(data.classes[truth]));
    places.forEach((guess, x) => {
      const share = totals[truth] ? matrix[truth][guess] / totals[truth] : 0;
      if (!matrix[truth][guess] && count > 30) return;
      const colour = truth === guess ? "var(--heat)" : root.dataset.theme === "dark" ? "240, 138, 85" : "196, 80, 27";
      const cell = add(svg, "rect", { x: margin + x * size, y: margin + y * size, width: size - 1, height: size - 1, style: `fill: rgba(${colour}, ${(0.05 + 0.95 * Math.sqrt(share)).toFixed(3)})` });
      add(cell, "title", {}, `${data.classes[truth]} taken for ${data.classes[guess]}: ${(100 * share).toFixed(2)} %, ${matrix[truth][guess].toLocaleString("en")} pixels`);
      if (size >= 26 && share >= 0.005) add(svg, "text", { x: margin + x * size + size / 2, y: middle + 4, "text-anchor": "middle", "font-size": 11, "pointer-events": "none", style: share > 0.45 ? "fill: var(--card)" : "" }, (100 * share).toFixed(share < 0.1 ? 1 : 0));
    });
  });
  place.replaceChildren(svg);
  place.dataset.order = places.join(" ");
}
const way = document.getElementById("matrix-order");
if (way) way.addEventListener("change", drawMatrix);
theme(darkness.matches ? "dark" : "light");
root.dataset.ready = "yes";
