// What the annotation page shows, and what keys and buttons do. What it knows is in sheet_state.js,
// which stands before this in the page.

const LONG_TEXT = 4000; // Characters; longer texts get a box that scrolls.
const COMMENT_PAUSE = 500; // Milliseconds without a key, after which a comment is kept.

// --- Steps ---------------------------------------------------------------------------------------

function undo() {
  const step = state.steps.pop();
  if (!step) return say("There is nothing to take back.");
  for (const [item, entry] of Object.entries(step.before)) put(item, entry);
  state.group = step.group;
  state.item = step.item;
  save();
  render();
  focusItem();
  say("Taken back.");
}

function rate(item, rating, goOn) {
  change({ [item]: { rating, comment: commentOf(item) } }, `${nameOf(item)}: ${rating}.`);
  if (goOn) nextUnrated(item);
  update();
}

/** Rate the marked text, but never one that is out of sight. */
function rateVisible(level) {
  const { top, bottom } = $(`item-${state.item}`).getBoundingClientRect();
  if (bottom > 0 && top < window.innerHeight) return rate(state.item, level, true);
  focusItem();
  return say(`${nameOf(state.item)} is marked. Press ${level} again to rate it.`);
}

/** After a rating by key: the next text of this instruction, or the button to the next one. */
function nextUnrated(item) {
  const names = groups[state.group].items.map((other) => other.item);
  const at = names.indexOf(item);
  const next = [...names.slice(at + 1), ...names.slice(0, at)].find((other) => !isRated(other));
  if (next) {
    state.item = next;
    save();
    focusItem();
  } else if (ratedCount() === items.size) {
    say("Everything is rated. Export, and send back the file.");
    $("export").focus();
  } else {
    say("All texts here are rated. Press Enter to go to the next instruction.");
    $("open").focus();
  }
}

// --- Showing -------------------------------------------------------------------------------------

function say(text) {
  $("said").textContent = text;
}

function warn(text) {
  $("warning").textContent = text;
  $("warning").hidden = !text;
}

function nameOf(item) {
  const { part, group } = items.get(item);
  if (study.kind === "dataset") return part === "instruction" ? "Instruction" : "Response";
  return `Answer ${groups[group].items.findIndex((other) => other.item === item) + 1}`;
}

function make(tag, attributes, ...children) {
  const element = document.createElement(tag);
  for (const [name, value] of Object.entries(attributes)) element.setAttribute(name, value);
  element.append(...children);
  return element;
}

/** Text as text: nothing in it is ever parsed as HTML, and its direction stays inside. */
function fillText(element, text) {
  const empty = text.trim() === "";
  element.textContent = empty ? "(an empty text)" : text;
  element.classList.toggle("empty", empty);
  element.classList.toggle("long", text.length > LONG_TEXT);
  if (text.length > LONG_TEXT) {
    element.tabIndex = 0;
    element.setAttribute("role", "group");
    element.setAttribute("aria-label", "Long text, scrolls");
  } else {
    for (const name of ["tabindex", "role", "aria-label"]) element.removeAttribute(name);
  }
}

function itemElement({ item, part, text }) {
  const heading = make("h3", { id: `name-${item}` }, nameOf(item));
  const shown = make("div", { class: "text", dir: "auto" });
  fillText(shown, text);
  const choices = make("div", { class: "choices" });
  for (const level of study.levels) {
    const input = make("input", { type: "radio", name: item, value: level });
    input.addEventListener("change", () => rate(item, level, false));
    choices.append(make("label", { class: `level-${level}` }, input, level));
  }
  const comment = make("textarea", { rows: "1", maxlength: "2000", dir: "auto" });
  let pause;
  comment.addEventListener("change", () => setComment(item, comment.value));
  comment.addEventListener("input", () => {
    clearTimeout(pause);
    pause = setTimeout(() => setComment(item, comment.value), COMMENT_PAUSE);
  });
  const article = make("article", { id: `item-${item}`, tabindex: "-1", "aria-labelledby": `name-${item}` },
    heading, shown,
    make("fieldset", {}, make("legend", {}, study.questions[part]), choices),
    make("label", { class: "comment" }, "Comment (optional)", comment));
  article.addEventListener("focusin", () => mark(item));
  article.addEventListener("click", () => mark(item));
  return article;
}

function setComment(item, comment) {
  if (comment === commentOf(item)) return;
  const entry = { rating: ratingOf(item), comment };
  change({ [item]: entry.rating || comment ? entry : null }, `${nameOf(item)}: comment kept.`);
  update();
}

/** Draw the current instruction with its texts. */
function render() {
  const group = groups[state.group];
  if (!group.items.some((other) => other.item === state.item)) {
    state.item = (group.items.find((other) => !isRated(other.item)) || group.items[0]).item;
  }
  $("heading").textContent = `Instruction ${state.group + 1} of ${groups.length}`;
  // In a study of the dataset the instruction is itself the first text to rate.
  $("instruction").hidden = study.kind === "dataset" && group.items[0].part === "instruction";
  fillText($("instruction"), group.instruction);
  $("items").replaceChildren(...group.items.map(itemElement));
  $("guideline").open = state.guideline;
  $("shortcuts").checked = state.shortcuts;
  update();
}

