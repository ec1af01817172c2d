// What the page shows of an item: its categories, a line of facts, a small cover to press.

import { cover } from "./covers.js";
import { h, title } from "./dom.js";

export const CATEGORIES = ["genres", "genre", "categories", "category", "tags", "topics", "topic"];
export const FACTS = ["year", "artist", "author", "brand", "director", "price"];

export const categoriesOf = (item) => {
  const name = CATEGORIES.find((field) => item.fields?.[field]);
  if (!name) return [];
  const value = item.fields[name];
  return (Array.isArray(value) ? value : String(value).split(/[|,;]/)).map((part) => String(part).trim()).filter(Boolean);
};

export const factsOf = (item) => {
  const facts = FACTS.map((field) => item.fields?.[field]).filter((fact) => fact != null && !item.title.includes(`(${fact})`));
  return [...facts, ...categoriesOf(item).slice(0, 3)].join(" · ");
};

export const mini = (one, label, act) => h("li", { "data-id": one.item_id },
  h("button", { type: "button", class: "mini", "aria-label": `${label} ${one.title}`, onclick: act },
    cover(one.item_id, categoriesOf(one)), title(one.title, "span", { class: "mini-title" })));
