// Tables sort by the heading that is pressed, and show the rows that the fields above them choose.
// Numbers sort as numbers, sizes such as 770M and 1.5B as well; missing values stay at the end,
// whichever way round.
for (const block of document.querySelectorAll(".block")) {
  const table = block.querySelector("table.sortable");
  if (!table) continue;
  const body = table.tBodies[0];

  const value = (row, place) => {
    const cell = row.cells[place];
    if (cell.dataset.value !== undefined) return Number(cell.dataset.value);
    const text = cell.textContent.trim();
    const size = /^([\d.]+)\s?([KMBT])$/.exec(text);
    if (size) return Number(size[1]) * 1000 ** (1 + "KMBT".indexOf(size[2]));
    return text === "–" ? null : text;
  };
  const compare = (a, b) => typeof a === "number" && typeof b === "number"
    ? a - b : String(a).localeCompare(String(b), "en", { numeric: true });

  table.querySelectorAll("thead button").forEach((button, place) => {
    button.addEventListener("click", () => {
      const heading = button.parentElement;
      const down = heading.getAttribute("aria-sort") === "ascending";
      for (const other of table.tHead.rows[0].cells) other.removeAttribute("aria-sort");
      heading.setAttribute("aria-sort", down ? "descending" : "ascending");
      const rows = [...body.rows].sort((one, two) => {
        const [a, b] = [value(one, place), value(two, place)];
        if (a === null || b === null) return (a === null) - (b === null);
        return down ? compare(b, a) : compare(a, b);
      });
      body.append(...rows);
    });
  });

  const tools = block.querySelector(".tools");
  if (!tools) continue;
  tools.hidden = false;
  const said = tools.querySelector("output");
  const search = tools.querySelector("input[type=search]");
  if (!search) continue;
  const choices = [...tools.querySelectorAll("select")];
  const text = (cell) => cell.textContent.trim();
  const choose = () => {
    const words = search.value.toLowerCase().split(/\s+/).filter(Boolean);
    let shown = 0;
    for (const row of body.rows) {
      const all = row.textContent.toLowerCase();
      const wanted = words.every((word) => all.includes(word))
        && choices.every((c) => !c.value || text(row.cells[c.dataset.place]) === c.value);
      row.hidden = !wanted;
      shown += wanted;
    }
    said.textContent = `${shown} of ${body.rows.length} rows`;
  };
  search.addEventListener("input", choose);
  for (const choice of choices) choice.addEventListener("change", choose);
  choose();
}
