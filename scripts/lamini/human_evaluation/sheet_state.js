"use strict";
// What the annotation page knows: everything that is rated is in the element #study, everything that
// the annotator did is in `state`, which is kept in this browser after every step. What is shown, and
// what keys and buttons do, is in sheet_view.js.

const study = JSON.parse(document.getElementById("study").textContent);
const storageKey = `lamini-ratings/${study.study}/${study.annotator}/${study.digest}`;
const KEPT_STEPS = 500;
const $ = (id) => document.getElementById(id);

const groups = study.groups;
const items = new Map();
groups.forEach((group, number) =>
  group.items.forEach((item) => items.set(item.item, { ...item, group: number })));

let state = { ratings: {}, group: 0, item: null, steps: [], guideline: true, shortcuts: true };

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

// --- What was rated ------------------------------------------------------------------------------

const ratingOf = (item) => state.ratings[item]?.rating || "";
const commentOf = (item) => state.ratings[item]?.comment || "";
const isRated = (item) => ratingOf(item) !== "";
const ratedCount = () => [...items.keys()].filter(isRated).length;

/** Change some items' entries as one step that can be taken back. */
function change(entries, said) {
  const before = {};
  for (const [item, entry] of Object.entries(entries)) {
    before[item] = state.ratings[item] || null;
    put(item, entry);
  }
  state.steps.push({ before, group: state.group, item: state.item });
  state.steps = state.steps.slice(-KEPT_STEPS);
  save();
  say(said);
}

function put(item, entry) {
  if (entry) state.ratings[item] = entry;
  else delete state.ratings[item];
}

// --- Exports -------------------------------------------------------------------------------------

function exported() {
  const ratings = [...items.values()]
    .filter(({ item }) => state.ratings[item])
    .map(({ item, digest }) => ({
      item, digest, rating: ratingOf(item) || null, comment: commentOf(item),
    }));
  const { format, study: name, annotator } = study;
  return JSON.stringify({ format, study: name, annotator, ratings }, null, 1) + "\n";
}

/** The entries of an export that hold for this page, and how many do not. */
function readExport(text) {
  let read;
  try {
    read = JSON.parse(text);
  } catch {
    throw new Error("it is not JSON, so no export of a rating sheet.");
  }
  if (read?.format !== study.format || !Array.isArray(read.ratings)) {
    throw new Error("it is no export of a rating sheet.");
  }
  if (read.study !== study.study) throw new Error(`it is of the study ${read.study}.`);
  if (read.annotator !== study.annotator) throw new Error(`it is of ${read.annotator}.`);
  const entries = {};
  let left = 0;
  for (const row of read.ratings) {
    const { item, digest, rating, comment } = row || {};
    const known = items.get(item);
    const valid = rating === null || study.levels.includes(rating);
    if (known && known.digest === digest && valid) {
      entries[item] = { rating: rating || "", comment: String(comment || "") };
    } else {
      left += 1;
    }
  }
  return { entries, left };
}
