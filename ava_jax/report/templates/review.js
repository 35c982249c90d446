"use strict";
const data = JSON.parse(document.getElementById("data").textContent);
const get = (id) => document.getElementById(id);
const COLORS = ["#e69f00", "#56b4e9", "#009e73", "#f0e442", "#d55e00", "#cc79a7"];
// Letters that do something else are no keys of actions.
const KEYS = "1234567890acdefghilqrstvwz";
const NAMES = new Map(data.actions);
const LEAST = 0.005;  // a smaller box is a slip of the mouse
const copy = (value) => JSON.parse(JSON.stringify(value));
const original = (i) => ({
  done: false,
  people: data.frames[i].people.map(({ id, box, actions }) => ({ id, box, actions })),
});

const frames = data.frames.map((_, i) => copy(original(i)));
const changed = new Set();
let undone = [], history = [];  // each entry: [frame, state before] pairs
let at = 0, person = 0, drawing = false, useful = false;

// IndexedDB: on a busy machine, the localStorage of a page opened as a file may read as
// empty in Chromium, and a change would then replace all that was kept.
let database;

const result = (request) => new Promise((resolve, reject) => {
  request.onsuccess = () => resolve(request.result);
  request.onerror = () => reject(request.error);
});

async function restore() {
  const opening = indexedDB.open("ava_jax review", 1);
  opening.onupgradeneeded = () => opening.result.createObjectStore("changes");
  database = await result(opening);
  const changes = database.transaction("changes").objectStore("changes");
  const kept = await result(changes.get(data.project));
  if (!kept) return;
  for (const [i, state] of kept.frames) {
    frames[i] = state;
    changed.add(i);
  }
  at = Math.min(kept.at, frames.length - 1);
  useful = kept.useful;
}

const notKept = () =>
  say("This browser does not keep changes: save the CSV before you close the page.");

function store() {
  if (!database) return notKept();
  const kept = { frames: [...changed].map((i) => [i, frames[i]]), at, useful };
  const transaction = database.transaction("changes", "readwrite");
  transaction.onabort = notKept;
  transaction.objectStore("changes").put(kept, data.project);
  transaction.commit();
}

const say = (text) => { get("status").textContent = text; };

function change(indices, edit) {
  const before = indices.map((i) => [i, copy(frames[i])]);
  edit();
  const real = before.filter(([i, state]) =>
    JSON.stringify(state) !== JSON.stringify(frames[i]));
  if (!real.length) return;
  history.push(real);
  undone = [];
  real.forEach(([i]) => changed.add(i));
}

function travel(from, to) {
  const entry = from.pop();
  if (!entry) return;
  to.push(entry.map(([i]) => [i, frames[i]]));
  for (const [i, state] of entry) { frames[i] = state; changed.add(i); }
  if (!entry.some(([i]) => i === at)) go(entry[0][0]);
  person = Math.min(person, Math.max(frames[at].people.length - 1, 0));
}

const here = () => frames[at];
const chosen = () => here().people[person];
const order = () => useful ? data.order.map(([i]) => i) : data.frames.map((_, i) => i);

function go(i) {
  if (i === undefined) return say("There is no further key frame.");
  const who = chosen()?.id;
  const same = data.frames[i].video === data.frames[at].video;
  at = i;
  // The same person, if it is there.
  person = Math.max(same ? here().people.findIndex(({ id }) => id === who) : 0, 0);
  say("");
}

function step(by) {
  const list = order();
  go(list[list.indexOf(at) + by]);
}

function turnPerson(by) {
  const count = here().people.length;
  if (count) person = (person + by + count) % count;
}

function toggle(action) {
  if (!chosen()) return say("Nobody is chosen: draw a box first.");
  change([at], () => {
    const given = new Set(chosen().actions);
    given.has(action) ? given.delete(action) : given.add(action);
    chosen().actions = [...given].sort((a, b) => a - b);
  });
}

function markDone() {
  const was = here().done;
  change([at], () => { here().done = !was; });
  if (!was) step(1);
}

function markNobody() {
  change([at], () => { here().done = true; here().people = []; });
  step(1);
}

function remove() {
  if (!chosen()) return;
  change([at], () => here().people.splice(person, 1));
  person = Math.min(person, Math.max(here().people.length - 1, 0));
}

function add(box) {
  const video = data.frames[at].video;
  const ids = frames.flatMap((f, i) =>
    data.frames[i].video === video ? f.people.map((p) => p.id) : []);
  const id = ids.reduce((a, b) => Math.max(a, b), 0) + 1;
  change([at], () => here().people.push({ id, box: box.map(tidy), actions: [] }));
  person = here().people.length - 1;
}

const tidy = (edge) => Math.round(Math.min(Math.max(edge, 0), 1) * 1e5) / 1e5;

