// Exports and imports of the annotation page: what is in a file, and which rating is newer.

const OLD_FORMAT = "lamini-ratings/1"; // Without times, reasons and seconds.

/** A file with all ratings, comments, skipped and withdrawn ratings. */
function exported(time) {
  const ratings = [...items.values()]
    .filter(({ item }) => state.ratings[item])
    .map(({ item, digest }) => {
      const { rating, comment, skipped, time: changed } = entryOf(item);
      return {
        item, digest, rating: rating || null, comment, skipped: skipped || null,
        seconds: state.seconds[item] || 0, time: changed || null,
      };
    });
  const { format, study: name, annotator, digest: page, protocol } = study;
  return JSON.stringify({ format, study: name, annotator, page, protocol, exported: time, ratings }, null, 1) + "\n";
}

/** The entries of an export that hold for this page, and how many do not. */
function readExport(text) {
  let read;
  try {
    read = JSON.parse(text.replace(/^\ufeff/, "")); // Windows' editors put a mark at the start.
  } catch {
    throw new Error("it is not JSON, so no export of a rating sheet.");
  }
  if (![study.format, OLD_FORMAT].includes(read?.format) || !Array.isArray(read.ratings)) {
    throw new Error("it is no export of a rating sheet.");
  }
  if (read.study !== study.study) throw new Error(`it is of the study ${read.study}.`);
  if (read.annotator !== study.annotator) throw new Error(`it is of ${read.annotator}.`);
  const entries = {};
  const seconds = {};
  let left = 0;
  for (const row of read.ratings) {
    const { item, digest, rating, comment, skipped, time } = row || {};
    const known = items.get(item);
    const valid = rating === null || study.levels.includes(rating);
    if (known && known.digest === digest && valid) {
      entries[item] = {
        rating: rating || "", comment: String(comment || ""), skipped: String(skipped || ""),
        time: time || read.exported || "",
      };
      seconds[item] = Number(row.seconds) || 0;
    } else {
      left += 1;
    }
  }
  return { entries, seconds, left };
}

/** Divide imported entries: those to take, and those that would replace a newer or undated one. */
function compare(entries) {
  const taken = {};
  const older = {};
  for (const [item, entry] of Object.entries(entries)) {
    const own = entryOf(item);
    const same = ["rating", "comment", "skipped"].every((key) => own[key] === entry[key]);
    if (same) continue;
    const newer = !state.ratings[item] || (entry.time && own.time && entry.time > own.time);
    (newer ? taken : older)[item] = entry;
  }
  return { taken, older };
}

function exportFile() {
  document.activeElement?.blur?.(); // A comment that is being written counts.
  const time = new Date().toISOString();
  const text = exported(time);
  const stamp = time.slice(0, 16).replace(/[-:]/g, "");
  const link = make("a", { download: `${study.study}_${study.annotator}_${stamp}.json` });
  link.href = URL.createObjectURL(new Blob([text], { type: "application/json" }));
  document.body.append(link);
  link.click();
  link.remove();
  setTimeout(() => URL.revokeObjectURL(link.href), 60000);
  $("exported").value = text;
  $("copy").hidden = false;
  state.unexported = 0;
  save();
  update();
  const missing = items.size - countItems(isDone);
  say(`Exported ${countItems(isRated)} ratings` + (missing ? `; ${missing} texts are not rated yet.` : "."));
}

async function importFile(file) {
  warn("");
  try {
    const { entries, seconds, left } = readExport(await file.text());
    const { taken, older } = compare(entries);
    const count = Object.keys(older).length;
    const useOlder = count > 0 && (await askAboutOlder(file.name, count));
    const used = useOlder ? { ...taken, ...older } : taken;
    const same = Object.keys(entries).length - Object.keys(taken).length - count;
    for (const item of Object.keys(used)) {
      state.seconds[item] = Math.max(state.seconds[item] || 0, seconds[item]);
    }
    const parts = [`Imported ${Object.keys(used).length} ratings from ${file.name}`];
    if (same) parts.push(`${same} were here already`);
    if (count && !useOlder) parts.push(`${count} newer ratings were kept`);
    if (left) parts.push(`${left} belong to no text of this page as it is now, and were left out`);
    const said = `${parts.join("; ")}.`;
    if (Object.keys(used).length) change(used, said);
    else say(said);
    render();
  } catch (error) {
    warn(`${file.name} was not imported: ${error.message}`);
  }
}

/** Ask whether older or undated ratings of a file replace those of this page. */
function askAboutOlder(name, count) {
  $("older-said").textContent =
    `${count} ratings or comments here differ from those in ${name}, which are older or have no time.`;
  return new Promise((resolve) => {
    const dialog = $("older");
    dialog.returnValue = "keep";
    dialog.addEventListener("close", () => resolve(dialog.returnValue === "use"), { once: true });
    dialog.showModal();
  });
}
