// A link to something inside closed folds opens them, and shows it.
const open = () => {
  const wanted = location.hash && document.getElementById(decodeURIComponent(location.hash.slice(1)));
  if (!wanted) return;
  for (let fold = wanted; fold; fold = fold.parentElement) {
    if (fold.tagName === "DETAILS") fold.open = true;
  }
  wanted.scrollIntoView();
};
addEventListener("hashchange", open);
open();