// A box with some edges moved, turned right if it was dragged over itself.
function moved([x1, y1, x2, y2], edges, dx, dy) {
  const box = [x1, y1, x2, y2].map((edge, k) =>
    edges.includes(k) ? edge + (k % 2 ? dy : dx) : edge);
  if (edges.length === 4) {  // a move keeps the size
    const left = Math.max(-box[0], 0) - Math.max(box[2] - 1, 0);
    const up = Math.max(-box[1], 0) - Math.max(box[3] - 1, 0);
    return box.map((edge, k) => tidy(edge + (k % 2 ? up : left)));
  }
  return [Math.min(box[0], box[2]), Math.min(box[1], box[3]),
    Math.max(box[0], box[2]), Math.max(box[1], box[3])].map(tidy);
}
const isBox = ([x1, y1, x2, y2]) => x2 - x1 >= LEAST && y2 - y1 >= LEAST;

function nudge(edges, dx, dy) {
  if (!chosen()) return;
  const box = moved(chosen().box, edges, dx, dy);
  if (isBox(box)) change([at], () => { chosen().box = box; });
}

function draw() {
  if (drawing) {
    drawing = false;
    return add([0.4, 0.3, 0.6, 0.7]);
  }
  drawing = true;
  say("Drag over the picture. Esc: no box; b again: a box in the middle.");
}

// The mouse: on a corner, on a box, or on the picture.
let drag = null;
function place(event) {
  const area = get("picture").getBoundingClientRect();
  return [(event.clientX - area.left) / area.width,
    (event.clientY - area.top) / area.height];
}

get("boxes").addEventListener("pointerdown", (event) => {
  if (event.button) return;
  event.preventDefault();
  get("boxes").setPointerCapture(event.pointerId);
  const element = drawing ? null : event.target.closest(".box");
  const [x, y] = place(event);
  if (!element) {
    if (event.pointerType === "touch" && !drawing) return;
    drag = { start: [x, y], box: [x, y, x, y], edges: [2, 3], isNew: true };
  } else {
    person = Number(element.dataset.person);
    const { x: h, y: v } = event.target.dataset;
    const edges = h === undefined ? [0, 1, 2, 3] : [Number(h), Number(v)];
    drag = { start: [x, y], box: chosen().box, edges, isNew: false };
    render();
  }
});
get("boxes").addEventListener("pointermove", (event) => {
  if (!drag) return;
  const [x, y] = place(event);
  drag.now = moved(drag.box, drag.edges, x - drag.start[0], y - drag.start[1]);
  renderBoxes();
});
get("boxes").addEventListener("pointerup", () => {
  const { now, isNew } = drag || {};
  drag = null;
  if (now && isBox(now)) {
    isNew ? add(now) : change([at], () => { chosen().box = now; });
    drawing = false;
    say("");
  }
  update();
});
get("boxes").addEventListener("pointercancel", () => { drag = null; render(); });

// Keys.
function shownActions() {
  const words = get("filter").value.toLowerCase().split(/\s+/);
  return data.actions.filter(([, name]) =>
    words.every((word) => name.toLowerCase().includes(word)));
}

const COMMANDS = {
  j: () => step(1), ArrowRight: () => step(1),
  k: () => step(-1), ArrowLeft: () => step(-1),
  n: () => turnPerson(1), p: () => turnPerson(-1),
  m: markDone, o: markNobody, b: draw, x: remove, Delete: remove, Backspace: remove,
  u: () => travel(history, undone), y: () => travel(undone, history),
  "/": () => get("filter").focus(),
  Escape: () => { drawing = false; say(""); },
};
const ARROWS = { ArrowLeft: [-1, 0], ArrowRight: [1, 0], ArrowUp: [0, -1],
  ArrowDown: [0, 1] };

document.addEventListener("keydown", (event) => {
  const field = event.target.closest("input:not([type=checkbox]), select, textarea");
  if (field || event.altKey || event.metaKey || document.body.inert) return;
  const arrow = ARROWS[event.key];
  let run = COMMANDS[event.key];
  if (event.shiftKey && arrow) {
    const [dx, dy] = arrow;
    run = () => nudge(event.ctrlKey ? [2, 3] : [0, 1, 2, 3], dx / 100, dy / 100);
  } else if (event.ctrlKey) {
    const isUndo = event.key === "z" || event.key === "y";
    run = isUndo ? COMMANDS[event.key === "z" ? "u" : "y"] : undefined;
  } else if (!run && KEYS.includes(event.key)) {
    const entry = shownActions()[KEYS.indexOf(event.key)];
    run = entry && (() => toggle(entry[0]));
  }
  if (!run) return;
  event.preventDefault();
  run();
  update();
});

