// What the annotation page shows. Keys and buttons are in sheet_keys.js.

const LONG_TEXT = 4000; // Characters; longer texts get a box that scrolls.
const COMMENT_PAUSE = 500; // Milliseconds without a key, after which a comment is kept.
const REMIND_AFTER = 40; // Changes without an export.

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
}

function textElement(text) {
  const long = text.length > LONG_TEXT;
  const scrolls = { tabindex: "0", role: "group", "aria-label": "Long text, scrolls" };
  const shown = make("div", { class: long ? "text long" : "text", dir: "auto", ...(long ? scrolls : {}) });
  fillText(shown, text);
  return shown;
}

function itemElement({ item, part, text }) {
  const choices = make("div", { class: "choices" });
  for (const { name, gist, criterion } of study.scale) {
    const input = make("input", { type: "radio", name: item, value: name });
    input.addEventListener("change", () => rate(item, name, false));
    choices.append(make("label", { class: `choice level-${name}` }, input,
      make("b", {}, name), " ", make("span", { class: "gist" }, gist), " ",
      make("span", { class: "criterion" }, criterion)));
  }
  const comment = make("textarea", { rows: "1", maxlength: "2000", dir: "auto" });
  let pause;
  comment.addEventListener("change", () => setComment(item, comment.value));
  comment.addEventListener("input", () => {
    clearTimeout(pause);
    pause = setTimeout(() => setComment(item, comment.value), COMMENT_PAUSE);
  });
  const withdrawn = make("button", { type: "button", class: "withdraw" }, "Withdraw the rating");
  withdrawn.addEventListener("click", () => withdraw(item));
  const reasons = make("select", { class: "skip-reason" }, make("option", { value: "" }, "–"),
    ...study.reasons.map((reason) => make("option", { value: reason }, reason)));
  reasons.addEventListener("change", () => skip(item, reasons.value));
  const article = make("article", { id: `item-${item}`, tabindex: "-1", "aria-labelledby": `name-${item}` },
    make("h3", { id: `name-${item}` }, nameOf(item)), textElement(text),
    make("fieldset", {}, make("legend", {}, study.questions[part]), choices),
    make("div", { class: "row" },
      make("label", { class: "skipping" }, "Skip it, because", reasons), withdrawn),
    make("label", { class: "comment" }, "Comment (optional)", comment));
  article.addEventListener("focusin", () => mark(item));
  article.addEventListener("click", () => mark(item));
  return article;
}

/** Draw the current instruction with its texts. */
function render() {
  const group = groups[state.group];
  if (!group.items.some((other) => other.item === state.item)) {
    state.item = (group.items.find((other) => !isDone(other.item)) || group.items[0]).item;
  }
  $("heading").textContent = `Instruction ${state.group + 1} of ${groups.length}`;
  fillText($("instruction"), group.instruction);
  $("instruction").scrollTop = 0;
  $("items").replaceChildren(...group.items.map(itemElement));
  $("shortcuts").checked = state.shortcuts;
  update();
}

/** Bring what is shown up to date without drawing the texts again. */
function update() {
  for (const { item } of groups[state.group].items) {
    const article = $(`item-${item}`);
    const { rating, comment, skipped } = entryOf(item);
    article.classList.toggle("current", item === state.item);
    for (const input of article.querySelectorAll("input")) input.checked = input.value === rating;
    const reasons = article.querySelector("select");
    if (skipped && !study.reasons.includes(skipped)) reasons.add(new Option(skipped));
    reasons.value = skipped;
    article.querySelector(".withdraw").hidden = !isDone(item);
    const written = article.querySelector("textarea");
    if (document.activeElement !== written) written.value = comment;
  }
  const rated = countItems(isRated);
  const done = countItems(isDone);
  const complete = groups.filter((group) => group.items.every(({ item }) => isDone(item))).length;
  $("counted").textContent = `${rated} of ${items.size} rated, `
    + (done > rated ? `${done - rated} skipped, ` : "")
    + `${complete} of ${groups.length} instructions complete`;
  $("progress").max = items.size;
  $("progress").value = done;
  $("undo").disabled = state.steps.length === 0;
  $("previous").disabled = state.group === 0;
  $("next").disabled = state.group === groups.length - 1;
  $("open").disabled = done === items.size;
  $("reminder").hidden = state.unexported < REMIND_AFTER;
  $("reminder").textContent = `${state.unexported} changes since the last export: `
    + "export a file now, as a copy of your work.";
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
  $(`item-${state.item}`).focus({ preventScroll: true });
}

// The heights of what stays in sight: nothing that is scrolled to may end up below it.
new ResizeObserver(() => {
  const sticky = (element) => (getComputedStyle(element).position === "sticky" ? element.offsetHeight : 0);
  const header = sticky($("header"));
  const beside = $("items").offsetLeft > $("asked").offsetLeft;
  const root = document.documentElement.style;
  root.setProperty("--header", `${header}px`);
  root.scrollPaddingTop = `${header + (beside ? 0 : sticky($("asked"))) + 8}px`;
}).observe($("header"));
