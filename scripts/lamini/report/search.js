// Search in all tables: the contents show those with rows that have all words, and how many.
// Copying: the shown rows of a table as text with tabs, which spreadsheets take.
{
  const tools = document.getElementById("find-all");
  const field = tools.querySelector("input");
  const said = tools.querySelector("output");
  tools.hidden = false;
  const entries = [...document.querySelectorAll("#listed li")].map((item) => {
    const place = document.getElementById(item.querySelector("a").hash.slice(1));
    const title = item.textContent.toLowerCase();
    let rows = null; // read when they are first asked for
    const texts = () => (rows ??= [...place.querySelectorAll("tbody tr")].map((row) =>
      `${row.closest(".task")?.querySelector(".name").textContent ?? ""} ${row.textContent}`.toLowerCase()));
    return { item, title, texts, count: item.querySelector("small") };
  });
  field.addEventListener("input", () => {
    const words = field.value.toLowerCase().split(/\s+/).filter(Boolean);
    const has = (text) => words.every((word) => text.includes(word));
    let found = 0;
    for (const { item, title, texts, count } of entries) {
      const rows = words.length ? texts().filter(has).length : 0;
      item.hidden = words.length > 0 && !rows && !has(title);
      count.textContent = rows ? `${rows} ${rows === 1 ? "row" : "rows"}` : "";
      found += !item.hidden;
    }
    for (const part of document.querySelectorAll("#listed > div")) {
      part.hidden = [...part.querySelectorAll("li")].every((item) => item.hidden);
    }
    said.textContent = words.length ? `${found} of ${entries.length} tables and figures` : "";
  });
  // A link of the contents also shows the rows that were searched for.
  document.getElementById("listed").addEventListener("click", (event) => {
    const link = event.target.closest("li a");
    const own = link && field.value && document.querySelector(`${link.hash} > .tools input[type=search]`);
    if (!own) return;
    own.value = field.value;
    own.dispatchEvent(new Event("input"));
  });

  for (const button of document.querySelectorAll(".copy")) {
    button.addEventListener("click", async () => {
      const table = document.getElementById(button.dataset.copies);
      const text = (cell) => [...cell.childNodes].filter((part) => !part.classList?.contains("interval"))
        .map((part) => part.textContent).join("").trim().replace(/\s+/g, " ");
      const line = (row) => [...row.cells].map(text).join("\t");
      const rows = [...table.rows].filter((row) => !row.hidden);
      const said = button.textContent;
      try {
        await navigator.clipboard.writeText(rows.map(line).join("\n"));
        button.textContent = `Copied ${rows.length - 1} rows`;
      } catch {
        button.textContent = "The browser refused to copy";
      }
      setTimeout(() => { button.textContent = said; }, 3000);
    });
  }
}
