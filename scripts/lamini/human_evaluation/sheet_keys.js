// What the annotator does on the annotation page: ratings, steps, keys and buttons.

// --- Ratings -------------------------------------------------------------------------------------

function rate(item, rating, goOn) {
  change({ [item]: { ...changeable(item), rating, skipped: "" } }, `${nameOf(item)}: ${rating}.`);
  if (goOn) nextOpen(item);
  update();
}

function withdraw(item) {
  if (!isDone(item)) return say(`${nameOf(item)} has no rating.`);
  change({ [item]: { ...changeable(item), rating: "", skipped: "" } }, `${nameOf(item)}: rating withdrawn.`);
  return update();
}

function skip(item, reason) {
  const said = reason ? `${nameOf(item)}: skipped (${reason}).` : `${nameOf(item)}: not skipped.`;
  change({ [item]: { ...changeable(item), rating: "", skipped: reason } }, said);
  update();
}

function setComment(item, comment) {
  if (comment === entryOf(item).comment) return;
  change({ [item]: { ...changeable(item), comment } }, `${nameOf(item)}: comment kept.`);
  update();
}

/** An item's entry without its time, which a change sets. */
function changeable(item) {
  const { rating, comment, skipped } = entryOf(item);
  return { rating, comment, skipped };
}

function undo() {
  if (!takeBack()) return say("There is nothing to take back.");
  render();
  focusItem();
  return say("Taken back.");
}

/** Rate the marked text, but never one that is out of sight. */
function rateVisible(level) {
  const { top, bottom } = $(`item-${state.item}`).getBoundingClientRect();
  const hidden = parseFloat(document.documentElement.style.scrollPaddingTop) || 0;
  if (bottom > hidden && top < window.innerHeight - 40) return rate(state.item, level, true);
  focusItem();
  return say(`${nameOf(state.item)} is marked. Press ${level} again to rate it.`);
}

// --- Steps ---------------------------------------------------------------------------------------

/** After a rating by key: the next text of this instruction, or the button to the next one. */
function nextOpen(item) {
  const names = groups[state.group].items.map((other) => other.item);
  const at = names.indexOf(item);
  const next = [...names.slice(at + 1), ...names.slice(0, at)].find((other) => !isDone(other));
  if (next) {
    state.item = next;
    save();
    focusItem();
  } else if (countItems(isDone) === items.size) {
    say("Everything is rated. Export, and send back the file.");
    $("export").focus();
  } else {
    say("All texts here are rated. Press Enter to go to the next instruction.");
    $("open").focus();
  }
}

function showOpenGroup() {
  const order = groups.map((_, n) => (state.group + n) % groups.length);
  const open = order.find((n) => groups[n].items.some(({ item }) => !isDone(item)));
  if (open !== undefined) showGroup(open);
}

function step(by) {
  const names = groups[state.group].items.map(({ item }) => item);
  const next = names[names.indexOf(state.item) + by];
  if (!next) return;
  state.item = next;
  save();
  focusItem();
}

// --- Keys and buttons ----------------------------------------------------------------------------

const inItem = (selector) => $(`item-${state.item}`).querySelector(selector);
const keys = {
  j: () => step(1),
  k: () => step(-1),
  n: () => showGroup(state.group + 1),
  p: () => showGroup(state.group - 1),
  u: undo,
  x: () => withdraw(state.item),
  s: () => inItem("select").focus(),
  m: () => inItem("textarea").focus(),
  e: exportFile,
  h: () => $("help").showModal(),
};

document.addEventListener("keydown", (event) => {
  const key = event.key.toLowerCase();
  if (document.querySelector("dialog[open]")) {
    if (key === "h") $("help").close();
    return undefined;
  }
  const writing = ["TEXTAREA", "SELECT"].includes(event.target.tagName);
  if (writing && event.key === "Escape") return focusItem();
  if (writing || event.altKey || event.metaKey) return undefined;
  if (event.ctrlKey) {
    if (key !== "z") return undefined;
    event.preventDefault();
    return undo();
  }
  if (!state.shortcuts) return undefined;
  const level = event.key.toUpperCase();
  if (study.levels.includes(level)) {
    event.preventDefault();
    if (!event.repeat) rateVisible(level); // A key held down is one rating, not many.
  } else if (keys[key]) {
    event.preventDefault();
    keys[key]();
  }
  return undefined;
});

const buttons = {
  undo, export: exportFile, previous: keys.p, next: keys.n, open: showOpenGroup,
  import: () => $("file").click(),
  "open-help": keys.h,
  "close-help": () => $("help").close(),
  "older-use": () => $("older").close("use"),
  "older-keep": () => $("older").close("keep"),
};
for (const [name, action] of Object.entries(buttons)) $(name).addEventListener("click", () => action());
$("file").addEventListener("change", () => {
  if ($("file").files[0]) importFile($("file").files[0]);
  $("file").value = "";
});
$("shortcuts").addEventListener("change", () => {
  state.shortcuts = $("shortcuts").checked;
  save();
});
// The same page in a second tab: take over what was done there, so that neither overwrites it.
window.addEventListener("storage", (event) => {
  if (event.key === storageKey && event.newValue) {
    loadWork();
    update();
  }
});
// A private window, or "delete site data", loses what only this browser has.
window.addEventListener("beforeunload", (event) => {
  save();
  if (state.unexported > 0) event.preventDefault();
});

load();
render();
if (!state.introduced) $("help").showModal();
state.introduced = true;
save();
if (state.steps.length) {
  focusItem();
  say(`Welcome back: ${countItems(isRated)} ratings were kept in this browser.`);
}
