// The timeline of a video's page. A click moves the video to that time.
"use strict";

const data = JSON.parse(document.getElementById("data").textContent);
const $ = (id) => document.getElementById(id);
const video = $("video");
const PAGE = 100; // people shown at first, and added by every click on the button
// Largest number of actions shown for a person: one person does not fill a phone.
const LANES = matchMedia("(max-width: 30rem)").matches ? 4 : 8;
let shown = PAGE;

function element(tag, text, attributes = {}) {
  const made = document.createElement(tag);
  made.textContent = text;
  for (const [name, value] of Object.entries(attributes)) {
    made.setAttribute(name, value);
  }
  return made;
}

function clock(seconds) {
  const whole = Math.floor(seconds);
  const two = (n) => String(n).padStart(2, "0");
  const hours = Math.floor(whole / 3600);
  const minutes = Math.floor(whole / 60) % 60;
  const rest = `${two(whole % 60)}`;
  return hours ? `${hours}:${two(minutes)}:${rest}` : `${minutes}:${rest}`;
}

// Two times that read the same are one moment.
function period(start, end) {
  const [from, to] = [clock(start), clock(end)];
  return from === to ? `at ${from}` : `${from} to ${to}`;
}

const left = (time) => `${(100 * Math.min(time / data.duration, 1)).toFixed(3)}%`;

// ------------------------------------------------------------ times

// Merges consecutive key frames with the action into [start, end, best score].
function spans(person, action, limit) {
  const half = data.every / 2;
  const found = [];
  for (const [time, scores] of person.moments) {
    const score = (scores.find((pair) => pair[0] === action) ?? [0, 0])[1];
    if (score < limit) continue;
    const last = found[found.length - 1];
    if (last && time - half <= last[1] + half / 2) {
      last[1] = time + half;
      last[2] = Math.max(last[2], score);
    } else {
      found.push([Math.max(time - half, 0), time + half, score]);
    }
  }
  return found.map(([a, b, s]) => [a, Math.min(b, data.duration), s]);
}

function lanes(person, limit) {
  const chosen = $("action").value;
  const wanted = chosen === "" ? data.actions.keys() : [Number(chosen)];
  const found = [];
  for (const action of wanted) {
    const times = spans(person, action, limit);
    if (times.length) found.push([action, times]);
  }
  const length = (times) => times.reduce((sum, [a, b]) => sum + b - a, 0);
  return found.sort((a, b) => length(b[1]) - length(a[1]));
}

// ------------------------------------------------------------ drawing

function go(time) {
  video.currentTime = Math.min(time, data.duration);
  mark();
}

function lane(person, action, times) {
  const row = element("div", "", { class: "lane" });
  const track = element("div", "", { class: "track" });
  for (const [start, end, score] of times) {
    const description = `${data.actions[action]}, ${period(start, end)}, ` +
      `score up to ${score.toFixed(2)}`;
    const button = element("button", "", { "aria-label": description, title: description });
    button.style.left = left(start);
    button.style.width = left(end - start);
    button.style.background = person.color;
    button.style.opacity = 0.35 + 0.65 * score;
    button.addEventListener("click", (event) => {
      // `detail` is 0 for the keyboard, which has no position: go to the start. A mouse
      // click is handled by the track below.
      if (event.detail === 0) {
        go(start);
        event.stopPropagation();
      }
    });
    track.append(button);
  }
  track.append(element("i", ""));
  track.addEventListener("click", (event) => {
    const box = track.getBoundingClientRect();
    go((data.duration * (event.clientX - box.left)) / box.width);
  });
  row.append(element("span", data.actions[action]), track);
  return row;
}

function card(person, found) {
  const made = element("div", "", { class: "person", "data-id": person.id });
  const title = element("h3", "");
  const chip = element("span", `person ${person.id}`, { class: "chip" });
  chip.style.background = person.color;
  chip.style.color = person.ink;
  const times = person.moments.map(([time]) => time);
  const seen = period(times[0], times[times.length - 1]);
  title.append(chip, element("span", seen, { class: "soft" }));
  made.append(title);
  // A line that says "1 more" would take the place of the lane.
  const room = found.length === LANES + 1 ? LANES + 1 : LANES;
  for (const [action, times] of found.slice(0, room)) {
    made.append(lane(person, action, times));
  }
  if (found.length > room) {
    const more = `and ${found.length - room} more: choose an action, or a higher score`;
    made.append(element("div", more, { class: "soft lane-note" }));
  }
  return made;
}

function draw() {
  const limit = Number($("score").value);
  $("limit").textContent = limit.toFixed(2);
  const matching = data.people
    .map((person) => [person, lanes(person, limit)])
    .filter(([, found]) => found.length);
  const cards = matching.slice(0, shown).map(([person, found]) => card(person, found));
  $("people").replaceChildren(...cards);
  $("more").hidden = matching.length <= shown;
  const all = data.people.length;
  $("count").textContent =
    `${matching.length} of ${all} ${all === 1 ? "person" : "people"}. ` +
    "Click to go to a moment.";
  mark();
}

// Marks the position of the video, and the people who are visible then.
function mark() {
  const now = video.currentTime;
  for (const line of document.querySelectorAll(".track i")) {
    line.style.left = left(now);
  }
  const half = data.every / 2;
  const seen = new Set(data.people
    .filter((person) => person.moments.some(([t]) => Math.abs(t - now) <= half))
    .map((person) => String(person.id)));
  for (const made of document.querySelectorAll(".person")) {
    made.classList.toggle("seen", seen.has(made.dataset.id));
  }
}

// ------------------------------------------------------------ controls

function start() {
  $("action").append(element("option", "all", { value: "" }));
  const order = [...data.actions.keys()];
  order.sort((a, b) => data.actions[a].localeCompare(data.actions[b]));
  for (const action of order) {
    $("action").append(element("option", data.actions[action], { value: action }));
  }
  $("score").value = data.threshold;
  $("action").addEventListener("change", () => { shown = PAGE; draw(); });
  $("score").addEventListener("input", () => { shown = PAGE; draw(); });
  $("more").addEventListener("click", () => { shown += PAGE; draw(); });
  for (const still of document.querySelectorAll(".still")) {
    still.addEventListener("click", () => go(Number(still.dataset.time)));
  }
  video.addEventListener("timeupdate", mark);
  video.addEventListener("seeked", mark);
  draw();
}

start();