get("filter").addEventListener("input", renderActions);
get("filter").addEventListener("keydown", (event) => {
  if (event.key !== "Enter" && event.key !== "Escape") return;
  const [first] = shownActions();
  if (event.key === "Enter" && first) toggle(first[0]);
  event.target.value = "";
  event.target.blur();
  event.preventDefault();
  update();
});

for (const [id, key] of Object.entries({ back: "k", forward: "j", done: "m",
  nobody: "o", draw: "b", delete: "x", undo: "u", redo: "y" })) {
  get(id).addEventListener("click", () => { COMMANDS[key](); update(); });
}
get("goto").addEventListener("change", (event) => {
  go(Number(event.target.value));
  update();
});
get("useful").addEventListener("change", (event) => {
  useful = event.target.checked;
  const list = order();
  go(list.find((i) => !frames[i].done) ?? list[0]);
  update();
});
get("reset").addEventListener("click", () => {
  if (!confirm("Forget all changes, and begin with the suggestions again?")) return;
  change(frames.map((_, i) => i), () =>
    frames.forEach((_, i) => { frames[i] = copy(original(i)); }));
  say("All changes are forgotten; undo brings them back.");
  update();
});

// CSV in AVA's format.
const quoted = (text) =>
  /[",\n\r]/.test(text) ? `"${text.replaceAll('"', '""')}"` : text;

function csv(all) {
  const lines = [];
  frames.forEach((state, i) => {
    if (!all && !state.done) return;
    const head = `${quoted(data.frames[i].video)},${data.frames[i].time}`;
    const before = lines.length;
    for (const { id, box, actions } of state.people) {
      const given = actions.length || !all ? actions : [""];
      given.forEach((action) => lines.push([head, ...box, action, id].join(",")));
    }
    if (lines.length === before) lines.push(head);
  });
  return lines.map((line) => line + "\n").join("");
}

function save(all) {
  const link = document.createElement("a");
  const url = URL.createObjectURL(new Blob([csv(all)], { type: "text/csv" }));
  link.href = url;
  link.download = all ? "all.csv" : "done.csv";
  link.click();
  setTimeout(() => URL.revokeObjectURL(url), 1000);
  const bare = frames.reduce((sum, state) => sum + (state.done || all ?
    state.people.filter((p) => !p.actions.length).length : 0), 0);
  const note = bare && !all ? ` ${bare} people without an action are left out.` : "";
  say(`Saved ${link.download}.${note}`);
}
get("save-done").addEventListener("click", () => save(false));
get("save-all").addEventListener("click", () => save(true));

function cells(line) {
  const found = line.matchAll(/(?:^|,)(?:"((?:[^"]|"")*)"|([^,]*))/g);
  return [...found].map(([, inside, bare]) =>
    inside === undefined ? bare.trim() : inside.replaceAll('""', '"'));
}

// What a CSV says of this page's key frames: frame -> people, and rows that fit none.
function parsed(text) {
  const index = new Map(data.frames.map(({ video, time }, i) =>
    [JSON.stringify([video, Number(time)]), i]));
  const found = new Map();
  let strange = 0;
  for (const line of text.split(/\r?\n/).filter((one) => one.trim())) {
    const [video, time, ...rest] = cells(line);
    const i = index.get(JSON.stringify([video, Number(time)]));
    const [x1, y1, x2, y2, action, id] = rest;
    const box = [x1, y1, x2, y2].map(Number);
    const label = action ? Number(action) : null;
    const fits = !rest.length || (rest.length === 6 && isBox(box) &&
      box.every((edge) => edge >= 0 && edge <= 1) && (!label || NAMES.has(label)) &&
      !Number.isNaN(label) && id !== "" && Number.isInteger(Number(id)));
    if (i === undefined || !fits) { strange += 1; continue; }
    if (!found.has(i)) found.set(i, []);
    if (rest.length) join(found.get(i), Number(id), box, label);
  }
  return { found, strange };
}

// Rows of one person differ in their action.
function join(people, id, box, label) {
  const same = people.find((p) => p.id === id && p.box.join() === box.join());
  const who = same || { id, box, actions: [] };
  if (!same) people.push(who);
  if (label && !who.actions.includes(label)) who.actions.push(label);
  who.actions.sort((a, b) => a - b);
}

get("load").addEventListener("change", async (event) => {
  const [file] = event.target.files;
  if (!file) return;
  const { found, strange } = parsed(await file.text());
  const done = get("load-done").checked;
  change([...found.keys()], () => {
    for (const [i, people] of found) {
      frames[i] = { done: done || frames[i].done, people };
    }
  });
  person = 0;
  event.target.value = "";
  say(`Loaded ${found.size} key frames.` + (strange ?
    ` ${strange} rows fit no key frame or action of this page and are left out.` : ""));
  update();
});

