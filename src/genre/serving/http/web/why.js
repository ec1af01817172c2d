// The explanation of one item: its evidence as bars and words.

import { METHODS, fallback } from "./codes.js";
import { art } from "./covers.js";
import { h, title, upper } from "./dom.js";
import { categoriesOf, factsOf, mini } from "./items.js";
import { t } from "./language.js";

const BARS = 8; // titles with a bar of their own
const PARTS = {
  words: t("Your words"), taste: t("Your taste"), popular: t("Popularity"),
  profile: t("Profile"), synthetic_item: t("Invented next item"), synthetic_chained_item: t("Invented next item"),
  reordering: t("Order by a language model"),
  order: t("After the newest items"), together: t("Same people"), text: t("Texts"), lists: t("Lists it is on"), below: t("Not a candidate"),
  neighbours: t("Users of like habits"), friends: t("Friends"), context: t("Circumstances of the request"), itself: t("The same person"),
};

/** The content of the sheet. alike: similar items. close, like, open: called by its buttons, the last with an item; page: address of the item's page. */
export function evidence(one, why, alike, { close, like, open, page }) {
  const parts = why.because.slice(0, BARS).map((cause) => [cause.title, cause.share]), others = why.because.slice(BARS);
  if (others.length) parts.push([t("{} more", others.length), others.reduce((sum, cause) => sum + cause.share, 0), "rest"]);
  if (why.popular && why.method === "exact") parts.push([t("Popularity"), why.popular, "rest"]);
  parts.push(...why.parts.map((part) => [PARTS[part.name] ?? part.name, part.share, "rest"]));
  const query = Object.entries(why.query_parts).map(([part, share]) => [PARTS[part], share]);
  const total = why.method === "exact" ? (query.length ? t("Score by {}", why.recommender) : t("Score")) : "";
  return [
    h("button", { type: "button", class: "close", "aria-label": t("Close"), onclick: close }, "×"),
    h("div", { class: "lead" }, art(one, categoriesOf(one)),
      h("div", {}, title(one.title, "h2", { id: "why-title" }), title(factsOf(one), "p", { class: "facts" }),
        why.reason && title(upper(why.reason), "p", { class: "reason" }),
        h("button", { type: "button", class: "like", onclick: like }, t("Like")),
        h("a", { class: "page", href: page }, t("Its page")))),
    ...(query.length > 1 ? [h("h3", {}, query.map(([name]) => name).join(", ")), bars(query, t("Score"))] : []),
    ...(parts.length ? [h("h3", {}, t(why.because.length ? "Because you chose" : "Parts of the score")), bars(parts, total)] : []),
    ...why.parts.filter((part) => part.written_by).map(origin),
    h("p", { class: "hint" }, t("{}: {}", why.recommender, METHODS[why.method] ?? ""), why.fallback ? ` · ${fallback(why.fallback)}` : ""),
    ...(why.words.length ? [h("h3", {}, t("Words in common")), h("ul", { class: "words" }, ...why.words.slice(0, 12).map((word) => title(word, "li")))] : []),
    h("h3", {}, t("Similar titles")),
    h("ul", { class: "strip" }, ...alike.items.map((other) => mini(other, t("Why {}", other.title), () => open(other)))),
  ];
}

/** The language model that a part of the score comes from, and what it wrote. */
function origin(part) {
  const name = PARTS[part.name] ?? part.name, [model] = part.written_by.split(" ("); // its options left out
  return title(t("{}, by the language model {}", part.text ? t("{}: “{}”", name, part.text) : name, model), "p", { class: "hint" });
}

/** A bar for each [name, share, kind]; total: what their sum is called, where they are all there is. */
function bars(parts, total) {
  const most = Math.max(...parts.map(([, share]) => Math.abs(share)), 1e-9);
  const digits = Math.min(6, Math.max(3, 2 - Math.floor(Math.log10(most)))); // enough for small shares to differ
  const number = (share) => h("span", { class: "share" }, share.toFixed(digits).replace(/^-(0\.0*)$/, "$1"));
  const rows = parts.map(([name, share, kind]) => {
    const bar = h("i", { class: share < 0 ? "against" : kind });
    bar.style.setProperty("--share", Math.abs(share) / most);
    return h("li", {}, title(name, "span", { title: name }), h("span", { class: "bar", "aria-hidden": "true" }, bar), number(share));
  });
  const sum = parts.reduce((all, [, share]) => all + share, 0);
  if (total && parts.length > 1) rows.push(h("li", { class: "total" }, h("span", {}, total), h("span", {}), number(sum)));
  return h("ul", { class: "bars" }, ...rows);
}