/** Bring what is shown up to date without drawing the texts anew. */
function update() {
  for (const { item } of groups[state.group].items) {
    const article = $(`item-${item}`);
    article.classList.toggle("current", item === state.item);
    for (const input of article.querySelectorAll("input")) {
      input.checked = input.value === ratingOf(item);
    }
    const comment = article.querySelector("textarea");
    if (document.activeElement !== comment) comment.value = commentOf(item);
  }
  const rated = ratedCount();
  const complete = groups.filter((group) => group.items.every(({ item }) => isRated(item))).length;
  $("counted").textContent =
    `${rated} of ${items.size} texts rated, ${complete} of ${groups.length} instructions complete`;
  $("progress").max = items.size;
  $("progress").value = rated;
  $("undo").disabled = state.steps.length === 0;
  $("previous").disabled = state.group === 0;
  $("next").disabled = state.group === groups.length - 1;
  $("open").disabled = rated === items.size;
}

function mark(item) {
  if (state.item === item) return;
  state.item = item;
  save();
  update();
}

function focusItem() {
  update();
  const article = $(`item-${state.item}`);
  article.focus({ preventScroll: true });
  article.scrollIntoView({ block: "start" });
}

function showGroup(number) {
  if (number < 0 || number >= groups.length) return;
  state.group = number;
  state.item = null;
  render();
  save();
  window.scrollTo(0, 0);
  $("heading").scrollIntoView({ block: "start" });
  $(`item-${state.item}`).focus({ preventScroll: true });
}

function showOpenGroup() {
  const order = groups.map((_, n) => (state.group + n) % groups.length);
  const open = order.find((n) => groups[n].items.some(({ item }) => !isRated(item)));
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

// --- Files ---------------------------------------------------------------------------------------

function exportFile() {
  document.activeElement?.blur?.(); // A comment that is being written counts.
  const text = exported();
  const link = make("a", { download: `${study.study}_${study.annotator}.json` });
  link.href = URL.createObjectURL(new Blob([text], { type: "application/json" }));
  document.body.append(link);
  link.click();
  link.remove();
  setTimeout(() => URL.revokeObjectURL(link.href), 60000);
  $("exported").value = text;
  $("copy").hidden = false;
  const rated = ratedCount();
  const missing = items.size - rated;
  say(`Exported ${rated} ratings` + (missing ? `; ${missing} texts are not rated yet.` : "."));
}

async function importFile(file) {
  warn("");
  try {
    const { entries, left } = readExport(await file.text());
    const count = Object.keys(entries).length;
    change(entries, `Imported ${count} ratings from ${file.name}` + (left
      ? `; ${left} belong to no text of this page as it is now, and were left out.` : "."));
    render();
  } catch (error) {
    warn(`${file.name} was not imported: ${error.message}`);
  }
}

// --- What the annotator does ---------------------------------------------------------------------

const keys = {
  j: () => step(1),
  k: () => step(-1),
  n: () => showGroup(state.group + 1),
  p: () => showGroup(state.group - 1),
  u: undo,
  m: () => $(`item-${state.item}`).querySelector("textarea").focus(),
  e: exportFile,
  h: () => ($("guideline").open = !$("guideline").open),
};

document.addEventListener("keydown", (event) => {
  const writing = event.target.tagName === "TEXTAREA";
  if (writing && event.key === "Escape") return focusItem();
  if (writing || event.altKey || event.metaKey) return undefined;
  const key = event.key.toLowerCase();
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

$("undo").addEventListener("click", undo);
$("export").addEventListener("click", exportFile);
$("import").addEventListener("click", () => $("file").click());
$("file").addEventListener("change", () => {
  if ($("file").files[0]) importFile($("file").files[0]);
  $("file").value = "";
});
$("previous").addEventListener("click", () => showGroup(state.group - 1));
$("next").addEventListener("click", () => showGroup(state.group + 1));
$("open").addEventListener("click", showOpenGroup);
$("guideline").addEventListener("toggle", () => {
  state.guideline = $("guideline").open;
  save();
});
$("shortcuts").addEventListener("change", () => {
  state.shortcuts = $("shortcuts").checked;
  save();
});
// The same page in a second tab: take over what was done there, so that neither overwrites it.
window.addEventListener("storage", (event) => {
  if (event.key === storageKey && event.newValue) {
    load();
    render();
  }
});

// What is scrolled to must not end up below the header, which grows on narrow screens.
new ResizeObserver(() => {
  const sticky = getComputedStyle($("header")).position === "sticky";
  document.documentElement.style.scrollPaddingTop =
    `${(sticky ? $("header").offsetHeight : 0) + 12}px`;
}).observe($("header"));

load();
render();
save();
if (state.steps.length) {
  focusItem();
  say(`Welcome back: ${ratedCount()} ratings were kept in this browser.`);
}