// Showing it.
function make(tag, attributes, ...children) {
  const element = document.createElement(tag);
  for (const [name, value] of Object.entries(attributes)) {
    if (name === "click") element.addEventListener("click", value);
    else element.setAttribute(name, value);
  }
  element.append(...children);
  return element;
}
const colorOf = (id) => COLORS[(id - 1 + 6) % 6] || COLORS[0];

function renderBoxes() {
  const shown = here().people.map(({ id, box, actions }, k) =>
    [id, drag && !drag.isNew && drag.now && k === person ? drag.now : box, actions, k]);
  if (drag?.isNew && drag.now) shown.push(["new", drag.now, [], -1]);
  get("boxes").replaceChildren(...shown.map(([id, [x1, y1, x2, y2], actions, k]) => {
    const element = make("div", { class: "box", "data-person": k });
    element.classList.toggle("chosen", k === person);
    element.classList.toggle("high", y1 < 0.1);  // no room for its label above
    const css = { left: x1, top: y1, width: x2 - x1, height: y2 - y1 };
    for (const [name, part] of Object.entries(css)) {
      element.style[name] = `${100 * part}%`;
    }
    element.style.borderColor = colorOf(id);
    const names = actions.map((action) => NAMES.get(action)).join(", ");
    const label = make("span", {}, k === person ? `${id} ${names}` : `${id}`);
    label.style.background = colorOf(id);
    label.style.color = "#000";
    element.append(label);
    if (k === person) {
      for (const [x, y] of [[0, 1], [2, 1], [0, 3], [2, 3]]) {
        element.append(make("i", { "data-x": x, "data-y": y }));
      }
    }
    return element;
  }));
}

function renderPeople() {
  const buttons = here().people.map(({ id, actions }, k) => {
    const button = make("button", { "aria-pressed": k === person, click: () => {
      person = k;
      update();
    } }, `Person ${id} (${actions.length})`);
    button.style.borderColor = colorOf(id);
    return button;
  });
  replace(get("people"), buttons.length ? buttons : ["Nobody."]);
}

function renderActions() {
  const scores = scoresOf(chosen());
  replace(get("actions"), shownActions().map(([action, name], k) => {
    const score = scores[action];
    return make("button", { "aria-pressed": !!chosen()?.actions.includes(action),
      click: () => { toggle(action); update(); } }, make("kbd", {}, KEYS[k] || ""),
    make("b", {}, name), score === undefined ? "" : score.toFixed(2));
  }));
}

// Scores are of the suggested box: of the person with this number.
function scoresOf(who) {
  const suggested = data.frames[at].people.find((p) => p.id === who?.id);
  return suggested?.scores || {};
}

// Puts other elements in, and the focus on the one at the same place.
function replace(parent, children) {
  const place = [...parent.children].indexOf(document.activeElement);
  const scroll = parent.scrollTop;
  parent.replaceChildren(...children);
  parent.scrollTop = scroll;
  if (place >= 0) parent.children[Math.min(place, parent.children.length - 1)]?.focus();
}

function where() {
  const { video, time } = data.frames[at];
  const list = order();
  const turn = data.order.find(([i]) => i === at);
  const reason = turn && useful ?
    `; ${turn[1]}, more than ${Math.round(100 * turn[2])} % of the key frames` : "";
  return `${video}, second ${Number(time)}, ${list.indexOf(at) + 1} of ${list.length}` +
    `${reason}${here().done ? "; done" : ""}`;
}

function render() {
  const image = get("image");
  if (image.dataset.frame !== String(at)) {
    image.dataset.frame = at;
    image.src = data.pictures[at];
  }
  get("where").textContent = where();
  image.alt = `Key frame: ${where()}`;
  get("picture").classList.toggle("drawing", drawing);
  get("draw").setAttribute("aria-pressed", drawing);
  get("done").setAttribute("aria-pressed", here().done);
  get("done").firstChild.textContent = here().done ? "Is done " : "Done, next ";
  get("undo").disabled = !history.length;
  get("redo").disabled = !undone.length;
  get("delete").disabled = !chosen();
  get("useful").checked = useful;
  const done = frames.filter((state) => state.done).length;
  get("progress-text").textContent = `${done} of ${frames.length} done`;
  get("progress").max = frames.length;
  get("progress").value = done;
  renderBoxes();
  renderPeople();
  renderActions();
  renderList();
}

function renderList() {
  const list = get("goto");
  if (!list.options.length) {
    data.frames.forEach(() => list.append(make("option", {})));
  }
  data.frames.forEach(({ video, time }, i) => {
    const option = list.options[i];
    const text = `${frames[i].done ? "✓ " : ""}${video} ${Number(time)} s`;
    option.value = i;
    if (option.textContent !== text) option.textContent = text;
  });
  list.value = at;
}

function update() {
  render();
  store();
}

// Nothing can be changed before what was kept is there.
document.body.inert = true;
restore().catch(notKept).then(() => {
  document.body.inert = false;
  if (frames.length) render();
});
