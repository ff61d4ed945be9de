"use strict";
// What the annotation page knows: everything that is rated is in the element #study, everything that
// the annotator did is in `state`, which is kept in this browser after every step. Exports and
// imports are in sheet_files.js, what is shown in sheet_view.js, keys and buttons in sheet_keys.js.

const study = JSON.parse(document.getElementById("study").textContent);
const storageKey = `lamini-ratings/${study.study}/${study.annotator}/${study.digest}`;
const KEPT_STEPS = 500;
const IDLE_SECONDS = 60; // Longer without a key, a click or a scroll: nobody is rating.
const $ = (id) => document.getElementById(id);

const groups = study.groups;
const items = new Map();
groups.forEach((group, number) =>
  group.items.forEach((item) => items.set(item.item, { ...item, group: number })));

let state = {
  ratings: {}, // By item: rating, comment, skipped (a reason), time of the last change.
  seconds: {}, // By item: seconds for which it was marked.
  group: 0, item: null, steps: [], shortcuts: true,
  introduced: false, // Whether the help was shown.
  unexported: 0, // Changes since the last export.
};

// --- Keeping the state ---------------------------------------------------------------------------

function save() {
  try {
    localStorage.setItem(storageKey, JSON.stringify(state));
  } catch {
    warn("This browser keeps nothing of your work: export before you close the page.");
  }
}

function load() {
  try {
    const kept = JSON.parse(localStorage.getItem(storageKey) || "null");
    if (kept) state = { ...state, ...kept };
  } catch {
    warn("What this browser had kept cannot be read: import your last export to go on.");
  }
}

/** The work of a second tab with this page; the place in the page stays as it is here. */
function loadWork() {
  const { group, item } = state;
  load();
  state = { ...state, group, item };
}

// --- What was rated ------------------------------------------------------------------------------

const entryOf = (item) => ({ rating: "", comment: "", skipped: "", ...state.ratings[item] });
const ratingOf = (item) => entryOf(item).rating;
const isRated = (item) => ratingOf(item) !== "";
const isDone = (item) => isRated(item) || entryOf(item).skipped !== "";
const countItems = (condition) => [...items.keys()].filter(condition).length;

/** Change some items' entries as one step that can be taken back. */
function change(entries, said) {
  const before = {};
  for (const [item, entry] of Object.entries(entries)) {
    before[item] = entryOf(item);
    state.ratings[item] = { time: new Date().toISOString(), ...entry };
  }
  state.steps.push({ before, group: state.group, item: state.item });
  state.steps = state.steps.slice(-KEPT_STEPS);
  state.unexported += Object.keys(entries).length;
  save();
  say(said);
}

/** Take back the last step. Its time is now: an older file with the undone rating is older. */
function takeBack() {
  const step = state.steps.pop();
  if (!step) return false;
  const time = new Date().toISOString();
  for (const [item, entry] of Object.entries(step.before)) {
    state.ratings[item] = { ...entry, time };
  }
  state.unexported += Object.keys(step.before).length;
  state.group = step.group;
  state.item = step.item;
  save();
  return true;
}

// --- Seconds per item ----------------------------------------------------------------------------

let lastAction = Date.now();
for (const kind of ["keydown", "pointerdown", "pointermove", "scroll"]) {
  document.addEventListener(kind, () => (lastAction = Date.now()), { passive: true, capture: true });
}
setInterval(() => {
  const idle = Date.now() - lastAction > 1000 * IDLE_SECONDS;
  if (idle || document.hidden || document.querySelector("dialog[open]") || !state.item) return;
  state.seconds[state.item] = (state.seconds[state.item] || 0) + 1;
}, 1000);
