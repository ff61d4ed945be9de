// Shows one instruction with the answers of all models; the address names it (#id), so that it can
// be linked to. Texts of models are only ever set as text.
const { models, instructions } = JSON.parse(document.getElementById("data").textContent);
const element = (id) => document.getElementById(id);
const list = element("instructions");
const size = (n) => (n >= 1e9 ? `${Math.round(n / 1e8) / 10}B` : `${Math.round(n / 1e6)}M`);
let words = [];
let current = 0;
let filtered = instructions.map((_, place) => place);

const lower = instructions.map((one) =>
  [one.kind, one.text, ...one.answers.map((answer) => answer.text)].join("\n").toLowerCase());

// The text with the words that were searched for marked.
const marked = (text) => {
  if (!words.length) return [text];
  const escaped = words.map((word) => word.replace(/[.*+?^${}()|[\]\\]/g, "\\$&"));
  return text.split(new RegExp(`(${escaped.join("|")})`, "gi")).map((part, place) => {
    if (place % 2 === 0) return part;
    const mark = document.createElement("mark");
    mark.textContent = part;
    return mark;
  });
};

const made = (tag, name, ...parts) => {
  const one = document.createElement(tag);
  if (name) one.className = name;
  one.append(...parts);
  return one;
};

const links = instructions.map((one, place) => {
  const link = made("a", "", one.text.length > 110 ? `${one.text.slice(0, 109)}…` : one.text, made("small", "", one.kind));
  link.href = `#${encodeURIComponent(one.id)}`;
  const item = made("li", "", link);
  list.append(item);
  return { link, item, place };
});

const ratings = (levels) => {
  const names = { human: "people", machine: "a machine" };
  const said = Object.entries(levels).map(([rater, given]) => `${given.join(", ")} by ${names[rater] ?? rater}`);
  return said.length ? `Rated ${said.join("; ")}` : "Not rated";
};

const card = (model, answer) => {
  const facts = `${model.role === "student" ? "student" : "reference model"}, ${size(model.parameters)}`;
  const text = made("p", "text", ...(answer.text ? marked(answer.text) : [made("i", "quiet", "(empty)")]));
  text.tabIndex = 0;
  const one = made("article", "answer", made("h3", "", model.name), made("p", "quiet", facts), text);
  if (answer.cut) one.append(made("p", "quiet", "Cut at the limit of tokens."));
  if (answer.levels) one.append(made("p", "quiet", ratings(answer.levels)));
  return one;
};

const choice = element("shown");
for (const [value, text] of [["", `all ${models.length}`], ["student", "students"], ["reference", "reference models"]]) {
  choice.append(new Option(text, value));
}

const show = () => {
  const one = instructions[current];
  element("kind").textContent = `${current + 1} of ${instructions.length}: ${one.kind || one.id}`;
  element("instruction").replaceChildren(...marked(one.text));
  const cards = models.map((model, place) => [model, one.answers[place]])
    .filter(([model, answer]) => answer && (!choice.value || model.role === choice.value))
    .map(([model, answer]) => card(model, answer));
  element("answers").replaceChildren(...cards);
  for (const { link, place } of links) {
    if (place === current) link.setAttribute("aria-current", "true");
    else link.removeAttribute("aria-current");
  }
};

const step = (by) => {
  const next = by > 0 ? filtered.find((place) => place > current) : filtered.findLast((place) => place < current);
  if (next === undefined) return;
  location.hash = encodeURIComponent(instructions[next].id);
  links[next].link.scrollIntoView({ block: "nearest" });
};

const follow = () => {
  const wanted = decodeURIComponent(location.hash.slice(1));
  const place = instructions.findIndex((one) => one.id === wanted);
  if (place >= 0) current = place;
  show();
};

const find = () => {
  words = element("find").value.toLowerCase().split(/\s+/).filter(Boolean);
  filtered = links.filter(({ place }) => words.every((word) => lower[place].includes(word))).map(({ place }) => place);
  const kept = new Set(filtered);
  for (const { item, place } of links) item.hidden = !kept.has(place);
  element("found").textContent = `${filtered.length} of ${instructions.length} instructions`;
  if (filtered.length && !kept.has(current)) [current] = filtered;
  show();
};

element("find").addEventListener("input", find);
element("previous").addEventListener("click", () => step(-1));
element("next").addEventListener("click", () => step(1));
choice.addEventListener("change", show);
addEventListener("hashchange", follow);
follow();
find();
