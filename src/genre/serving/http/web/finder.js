// The field at the top: finds titles while one types, and takes descriptions. A combobox with a list under it.

import { art } from "./covers.js";
import { $, h, title } from "./dom.js";
import { categoriesOf, factsOf } from "./items.js";
import { t } from "./language.js";

/**
 * search: text to items. takesWords: whether the run understands descriptions. choose: called with the chosen item.
 * describe: called with a description. trouble: shows an error.
 */
export function listenToFinder({ search, takesWords, choose, describe, trouble }) {
  const field = $("words"), list = $("found");
  let typed = 0, later, foundFor = "";

  async function find() {
    clearTimeout(later);
    const text = field.value.trim(), mine = ++typed;
    if (!text) { close(); return; }
    try {
      const items = await search(text.slice(0, 500));
      if (mine !== typed) return;
      const titles = items.map((one, at) => option(at, art(one, categoriesOf(one)), title(one.title), title(factsOf(one), "small"), () => choose(one)));
      const spark = h("span", { class: "spark", "aria-hidden": "true" }, "✳");
      if (takesWords() || !titles.length) titles.push(option(titles.length, spark, title(t("Titles like “{}”", text)), h("small", {}, t("by meaning")), () => describe(text)));
      list.replaceChildren(...titles);
      list.hidden = false;
      field.setAttribute("aria-expanded", "true");
      foundFor = text;
      point(items.findIndex((one) => bare(one.title) === bare(text)));
    } catch (error) {
      trouble(error.message);
    }
  }

  const option = (at, picture, name, note, pick) => h("li", {
    role: "option", id: `found-${at}`, "aria-selected": "false",
    onmousedown: (event) => event.preventDefault(), // the field keeps the keyboard
    onclick: () => { leave(); pick(); },
  }, picture, h("span", {}, name, note));

  function close() {
    clearTimeout(later);
    typed += 1;
    foundFor = "";
    list.hidden = true;
    field.setAttribute("aria-expanded", "false");
    field.removeAttribute("aria-activedescendant");
  }

  function leave() {
    field.value = "";
    close();
  }

  function point(at) {
    const options = [...list.children];
    options.forEach((one, place) => one.setAttribute("aria-selected", String(place === at)));
    if (at >= 0) field.setAttribute("aria-activedescendant", options[at].id);
    else field.removeAttribute("aria-activedescendant");
  }

  /** Choose the marked option; without one, take the text as a description. */
  async function enter() {
    const text = field.value.trim();
    if (text && foundFor !== text) await find(); // typed faster than it was found
    const chosen = foundFor === text && list.querySelector('[aria-selected="true"]');
    if (chosen) chosen.click();
    else if (text) { leave(); describe(text); }
  }

  field.addEventListener("keydown", (event) => {
    const options = [...list.children], at = options.findIndex((one) => one.getAttribute("aria-selected") === "true");
    const step = { ArrowDown: 1, ArrowUp: -1 }[event.key];
    if (event.key === "Escape") leave();
    else if (event.key === "Enter") { event.preventDefault(); enter(); }
    else if (step && !list.hidden) { event.preventDefault(); point(at < 0 && step < 0 ? options.length - 1 : (at + step + options.length) % options.length); }
  });
  field.addEventListener("input", () => { clearTimeout(later); later = setTimeout(find, 120); });
  field.addEventListener("blur", close);
  field.addEventListener("focus", () => { if (field.value) find(); });
  document.addEventListener("keydown", (event) => {
    if (event.key === "/" && !/INPUT|SELECT|TEXTAREA/.test(event.target.tagName)) { event.preventDefault(); field.focus(); }
  });
}

/** A title as people type it: `Godfather, The (1972)` is "the godfather". */
const bare = (text) => text.normalize("NFKD").replace(/\p{M}/gu, "").toLowerCase().replace(/\s*\(\d{4}\)\s*$/, "")
  .replace(/^(.*), (the|an?)$/, "$2 $1").replace(/[^\p{L}\p{N}]+/gu, " ").trim();
