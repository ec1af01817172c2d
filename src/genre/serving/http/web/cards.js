// The cards of a list: a cover, a title, facts, a reason and three buttons each. Knows nothing of requests.

import { art, ground } from "./covers.js";
import { h, replace, title, upper } from "./dom.js";
import { categoriesOf, factsOf } from "./items.js";
import { t } from "./language.js";

/** Show items in a list. against: the other list, where two are compared; nothing: the text where there are none. */
export function fillCards(list, items, against, nothing, acts) {
  const before = new Map([...list.children].map((card) => [card.dataset.id, card]));
  const places = new Map([...before].map(([id, card]) => [id, card.getBoundingClientRect()]));
  const rank = against && new Map(against.map((one, at) => [one.item_id, at]));
  const cards = items.map((one, at) => cardOf(one, at, rank, acts));
  replace(list, cards.length ? cards : [h("li", { class: "nothing" }, nothing)]);
  move(cards, places);
}

/** Cards glide from where they were; new ones appear. */
function move(cards, places) {
  if (matchMedia("(prefers-reduced-motion: reduce)").matches) return;
  for (const card of cards) {
    const was = places.get(card.dataset.id), is = card.getBoundingClientRect();
    if (!was) card.animate([{ opacity: 0, transform: "translateY(10px)" }, { opacity: 1, transform: "none" }], { duration: 260, easing: "ease-out" });
    else if (was.left !== is.left || was.top !== is.top) {
      card.animate([{ transform: `translate(${was.left - is.left}px, ${was.top - is.top}px)` }, { transform: "none" }], { duration: 420, easing: "cubic-bezier(.2,.8,.2,1)" });
    }
  }
}

/** acts: ids that are chosen, what the buttons do, and the link to an item's page. */
function cardOf(one, at, rank, { chosen, like, why, hide, link }) {
  const face = h("div", { class: "face" },
    art(one, categoriesOf(one)),
    h("span", { class: "rank", "aria-hidden": "true" }, String(at + 1)),
    h("h3", { dir: "auto", title: one.title }, link(one)));
  face.style.setProperty("--ground", ground(one.item_id, categoriesOf(one)));
  const card = h("li", { class: "card", "data-id": one.item_id },
    face,
    h("div", { class: "about" },
      title(factsOf(one), "p", { class: "facts" }),
      one.reason && title(upper(one.reason), "p", { class: "reason", title: one.reason })),
    rank && delta(rank.get(one.item_id), at),
    h("div", { class: "acts" },
      h("button", { type: "button", class: "like", "aria-label": t("I like {}", one.title), disabled: chosen.has(one.item_id), onclick: () => like(one) }, t("Like")),
      h("button", { type: "button", "aria-label": t("Why {}", one.title), onclick: () => why(one) }, t("Why")),
      h("button", { type: "button", class: "away", "aria-label": t("Hide {}", one.title), onclick: () => hide(one) }, t("Hide"))));
  if (rank) {
    card.addEventListener("pointerenter", () => light(one.item_id, true));
    card.addEventListener("pointerleave", () => light(one.item_id, false));
  }
  return card;
}

function delta(there, here) {
  if (there === undefined) return h("span", { class: "delta only" }, t("only here"));
  const by = there - here;
  const text = by === 0 ? t("same place") : `${by > 0 ? "▲" : "▼"} ${Math.abs(by)}`;
  const label = by === 0 ? t("same place in both") : t(by > 0 ? "higher by {} than in the other list" : "lower by {} than in the other list", Math.abs(by));
  return h("span", { class: `delta ${by > 0 ? "up" : by < 0 ? "down" : ""}`, "aria-label": label, role: "img" }, text);
}

function light(id, on) {
  for (const card of document.querySelectorAll(".card")) if (card.dataset.id === id) card.classList.toggle("lit", on);
}
